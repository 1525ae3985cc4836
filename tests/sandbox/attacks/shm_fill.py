# Tries: fill shared memory
# Verdict: runtime_error
for number in range(100):
    with open(f'/dev/shm/{number}', 'wb') as file:
        file.write(b'x' * (1 << 20))


def double(x):
    return x
