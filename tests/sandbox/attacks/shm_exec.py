# Tries: map code from shared memory
# Verdict: runtime_error
import mmap

with open('/dev/shm/code', 'wb+') as file:
    file.write(b'\xc3' * 4096)
    file.flush()
    mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)


def double(x):
    return x
