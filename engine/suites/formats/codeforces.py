"""Codeforces in the format of open-r1's data set: standard input or files, checkers, and tests generated beside.

Interactive problems have no tests to be judged on, and are left out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from engine.rows import read_parquet
from engine.suites.formats.contests import STOP, base_prompt
from engine.suites.problem import LeftOut, Problem, SuiteError
from engine.suites.records import Record, text_at, text_if_any
from sandbox import Limits, Stdio

FILES = ("input.txt", "output.txt")
"""What a program reads and writes in file mode."""
FILE_MB = 64
_SECTIONS = (("input_format", "Input"), ("output_format", "Output"), ("note", "Note"))
Cases = list[tuple[str, str]]


class GeneratedTests:
    """The tests beside a file, `generated_tests/test_cases_0001.parquet`, a file a contest, each opened when needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "generated_tests"
        self._contest = ""
        self._cases: dict[str, Cases] = {}

    def of(self, contest: str, problem: str) -> Cases:
        """Those of one problem, perhaps none. Raises SuiteError where they are there and cannot be read."""
        if contest != self._contest:
            self._cases = self._read(self._folder / f"test_cases_{contest.zfill(4)}.parquet")
            self._contest = contest
        return self._cases.get(problem, [])

    def digest(self, of_file: str) -> str:
        """That of the file beside them, and of their names and sizes: their content is a hundred gigabytes."""
        there = sorted(self._folder.glob("test_cases_*.parquet"))
        told = "".join(f"{path.name} {path.stat().st_size}\n" for path in there)
        return hashlib.sha256((of_file + told).encode()).hexdigest() if told else of_file

    def _read(self, path: Path) -> dict[str, Cases]:
        if not path.is_file():
            return {}
        cases: dict[str, Cases] = {}
        try:
            for row in read_parquet(path, ["problem_id", "input", "output"]):
                cases.setdefault(row["problem_id"], []).append((row["input"], row["output"]))
        except (OSError, KeyError) as error:
            raise SuiteError(f"{path}: cannot be read ({error}); fetch it again, or move the folder away") from error
        return cases


def codeforces_problem(suite: str, generated: GeneratedTests, where: str, _: int, item: Record) -> Problem:
    """The problem of one line. Raises SuiteError for a damaged one, LeftOut for one that cannot be judged."""
    task_id, contest = text_at(item, "id", where), str(item.get("contest_id") or "")
    if (text_if_any(item, "interaction_format", where) or "").strip():
        raise LeftOut("interactive")
    if item.get("executable") is False:
        raise LeftOut("not executable")
    cases = [*_official(item, where), *generated.of(contest, task_id)]
    if not cases:
        raise LeftOut("without tests")
    seconds, memory = _positive(item, "time_limit", where), _positive(item, "memory_limit", where)
    limits = Limits()
    limits = Limits(
        cpu_s=seconds or limits.cpu_s,
        memory_mb=int(memory or limits.memory_mb),
        deadline_s=(seconds or limits.cpu_s) * len(cases),
        file_mb=FILE_MB,
    )
    checker = text_if_any(item, "generated_checker", where)
    files = FILES if _mode(item, where) == "file" else None
    return Problem(
        suite=suite,
        task_id=task_id,
        prompt=base_prompt(_question(item, files is not None, where), ""),
        entry_point="",
        reference=None,
        stop=STOP,
        test=Stdio(tuple(cases), compare="folded", checker_program=checker, files=files),
        limits=limits,
        whole=True,
    )


def _mode(item: Record, where: str) -> str:
    mode = text_if_any(item, "input_mode", where) or "stdio"
    if mode not in ("stdio", "file"):
        raise SuiteError(f"{where}: 'input_mode' is {mode!r}; known are stdio and file")
    return mode


def _positive(item: Record, key: str, where: str) -> float | None:
    """A limit; None where the record has none."""
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise SuiteError(f"{where}: {key!r} must be a number above 0, or null, found {value!r}")
    return value


def _official(item: Record, where: str) -> Cases:
    return _pairs(item.get("official_tests"), "official_tests", where)


def _pairs(tests: Any, key: str, where: str) -> Cases:
    if tests is None:
        return []
    if not isinstance(tests, list) or not all(_is_pair(test) for test in tests):
        raise SuiteError(f"{where}: {key!r} must be a list of objects with the texts 'input' and 'output'")
    return [(test["input"], test["output"]) for test in tests]


def _is_pair(test: Any) -> bool:
    return isinstance(test, dict) and isinstance(test.get("input"), str) and isinstance(test.get("output"), str)


def _question(item: Record, by_files: bool, where: str) -> str:
    """What is asked, section by section."""
    parts = [text_if_any(item, "title", where) or "", text_at(item, "description", where)]
    if by_files:
        parts.append(f"The program reads the file {FILES[0]} and writes the file {FILES[1]}.")
    told = [(title, text_if_any(item, key, where)) for key, title in _SECTIONS]
    parts += [f"{title}\n{text}" for title, text in told[:2] if text]
    examples = _pairs(item.get("examples"), "examples", where)
    parts += [f"Sample Input:\n{given.strip()}\n\nSample Output:\n{wanted.strip()}" for given, wanted in examples]
    parts += [f"{title}\n{text}" for title, text in told[2:] if text]
    return "\n\n".join(part.strip() for part in parts if part)
