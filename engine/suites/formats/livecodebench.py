"""LiveCodeBench (Jain et al., 2024): problems of contests with their dates, from `test.jsonl`, `test2.jsonl` …

A problem asks for a method of `Solution`, called with JSON, or for a program that reads standard input. Known errata
are told (`Problem.flaw`), not mended: the official scores have them too.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle  # what it may load is text alone, see `_TextAlone`
import re
import zlib
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from engine.suites.formats.contests import (
    CASE_S,
    MOST_S,
    PRELUDE,
    STOP,
    base_prompt,
    function_calls,
    json_lines,
    json_value,
)
from engine.suites.problem import Problem, SuiteError
from engine.suites.records import Record, text_at, text_if_any
from sandbox import Calls, Limits, Stdio

FILES = 6
"""How many the data set has come to."""
MOST_TESTS_BYTES = 1 << 30
"""Of one problem's private tests, unpacked."""
_NAME = re.compile(
    r"livecodebench(?:-(?:release_v(?P<upto>[1-9])|release_latest|v(?P<first>[1-9])(?:_v(?P<last>[1-9]))?))?"
)
_WRONG_TESTS = {"abc350_c", "apply-operations-to-make-string-empty", "most-frequent-ids", "arc189_a"}
_SEVERAL_ANSWERS = {
    *("abc311_c", "abc326_d", "abc327_b", "abc333_e", "abc343_e", "abc362_c", "find-words-containing-character"),
    *("find-the-peaks", "generate-binary-strings-without-adjacent-zeros"),
}
_INTERACTIVE = {"abc337_e", "abc355_e"}


def is_livecodebench(name: str) -> bool:
    """Is this the name of a suite of LiveCodeBench, with a version or without?"""
    return _NAME.fullmatch(name) is not None


def is_versioned(name: str) -> bool:
    """Does the name of a suite say which of the data set's files it is?"""
    return "-" in name


def files_of(name: str, newest: int = FILES) -> list[str]:
    """What the files of a suite are called, up to the ``newest`` where the name says none. Raises SuiteError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise SuiteError(f"there is no suite {name!r}")
    first, last = int(match["first"] or 1), int(match["upto"] or match["last"] or match["first"] or newest)
    if first > last:
        raise SuiteError(f"suite {name!r}: its versions end before they begin; write v{last}_v{first}")
    return [_file(number) for number in range(first, last + 1)]


def data_files(name: str, path: Path) -> list[Path]:
    """The files of a version: ``path`` itself, or those of the data set's files in a folder. Raises SuiteError."""
    if not path.is_dir():
        if is_versioned(name):
            raise SuiteError(f"suite {name!r}: a version is some of a folder's files; {path} is no folder")
        return [path]
    there = [number for number in range(1, FILES + 4) if (path / _file(number)).is_file()]
    if not there:
        raise SuiteError(f"{path}: has no test.jsonl, test2.jsonl …; fetch livecodebench/code_generation_lite's files")
    files = [path / file for file in files_of(name, there[-1])]
    lacking = [file for file in files if not file.is_file()]
    if lacking:
        raise SuiteError(f"suite {name!r}: {lacking[0]} is not there; fetch it")
    return files


def _file(number: int) -> str:
    return f"test{number if number > 1 else ''}.jsonl"


def livecodebench_problem(suite: str, days: tuple[str, str], where: str, _: int, item: Record) -> Problem | None:
    """The problem of one line; None where its contest was not in the window. Raises SuiteError."""
    if not _is_within(item, days, where):
        return None
    task_id, question = text_at(item, "question_id", where), text_at(item, "question_content", where)
    starter = text_if_any(item, "starter_code", where) or ""
    cases = [*_public(item, where), *_private(item, where)]
    if not cases:
        raise SuiteError(f"{where}: {task_id} has no tests")
    name = _function_name(item, where)
    test: Calls | Stdio
    if name is None:
        test = Stdio(tuple(cases), compare="decimals")
    else:
        told = [(json_lines(given, where), json_value(wanted, "a test's output", where)) for given, wanted in cases]
        test = function_calls(name, starter, told, where)
    most_s = min(MOST_S, CASE_S * len(cases))
    return Problem(
        suite=suite,
        task_id=task_id,
        prompt=base_prompt(question, starter),
        entry_point="Solution" if name else "",
        reference=None,
        stop=STOP,
        test=test,
        limits=Limits(cpu_s=most_s if name else CASE_S, deadline_s=CASE_S * len(cases), memory_mb=4096),
        whole=True,
        prelude=PRELUDE,
        flaw=_flaw(item, task_id),
    )


def _is_within(item: Record, days: tuple[str, str], where: str) -> bool:
    told = text_at(item, "contest_date", where)[:10]
    try:
        date.fromisoformat(told)
    except ValueError:
        raise SuiteError(f"{where}: 'contest_date' is {told!r}, not a date such as 2024-08-31") from None
    first, last = days
    return first <= told and (not last or told <= last)


def _flaw(item: Record, task_id: str) -> str:
    """What the data set's own list of errata, and those who checked it since, say of a problem."""
    names = {task_id, item.get("question_title")}
    if names & _WRONG_TESTS:
        return "some of its tests are wrong"
    if names & _SEVERAL_ANSWERS:
        return "it has several right answers, of which one passes"
    return "it is interactive, and its tests are not" if names & _INTERACTIVE else ""


def _function_name(item: Record, where: str) -> str | None:
    """The method that is called; None where a program is asked for."""
    metadata = json_value(text_if_any(item, "metadata", where) or "{}", "'metadata'", where)
    name = metadata.get("func_name") if isinstance(metadata, dict) else None
    if name is not None and not isinstance(name, str):
        raise SuiteError(f"{where}: 'metadata' has a 'func_name' that is no text")
    return name


def _public(item: Record, where: str) -> list[tuple[str, str]]:
    return _cases(json_value(text_at(item, "public_test_cases", where), "'public_test_cases'", where), where)


def _private(item: Record, where: str) -> list[tuple[str, str]]:
    """JSON as it is, or packed: base64 of zlib of a pickle of its text."""
    text = text_at(item, "private_test_cases", where)
    try:
        tests = json.loads(text)
    except ValueError:
        tests = json_value(_unpacked(text, where), "'private_test_cases', unpacked,", where)
    return _cases(tests, where)


def _cases(tests: Any, where: str) -> list[tuple[str, str]]:
    if not isinstance(tests, list) or not all(_is_case(test) for test in tests):
        raise SuiteError(f"{where}: a test must be an object with the texts 'input' and 'output'")
    return [(test["input"], test["output"]) for test in tests]


def _is_case(test: Any) -> bool:
    return isinstance(test, dict) and isinstance(test.get("input"), str) and isinstance(test.get("output"), str)


def _unpacked(text: str, where: str) -> str:
    try:
        unzip = zlib.decompressobj()
        packed = unzip.decompress(base64.b64decode(text, validate=True), MOST_TESTS_BYTES)
        if not unzip.eof:
            raise SuiteError(f"{where}: 'private_test_cases' is cut off, or larger than {MOST_TESTS_BYTES >> 20} MiB")
        value = _TextAlone(io.BytesIO(packed)).load()
    except (binascii.Error, zlib.error) as error:
        raise SuiteError(f"{where}: 'private_test_cases' is neither JSON nor packed JSON ({error})") from error
    except SuiteError:
        raise
    except Exception as error:  # a pickle that is cut off raises almost anything
        raise SuiteError(f"{where}: 'private_test_cases' holds {error or type(error).__name__}") from error
    if not isinstance(value, str):
        raise SuiteError(f"{where}: 'private_test_cases' holds a pickle of a {type(value).__name__}, not of text")
    return value


class _TextAlone(pickle.Unpickler):
    """Loads text and other plain values; whatever would import or call something is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"a pickle that holds code ({module}.{name}): it was not run")

    def persistent_load(self, _: Any) -> NoReturn:
        raise pickle.UnpicklingError("a pickle that refers to something outside of it")
