"""The system calls a candidate may not make, as one BPF program.

Three answers: *kill* for calls no solution to a programming problem makes (the wait status then says SIGSYS, which the
supervisor reads as ``forbidden``), *refuse* with EPERM for calls a library may try and live without, and ENOSYS for
calls newer than this table, so that a new kernel opens no new door.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from . import kernel

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEWEST_KNOWN = 450
"""Numbers above (set_mempolicy_home_node) are answered with ENOSYS. Both architectures share them from 424 on."""

KILLED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "fanotify_init": (300, 262),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "personality": (135, 92),
    "memfd_secret": (447, 447),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "remap_file_pages": (216, 234),
    "vmsplice": (278, 75),
    "uselib": (134, None),
    "sysfs": (139, None),
    "ustat": (136, None),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
}
"""Name to number, on x86_64 and on aarch64; None where the architecture lacks the call."""

REFUSED: dict[str, tuple[int | None, int | None]] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "sync": (162, 81),
    "syncfs": (306, 267),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
}
"""New programs, what would slow the fork server or the host, and memory that would outlive the candidate."""

_CLONE, _CLONE3, _PRLIMIT = (56, 220), (435, 435), (302, 261)
_SIGNALS = ((62, 129), (200, 130), (234, 131), (129, 138), (297, 240), (424, 424))
"""kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal."""
_NEW_NAMESPACES = 0x7E020000
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NR, _ARCH, _ARG0_LOW = 0, 4, 16
_SECCOMP_MODE_FILTER = 2

Instruction = tuple[int, int, int, int]
"""BPF: operation, jump if true, jump if false, operand."""


def _answer(number: int | None, action: int) -> list[Instruction]:
    return [] if number is None else [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]


def _answer_if_argument(number: int, test: int, operand: int, yes: int, no: int) -> list[Instruction]:
    """Answer a call by its first argument: ``yes`` where the test holds, else ``no``."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARG0_LOW),
        (test, 0, 1, operand),
        (_RETURN, 0, 0, yes),
        (_RETURN, 0, 0, no),
    ]


def instructions(machine: str) -> list[Instruction]:
    """The filter for one architecture; raises OSError where the table has none."""
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no seccomp table for {machine}")
    column = list(ARCHITECTURES).index(machine)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        (_AT_LEAST, 0, 1, NEWEST_KNOWN + 1),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for numbers in KILLED.values():
        program += _answer(numbers[column], _KILL)
    for numbers in REFUSED.values():
        program += _answer(numbers[column], _ERRNO | errno.EPERM)
    # glibc falls back from clone3, whose flags a filter cannot read, to clone, whose flags it can.
    program += _answer(_CLONE3[column], _ERRNO | errno.ENOSYS)
    program += _answer_if_argument(_CLONE[column], _ANY_BIT, _NEW_NAMESPACES, _KILL, _ALLOW)
    # prlimit on oneself (pid 0) is getrlimit; on another it could starve the fork server.
    program += _answer_if_argument(_PRLIMIT[column], _EQUAL, 0, _ALLOW, _ERRNO | errno.EPERM)
    program.append((_RETURN, 0, 0, _ALLOW))
    return program


def no_signals(machine: str) -> list[Instruction]:
    """A filter more, for a cell without a pid namespace: nothing may be signalled."""
    column = list(ARCHITECTURES).index(machine)
    program: list[Instruction] = [(_LOAD, 0, 0, _NR)]
    for numbers in _SIGNALS:
        program += _answer(numbers[column], _ERRNO | errno.EPERM)
    return [*program, (_RETURN, 0, 0, _ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(table: list[Instruction]) -> None:
    """Bind this process and all it starts, for good; raises OSError where the kernel has no seccomp."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in table)
    program = _Program(len(table), code)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))
