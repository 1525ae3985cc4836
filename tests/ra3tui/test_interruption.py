"""Ctrl-C, and the signals that ask for the same, end `ra3 judge` without a traceback, with what was judged by then."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BODY = "    return []\n"
ENDLESS = "    while True:\n        pass\n"
WORDS = [sys.executable, "-m", "ra3tui.cli", "judge", "humaneval"]
OPTIONS = ["--jsonl", "--workers", "1", "--cpu", "1000", "--backend", "namespaces"]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Two that are judged at once, and one that takes for ever."""
    path = tmp_path / "s.jsonl"
    path.write_text(
        "".join(json.dumps({"task_id": n, "completion": text}) + "\n" for n, text in enumerate([BODY, BODY, ENDLESS]))
    )
    return path


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_judged_by_then_is_told(samples: Path, number: signal.Signals) -> None:
    words = [*WORDS, str(samples), *OPTIONS]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as judging:
        assert judging.stdout is not None
        first = [json.loads(judging.stdout.readline()) for _ in range(2)]
        judging.send_signal(number)
        judging.send_signal(number)  # who asks twice gets no traceback either
        _, told = judging.communicate()
    assert judging.returncode == 128 + number
    assert [line["verdict"] for line in first] == ["wrong_answer", "wrong_answer"]
    assert "interrupted: 2 of 3 samples were judged, 2 wrong_answer" in told
    assert "Traceback" not in told
    assert not [path for path in Path("/sys/fs/cgroup").rglob(f"ra3-{judging.pid}-*") if path.is_dir()]


@pytest.mark.medium
def test_a_terminals_ctrl_c_reaches_no_cell(samples: Path) -> None:
    """The terminal sends it to every process of the session in front."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*WORDS, str(samples), *OPTIONS])
    shown = b""
    while shown.count(b'"sample"') < 2:
        shown += os.read(terminal, 1 << 16)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    shown += os.read(terminal, 1 << 16)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"interrupted: 2 of 3" in shown
    assert b"Traceback" not in shown


@pytest.mark.parametrize("name", ["typer", "ra3tui.cli.commands"])
def test_ctrl_c_while_modules_load_ends_it_without_a_word(name: str) -> None:
    script = (
        "import os, signal, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {name!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from ra3tui.cli import main\n"
        "main(['judge', '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.medium
@pytest.mark.parametrize("streams", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(streams: str) -> None:
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'"$0" -m ra3tui.cli judge humaneval --references --limit 2 --workers 1 {streams}',
            sys.executable,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert re.fullmatch("" if "2>&-" in streams else r"judging humaneval: 2 in \d\.\d s, \d+\.\d/s\n", done.stderr)


@pytest.mark.medium
def test_a_terminal_of_few_letters_gets_every_text(tmp_path: Path) -> None:
    samples = tmp_path / "s.jsonl"
    samples.write_text(json.dumps({"task_id": 0, "completion": "    raise ValueError('é …')\n"}))
    done = subprocess.run(
        [*WORDS, str(samples)],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"ValueError: \\xe9 \\u2026" in done.stdout
