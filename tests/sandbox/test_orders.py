"""What supervisor and fork server tell each other, and what a fork server does before and around a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sandbox
from sandbox.inside import frames, orders, scratch, values
from sandbox.inside.watch import Capture

NUMBERS = st.integers(0, (1 << 64) - 1)
SECONDS = st.floats(0, 1e9)
LIMITS = st.builds(orders.Limits, SECONDS, SECONDS, SECONDS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
TASKS = st.dictionaries(st.sampled_from(["program", "stdin", "files", "reads"]), st.text())
ENDINGS = st.builds(orders.Ending, st.integers(0, 1 << 16), SECONDS, SECONDS, st.integers(0, 1000), st.booleans())
FACTS = (7, "cpu", orders.Ending(9, 0.25, 12.5, 3, True), 0.5, True, False)


@given(st.sampled_from([orders.SERVE, orders.RUN, orders.JUDGE, orders.CHECK]), st.integers(0, 1 << 62), LIMITS, TASKS)
def test_an_order_is_read_as_it_was_given(kind: int, number: int, limits: orders.Limits, task: dict[str, str]) -> None:
    order = orders.read(orders.order(kind, number, limits, task))
    assert (order.kind, order.number, order.limits, order.task()) == (kind, number, limits, task)
    assert order.has_files == bool(task.keys() & {"files", "reads"})


def test_an_order_to_end_is_that_of_one_task() -> None:
    assert orders.read(orders.end(5))[:2] == (orders.END, 5)
    assert orders.end(5) == orders.end(5) != orders.end(6)


@given(st.binary(), st.binary(), st.text(), ENDINGS, st.sampled_from(orders.REASONS), st.booleans(), st.booleans())
def test_a_report_tells_every_fact_and_every_byte(
    out: bytes, err: bytes, note: str, ending: orders.Ending, reason: str, oom: bool, clean: bool
) -> None:
    said = frames.HEADER.pack(len(note.encode())) + note.encode()
    report = orders.read_report(orders.report(3, reason, ending, 1.5, oom, clean, [out, err, said]))
    assert [
        report["stdout"].encode("utf-8", "surrogateescape"),
        report["stderr"].encode("utf-8", "surrogateescape"),
    ] == [
        out,
        err,
    ]
    assert report["note"] == note
    assert orders.Ending(*(report[name] for name in orders.Ending._fields)) == ending
    told = {name: report[name] for name in ("id", "reason", "wall_s", "oom", "clean")}
    assert told == {"id": 3, "reason": reason, "wall_s": 1.5, "oom": oom, "clean": clean}


def test_a_report_without_a_note_says_so() -> None:
    report = orders.read_report(orders.report(*FACTS, [b"out", b"err"]))
    assert (report["stdout"], report["stderr"], report["note"]) == ("out", "err", "")


def test_a_report_is_told_from_json() -> None:
    assert not orders.report(*FACTS, [b"", b""]).startswith(b"{")


def test_output_that_the_child_took_back_is_not_waited_for() -> None:
    read, write = os.pipe()
    stream = Capture(read, 10)
    assert not stream.pull()
    os.write(write, b"here")
    assert stream.pull()
    assert stream.drain() == b"here"  # a writer that got away is not waited for either
    os.close(write)


@pytest.mark.parametrize(("written", "over"), [(b"12345678", False), (b"123456789", True)])
def test_a_stream_is_kept_up_to_its_cap(written: bytes, over: bool) -> None:
    read, write = os.pipe()
    stream = Capture(read, 8)
    for byte in written:
        os.write(write, bytes([byte]))
        stream.pull()
    os.close(write)
    assert (stream.drain(), stream.over) == (written[:8], over)


def test_a_folder_that_a_run_locked_is_opened_and_emptied(tmp_path: Path) -> None:
    folders = (str(tmp_path),)
    lockable = scratch.lockable(folders)
    (tmp_path / "left").mkdir()
    tmp_path.chmod(0o000)
    assert lockable == folders
    assert scratch.wipe(folders, lockable)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777
    assert list(tmp_path.iterdir()) == []


REHEARSE = """
import sys; sys.path.insert(0, sys.argv[1])
import builtins, gc, os
from inside import child, rehearsal
child.occupy_low_descriptors()
def there():
    main, depth = sys.modules["__main__"], sys.getrecursionlimit()
    return main, depth, set(vars(builtins)), sorted(os.listdir("/proc/self/fd"))
before = there()
rehearsal.rehearse(child.ceilings(count_processes=True))
assert there() == before and "candidate" not in sys.modules
from inside.running import candidate
assert candidate.prepare.__code__.co_code != candidate.prepare.__code__._co_code_adaptive
"""


def test_a_rehearsal_leaves_the_process_as_it_was_but_for_what_is_specialised() -> None:
    inside = str(Path(sandbox.__file__).parent)
    subprocess.run([sys.executable, "-s", "-S", "-P", "-c", REHEARSE, inside], check=True, stdin=subprocess.DEVNULL)


def test_deep_tasks_cross() -> None:
    deep: object = "leaf"
    for _ in range(values.MAX_DEPTH):
        deep = [deep]
    limits = orders.Limits(1.0, 1.0, 1.0, 1, 1, 1, 1, 1)
    assert orders.read(orders.order(orders.JUDGE, 1, limits, {"test": deep})).task()["test"][0][0]
