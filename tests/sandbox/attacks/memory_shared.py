# Tries: fill the memory with shared pages
# Verdict: memory_limit
import mmap

held = []
while True:
    page = mmap.mmap(-1, 1 << 24)
    page.write(b'x' * (1 << 24))
    held.append(page)
