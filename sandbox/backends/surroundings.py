"""What a candidate finds around it: one list, from which every backend is furnished."""

from __future__ import annotations

HOSTNAME = "sandbox"
TMP_BYTES, TMP_FILES = 64 << 20, 4096
"""The room of a cell's /tmp."""
SHM_BYTES, SHM_FILES = 16 << 20, 256
"""The room of its /dev/shm, where the C library keeps semaphores."""
DEVICES = ("null", "zero", "full", "random", "urandom")
DEVICE_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
FILES = {
    "/etc/passwd": "nobody:x:65534:65534:nobody:/tmp:/nonexistent\n",
    "/etc/group": "nogroup:x:65534:\n",
}
ZONES = "/usr/share/zoneinfo"
"""The time zones, where the interpreter and the C library look for them."""
PACKAGES = "/packages"
"""Third-party packages: a folder for each distribution."""
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # the same order of sets everywhere
    "PYTHONNODEBUGRANGES": "1",  # smaller code, so cheaper forks
    "PYTHONUTF8": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "LD_BIND_NOW": "1",  # else every child looks up the same symbols again
    "OMP_NUM_THREADS": "1",  # linear algebra: threads would only wait for the one core
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HOME": "/tmp",  # noqa: S108  # the cell's own
    "HOSTNAME": HOSTNAME,
    "USER": "nobody",  # without it `getpass` asks a daemon, by a system call that is blocked
    "PATH": "/usr/bin:/bin",
}
"""All a candidate sees of the environment: nothing of the user's."""
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/cpuinfo", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/meminfo", "/proc/sched_debug", "/proc/scsi", "/proc/stat"),
    *("/proc/timer_list", "/proc/timer_stats"),
    *("/sys/devices/system/cpu", "/sys/devices/virtual/powercap", "/sys/firmware"),
)
"""What a container shows of the machine and a cell of namespaces does not: above all, how many cores there are."""
