"""HumanEval+ and MBPP+ (Liu et al., 2023): many inputs a problem, each judged against the problem's own reference.

The expected values are in no file: the reference is run in the sandbox's judge. The inputs are JSON, in which MBPP's
tuples, sets and complex numbers have no form, so that their types are restored here by the problem's number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engine.suites.formats.humaneval import HUMANEVAL_STOP
from engine.suites.formats.mbpp import MBPP_STOP
from engine.suites.problem import Problem, SuiteError
from engine.suites.records import Record, text_at
from sandbox import Limits, Reference

EVALPLUS_LIMITS = Limits(cpu_s=60, deadline_s=60, memory_mb=4096)
_STOPS = {"humaneval": HUMANEVAL_STOP, "mbpp": MBPP_STOP}
_ORACLES = Path(__file__).with_name("evalplus_oracles.py")
Arguments = list[Any]


def evalplus_problem(dataset: str, suite: str, where: str, _: int, item: Record) -> Problem:
    """The problem of one line of EvalPlus's file of ``dataset``, humaneval or mbpp. Raises SuiteError."""
    prompt, entry_point = text_at(item, "prompt", where), text_at(item, "entry_point", where)
    task_id, solution = text_at(item, "task_id", where), text_at(item, "canonical_solution", where)
    atol = item.get("atol")
    if not isinstance(atol, int | float) or isinstance(atol, bool):
        raise SuiteError(f"{where}: 'atol' must be a number; is this EvalPlus's file?")
    batches = tuple((name, _inputs(dataset, task_id, f"{name}_input", where, item)) for name in ("base", "plus"))
    return Problem(
        suite=suite,
        task_id=task_id,
        prompt=prompt.rstrip("\n"),
        entry_point=entry_point,
        reference="\n" + solution.removeprefix("\n").rstrip("\n"),
        stop=_STOPS[dataset],
        test=Reference(entry_point, prompt + solution, agreement(dataset, entry_point, atol), batches),
        limits=EVALPLUS_LIMITS,
    )


def agreement(dataset: str, entry_point: str, atol: float) -> str:
    """The source of the comparison for one task, for the judge."""
    return f"{_oracles()}\n\nagrees = Agreement({dataset!r}, {entry_point!r}, {atol!r})\n"


def _oracles() -> str:
    return _ORACLES.read_text(encoding="utf-8")


def _inputs(dataset: str, task_id: str, key: str, where: str, item: Record) -> tuple[Arguments, ...]:
    calls = item.get(key)
    if calls == {} and key == "plus_input":  # as MBPP+ writes that there are none
        calls = []
    if not isinstance(calls, list) or not all(isinstance(arguments, list) for arguments in calls):
        raise SuiteError(f"{where}: {key!r} must be a list of lists of arguments")
    if not calls and key == "base_input":
        raise SuiteError(f"{where}: {key!r} is empty: nothing would be asked")
    if dataset != "mbpp":
        return tuple(calls)
    try:
        restore = _RESTORED.get(int(task_id.rpartition("/")[2]), list)
        return tuple(restore(arguments) for arguments in calls)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise SuiteError(f"{where}: {key!r} is not what {task_id} takes ({error})") from error


def _each_tuple(arguments: Arguments) -> Arguments:
    return [tuple(each) for each in arguments]


def _each_list_of_tuples(arguments: Arguments) -> Arguments:
    return [_tuples(each) for each in arguments]


def _each_tuple_of_tuples(arguments: Arguments) -> Arguments:
    return [tuple(_tuples(each)) for each in arguments]


def _first_list_of_tuples(arguments: Arguments) -> Arguments:
    return [_tuples(arguments[0]), arguments[1]]


def _first_tuple(arguments: Arguments) -> Arguments:
    return [tuple(arguments[0]), *arguments[1:]]


def _second_tuple(arguments: Arguments) -> Arguments:
    return [arguments[0], tuple(arguments[1])]


def _list_of_sets(arguments: Arguments) -> Arguments:
    """An empty one is a dict, as in the official grader."""
    return [[set(each) if isinstance(each, list) and each else {} for each in arguments[0]]]


def _tuple_with_tuples(arguments: Arguments) -> Arguments:
    return [tuple(tuple(each) if isinstance(each, list) else each for each in arguments[0])]


def _tuples_of_dict(arguments: Arguments) -> Arguments:
    return [{key: tuple(value) for key, value in arguments[0].items()}, *arguments[1:]]


def _all_tuples(arguments: Arguments) -> Arguments:
    return [_deep_tuple(each) for each in arguments]


def _deep_tuple(value: Any) -> Any:
    return tuple(map(_deep_tuple, value)) if isinstance(value, list) else value


def _tuples(values: Iterable[Any]) -> list[tuple[Any, ...]]:
    return [tuple(each) for each in values]


_BY_SHAPE: list[tuple[Callable[[Arguments], Arguments], tuple[int, ...]]] = [
    (_each_tuple, (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740)),
    (_each_tuple, (744, 809)),
    (_each_list_of_tuples, (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)),
    (_each_tuple_of_tuples, (259, 401, 445)),
    (_first_list_of_tuples, (75, 413, 444, 753)),
    (_first_tuple, (250, 307, 405, 446, 617, 720, 763, 808)),
    (_second_tuple, (106, 750)),
    (_list_of_sets, (115,)),
    (lambda arguments: [float(arguments[0]), complex(arguments[1])], (124,)),
    (lambda arguments: [complex(arguments[0])], (252,)),
    (_tuple_with_tuples, (278,)),
    (_all_tuples, (580, 615, 791)),
    (_tuples_of_dict, (722,)),
]
_RESTORED = {number: restore for restore, numbers in _BY_SHAPE for number in numbers}
