# Tries: run a program from memory
# Verdict: runtime_error
import os

fd = os.memfd_create('program')
os.write(fd, b'#!/bin/sh\ntrue\n')
os.execve(fd, ['program'], {})
