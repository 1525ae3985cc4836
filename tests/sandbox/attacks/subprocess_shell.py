# Tries: start a shell
# Verdict: runtime_error
import subprocess

subprocess.run(['/bin/sh', '-c', 'id'], check=False)


def double(x):
    return x
