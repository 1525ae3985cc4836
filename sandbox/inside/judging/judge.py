"""The judge's side: run a test with stand-ins where it names what the candidate's program defines.

The test's source and the expected values are in this process alone. What the test does with the program's objects goes
to the candidate over one channel, and what comes back is a value of a type of ours, a handle, or an exception.
"""

from __future__ import annotations
import __future__

import builtins
import copy
import importlib
import math
import re
import sys
import time
import types
from collections.abc import Iterable
from functools import partial
from typing import Any

from .. import values
from ..protocol.wire import deeply
from ..running.candidate import make_repeatable
from ..running.served import make_room
from .line import CandidateGone, Line
from .offered import TEST_MODULE
from .timed import TooSlow

FILENAME = "<test>"
_USUAL_NAMES = {
    **{name: name for name in ("numpy", "pandas", "scipy", "sympy", "networkx", "sortedcontainers", "pytest")},
    "np": "numpy",
    "pd": "pandas",
    "nx": "networkx",
    "sp": "sympy",
    "dt": "datetime",
    "it": "itertools",
}
"""Packages, and what tests call modules that they leave to the program to import."""
_MOST_TEXT = 500
_FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
Outcome = dict[str, Any]


class TestGlobals(dict[str, Any]):
    """Globals of a test: what is neither its own nor built in is the candidate's."""

    def __init__(self, line: Line, source: str) -> None:
        super().__init__(__name__=TEST_MODULE, __builtins__=builtins)
        self._line, self.source = line, source

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) or name.startswith("__"):
            raise KeyError(name)
        try:
            thing = self._line.named(name)
        except NameError:
            raise KeyError(name) from None
        thing = self._module_that_is_meant(name, thing)
        if isinstance(thing, type) or type(thing) is self._line.mirrors.function_class:
            self[name] = thing  # others may change with every call
        return thing

    def _module_that_is_meant(self, name: str, thing: Any) -> Any:
        """Our own module, where the test uses what only that has: the program's word does not stand for it."""
        module_name = _USUAL_NAMES.get(name, name)
        if module_name not in sys.stdlib_module_names and module_name not in _USUAL_NAMES.values():
            return thing
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            return thing
        used = re.findall(rf"\b{name}\.(\w+)", self.source)
        if not any(hasattr(module, attribute) for attribute in used):
            return thing
        self._line.modules.append(module)
        return module


class Tally:
    """How many tests there are and how many passed, where that is asked: the first that fails then ends nothing."""

    def __init__(self, *, asked: bool) -> None:
        self.asked = asked
        self.tests = 1 if asked else 0
        self.passed = 0
        self.first: Outcome | None = None
        """Of the first that failed."""

    def fails(self, outcome: Outcome) -> bool:
        """Note a test that has failed; whether the next is to be run all the same."""
        self.first = self.first or outcome
        return self.asked and outcome["outcome"] in ("failed", "raised")

    def decided(self, outcome: Outcome) -> Outcome:
        """What the whole came to, given what ended it: the first failure, unless the test itself is broken."""
        return outcome if outcome["outcome"] == "test_error" else self.first or outcome


def run(task: dict[str, Any], line: Line) -> Outcome:
    """Judge one candidate over a line to it; what is returned is the judge's note to the supervisor."""
    test = task["test"]
    tally = Tally(asked=test.get("count", False))
    line.begin()
    if "answer_bytes" in task:  # in a process of its own
        line.answers.limit(task["answer_bytes"])
        make_room()
    try:
        outcome = _RUNNERS[test["kind"]](test, line, tally)
    except CandidateGone:
        outcome = {"outcome": "ended", "ending": line.ending}
    except BaseException as error:
        outcome = _failed(error, line, test.get("source", ""))
    if line.ending is not None:  # a test that swallowed the end of its candidate has not passed
        outcome = {"outcome": "ended", "ending": line.ending}
    elif outcome["outcome"] in ("passed", "test_error") and line.unheeded:
        outcome = {"outcome": "failed", "where": _line_of(line.unheeded[0])}
    heard = {"forged": line.forged, "calls": line.asked, "waited_s": line.waited_s}
    counted = {"tests": tally.tests, "tests_passed": tally.passed}
    return tally.decided(outcome) | heard | counted | {"own_word": line.stand_ins.own_word > 0}


def _failed(error: BaseException, line: Line, source: str) -> Outcome:
    """Whose fault an exception is that the test did not catch: where it may be the candidate's, it is."""
    where = _line_of(error)
    text = f"{type(error).__name__}: {_text_of(error)}"
    if isinstance(error, NameError) and error.name in line.lacking:
        return {"outcome": "raised", "raised": "NameError", "text": _text_of(error), "where": where}
    if line.is_theirs(error):
        return _raised(error, where)
    if line.came_through(error):
        return {"outcome": "failed", "where": where}
    if line.asked == 0 or isinstance(error, values.Untellable | SystemExit) or _is_of_the_test(error, line, source):
        return {"outcome": "test_error", "text": text, "where": where}
    return {"outcome": "failed", "where": where}


def _raised(error: BaseException, where: str) -> Outcome:
    if isinstance(error, SystemExit):
        return {"outcome": "ended", "ending": {"exit": ""}}
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    return {"outcome": "raised", "raised": kind, "text": _text_of(error), "where": where}


def _text_of(error: BaseException) -> str:
    """What it says of itself; where that are words of the program's objects, they may be anything but an end of us."""
    try:
        return str(error)[:_MOST_TEXT]
    except BaseException:
        return ""


def _is_of_the_test(error: BaseException, line: Line, source: str) -> bool:
    """Whether no candidate could have led to it: an import of what is not there, a module's attribute that is not."""
    if isinstance(error, ImportError):
        first = re.escape((error.name or "").partition(".")[0])
        return bool(first and re.search(rf"\b(?:import|from)\b.*\b{first}\b", source))
    if isinstance(error, AttributeError):
        owner = error.obj
        return isinstance(owner, types.ModuleType) and not any(owner is module for module in line.modules)
    return False


def _line_of(error: BaseException) -> str:
    """Where in the test's source, without a word of what stands there."""
    number, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f"line {number} of the test"


def _passed(line: Line) -> Outcome:
    """A test that came to its end, where it asked anything."""
    if line.asked == 0:
        return {"outcome": "test_error", "text": "the test asks nothing of the program", "where": None}
    return {"outcome": "passed"}


def _no_test(text: str) -> Outcome:
    return {"outcome": "test_error", "text": text, "where": None}


def _run_check(test: dict[str, Any], line: Line, _tally: Tally) -> Outcome:
    names = TestGlobals(line, test["source"])
    make_repeatable(test["source"])
    exec(compile(test["source"], FILENAME, "exec", dont_inherit=True), names)  # noqa: S102  # the room's purpose
    check = dict.get(names, "check")  # its own: a candidate's `check` checks nothing
    if not callable(check):
        return _no_test("the test defines no function `check`")
    # The prompt's stub of the function under test may stand above the test, for its helpers' sake.
    candidate = line.named(test["entry_point"])
    names[test["entry_point"]] = candidate
    before, line.asked = line.asked, 0
    check(candidate)
    line.asked, asked = before + line.asked, line.asked
    return _passed(line) if asked else _no_test("the test asks nothing of the program")


def _run_asserts(test: dict[str, Any], line: Line, tally: Tally) -> Outcome:
    names = TestGlobals(line, test["source"])
    make_repeatable(test["source"])
    code = compile(test["source"], FILENAME, "exec", dont_inherit=True)
    statements = _statements(test["source"], tally) if tally.asked else []
    functions = line.wait_until_loaded()
    for name in _tested_builtins(code, test["source"], functions):
        names[name] = functions.get(name) or _Lacking(name, line)
    if tally.asked:
        return _run_each(statements, code.co_flags & _FUTURES, names, line, tally)
    exec(code, names)  # noqa: S102
    return _passed(line)


def _statements(source: str, tally: Tally) -> list[tuple[Any, bool]]:
    """Those of a test, each with whether it is one that asserts: a test of its own, which is counted."""
    import ast  # noqa: PLC0415

    statements = [(statement, _asserts(statement)) for statement in ast.parse(source).body]
    tally.tests = sum(is_test for _, is_test in statements) or 1
    return statements


def _run_each(
    statements: list[tuple[Any, bool]], futures: int, names: TestGlobals, line: Line, tally: Tally
) -> Outcome:
    """One statement after the other. Where one fails that is no test, those behind it may lack what it was to give.

    Behind a failure that the candidate has swallowed nothing is counted: which test it was of is not known.
    """
    import ast  # noqa: PLC0415

    for statement, is_test in statements:
        code = compile(ast.Module([statement], []), FILENAME, "exec", flags=futures, dont_inherit=True)
        try:
            exec(code, names)  # noqa: S102
        except CandidateGone:
            raise
        except BaseException as error:
            outcome = _failed(error, line, names.source)
            if tally.fails(outcome) and is_test:
                continue
            return outcome
        if line.unheeded or line.ending is not None:
            break
        tally.passed += is_test
    return _passed(line)


def _asserts(statement: Any) -> bool:
    import ast  # noqa: PLC0415

    defines = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return not defines and any(isinstance(node, ast.Assert) for node in ast.walk(statement))


class _Lacking:
    """Stands for a function named like a built-in one that the program was to define."""

    def __init__(self, name: str, line: Line) -> None:
        self._name, self._line = name, line

    def __call__(self, *_: Any, **__: Any) -> Any:
        self._line.asked += 1
        self._line.lacking.add(self._name)
        raise NameError(f"name {self._name!r} is not defined", name=self._name)


def _tested_builtins(code: types.CodeType, source: str, functions: dict[str, Any]) -> set[str]:
    """Built-in names that the candidate is to define anew (MBPP 126 asks for a ``sum``).

    Only those that the test does nothing with but call them on its own values, in asserts that name nothing else, so
    that no candidate can put its own ``set`` or ``sorted`` into a test of another function. Where the program does not
    define one, it lacks it if the test is of nothing else, and is our own if it is.
    """
    ours = {name for name in code.co_names if hasattr(builtins, name)}
    alone = len(ours) == len(code.co_names)
    if not ours or not (alone or ours & functions.keys()):
        return set()
    import ast  # noqa: PLC0415  # seldom needed, and dear to carry along

    tree = ast.parse(source)
    tested: set[str] = set()
    for node in tree.body:
        call = _called_first(node)
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ours):
            continue
        if all(hasattr(builtins, each.id) for each in ast.walk(node) if isinstance(each, ast.Name)):
            tested.add(call.func.id)
    if alone:
        return tested
    elsewhere = _used_elsewhere(tree)
    return {name for name in tested & functions.keys() if name not in elsewhere}


def _called_first(node: Any) -> Any:
    """Of ``assert call(...) == ...`` the call."""
    import ast  # noqa: PLC0415

    if not isinstance(node, ast.Assert):
        return None
    test = node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test
    return test.left if isinstance(test, ast.Compare) else test


def _used_elsewhere(tree: Any) -> set[str]:
    """Built-in names that stand anywhere but in front, or beside a name that is not built in."""
    import ast  # noqa: PLC0415

    elsewhere: set[str] = set()
    for node in tree.body:
        names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
        call = _called_first(node)
        first = call.func if isinstance(call, ast.Call) else None
        alone = all(hasattr(builtins, name.id) for name in names)
        elsewhere |= {name.id for name in names if not alone or name is not first}
    return elsewhere


def _run_calls(test: dict[str, Any], line: Line, tally: Tally) -> Outcome:
    cases = values.from_wire(test["cases"])
    if not cases:
        return _no_test("the test has no cases")
    if tally.asked:
        tally.tests = len(cases)
    function = line.named(test["entry_point"])
    for number, (arguments, expected) in enumerate(cases, 1):
        where = f"case {number}"
        answer, outcome = _called(line, function, arguments, expected, where, test["call_s"])
        tolerated = test["tolerance"], test["tuples_are_lists"]
        if outcome is None and not deeply(partial(agree, answer, expected, *tolerated)):
            outcome = {"outcome": "failed", "where": where}
        if outcome is not None and not tally.fails(outcome):
            return outcome
        if line.unheeded:
            break
        tally.passed += outcome is None
    return {"outcome": "passed"}


def _run_reference(test: dict[str, Any], line: Line, tally: Tally) -> Outcome:
    batches = values.from_wire(test["batches"])
    if not any(calls for _, calls in batches):
        return _no_test("the test has no cases")
    if tally.asked:
        tally.tests = sum(len(calls) for _, calls in batches)
    make_repeatable(test["source"])
    reference = _defined(test["source"], "reference", test["entry_point"])
    function = line.named(test["entry_point"])
    for name, calls in batches:
        agrees = _defined(test["agrees"], "comparison", "agrees")
        for number, arguments in enumerate(calls, 1):
            where = f"{name} case {number}"
            began = time.process_time()
            try:
                expected = reference(*copy.deepcopy(arguments))
            except Exception as error:
                return _no_test(f"the reference raises {type(error).__name__} in {where}")
            most_s = max(test["call_s"], test["times_reference"] * (time.process_time() - began))
            answer, outcome = _called(line, function, copy.deepcopy(arguments), expected, where, most_s)
            if outcome is None and not _holds(agrees, answer, expected, arguments):
                outcome = {"outcome": "failed", "where": where}
            if outcome is not None and not tally.fails(outcome):
                return outcome
            if line.unheeded:
                return {"outcome": "passed"}
            tally.passed += outcome is None
    return {"outcome": "passed"}


def _called(
    line: Line, function: Any, arguments: Any, expected: Any, where: str, most_s: float | None
) -> tuple[Any, Outcome | None]:
    """The program's answer, and how the test ends where there is none."""
    try:
        return line.answer_of(function, arguments, expected, most_s), None
    except TooSlow:
        return None, {"outcome": "slow", "where": where, "most_s": most_s}
    except Exception as error:
        return None, _failed(error, line, "") | {"where": where}


def _defined(source: str, module: str, name: str) -> Any:
    """What a program of the test's own defines under a name."""
    names: dict[str, Any] = {"__name__": module}
    exec(compile(source, f"<{module}>", "exec", dont_inherit=True), names)  # noqa: S102
    return names[name]


def _holds(agrees: Any, answer: Any, expected: Any, arguments: Any) -> bool:
    try:
        return bool(deeply(partial(agrees, answer, expected, arguments)))
    except Exception:  # an answer of a type that cannot be compared so
        return False


def agree(answer: Any, expected: Any, tolerance: float | None, tuples_are_lists: bool = False) -> bool:
    """Equality of types, floats within an absolute and relative tolerance: nan is within none, integers need none."""
    if tolerance is not None and {type(answer), type(expected)} in ({float}, {int, float}):
        try:
            return math.isclose(answer, expected, rel_tol=tolerance, abs_tol=tolerance)
        except OverflowError:
            return False
    parts: Iterable[tuple[Any, Any]]
    if isinstance(answer, list | tuple) and isinstance(expected, list | tuple):
        alike = tuples_are_lists or isinstance(answer, list) == isinstance(expected, list)
        alike, parts = alike and len(answer) == len(expected), zip(answer, expected, strict=False)
    elif isinstance(answer, dict) and isinstance(expected, dict):
        alike, parts = answer.keys() == expected.keys(), ((answer[key], expected[key]) for key in expected)
    else:
        return bool(answer == expected)
    if not alike:
        return False
    for one, other in parts:  # noqa: SIM110  # within `all` each level would take room on the stack of C, which is small
        if not agree(one, other, tolerance, tuples_are_lists):
            return False
    return True


def _run_checker(test: dict[str, Any], _line: Line, _tally: Tally) -> Outcome:
    """A suite's own ``check(stdin, expected, output)`` over what the candidate printed.

    Where it fails to say yes or no, it is asked of the expected output itself: if it fails on that too, it is broken.
    """
    names: dict[str, Any] = {"__name__": "checker"}
    exec(compile(test["source"], FILENAME, "exec", dont_inherit=True), names)  # noqa: S102
    check = names.get("check")
    if not callable(check):
        return _no_test("the checker defines no function `check`")
    try:
        accepted = _yes_or_no(check(test["stdin"], test["expected"], test["output"]))
    except Exception:
        _yes_or_no(check(test["stdin"], test["expected"], test["expected"]))
        accepted = False
    return {"outcome": "passed" if accepted else "failed", "where": "the checker"}


def _yes_or_no(answer: Any) -> bool:
    if isinstance(answer, bool) or type(answer).__module__ == "numpy":
        return bool(answer)
    raise TypeError(f"the checker answered with a value of type {type(answer).__name__}, not True or False")


_RUNNERS = {
    "check": _run_check,
    "asserts": _run_asserts,
    "calls": _run_calls,
    "reference": _run_reference,
    "checker": _run_checker,
}
