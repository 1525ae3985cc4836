"""The script of `just gpu-check` works, at toy size and without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_it_prints_its_table_and_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    command = [sys.executable, "bench/gpu.py", "--device", "cpu", "--tiny", "--no-tests", "--write", str(page)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith("CPU; torch ")
    assert first.endswith("; everything in float32")
    assert [line.split("  ")[0] for line in rest[:3]] == ["training", "tiny", "tiny, checkpointing"]
    assert all(float(line.split()[-4]) > 0 for line in rest if line.startswith("tiny"))
    assert page.read_text().splitlines()[-1].strip() == rest[-1]
