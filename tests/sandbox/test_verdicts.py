"""From the kernel's facts and the judge's note to a verdict, without any process."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from sandbox import Asserts, Calls, Limits, Verdict
from sandbox.tricks import seen
from sandbox.verdicts import by_the_kernel, of_calls, of_ending, of_silence

LIMITS = Limits(cpu_s=1.0)


def report(**facts: Any) -> dict[str, Any]:
    quiet = {
        "reason": "stopped",
        "cpu_s": 0.1,
        "wall_s": 0.2,
        "oom": False,
        "blocked": False,
        "status": 9,
        "stderr": "",
    }
    return quiet | {"stderr": ""} | facts


@pytest.mark.parametrize(
    ("facts", "verdict", "suspect"),
    [
        ({}, None, False),
        ({"reason": "cpu", "cpu_s": 1.5}, Verdict.TIME_LIMIT, False),
        ({"reason": "exit", "cpu_s": 1.2, "status": 0}, Verdict.TIME_LIMIT, True),
        ({"reason": "stopped", "cpu_s": 1.2}, Verdict.TIME_LIMIT, True),
        ({"reason": "idle"}, Verdict.TIME_LIMIT, False),
        ({"reason": "wall"}, Verdict.TIME_LIMIT, True),
        ({"reason": "output"}, Verdict.OUTPUT_LIMIT, False),
        ({"reason": "exit", "oom": True}, Verdict.MEMORY_LIMIT, False),
        ({"reason": "cpu", "cpu_s": 1.5, "oom": True}, Verdict.MEMORY_LIMIT, False),
        ({"reason": "exit", "blocked": True, "status": signal.SIGSYS}, Verdict.FORBIDDEN, False),
        ({"reason": "stopped", "blocked": True}, None, False),
        ({"reason": "exit", "status": signal.SIGSYS}, None, False),
    ],
)
def test_the_kernels_facts_decide_what_they_can(facts: dict[str, Any], verdict: Verdict | None, suspect: bool) -> None:
    decision = by_the_kernel(report(**facts), LIMITS)
    assert (decision.verdict if decision else None) is verdict
    assert (decision.suspect if decision else False) is suspect


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0, Verdict.EARLY_EXIT),
        (124 << 8, Verdict.EARLY_EXIT),
        (137 << 8, Verdict.EARLY_EXIT),
        (signal.SIGKILL, Verdict.EARLY_EXIT),
        (signal.SIGXCPU, Verdict.EARLY_EXIT),
        (signal.SIGSEGV, Verdict.RUNTIME_ERROR),
        (signal.SIGABRT, Verdict.RUNTIME_ERROR),
    ],
)
def test_a_candidate_that_went_without_a_word_chose_to_or_crashed(status: int, verdict: Verdict) -> None:
    assert of_ending({"gone": True}, report(reason="exit", status=status)).verdict is verdict


@pytest.mark.parametrize(("blocked", "verdict"), [(True, Verdict.FORBIDDEN), (False, Verdict.EARLY_EXIT)])
def test_a_blocked_call_is_told_though_the_judge_saw_its_end_first(blocked: bool, verdict: Verdict) -> None:
    ended = report(reason="stopped", blocked=blocked, status=signal.SIGSYS)
    assert by_the_kernel(ended, LIMITS) is None
    assert of_ending({"gone": True}, ended).verdict is verdict


@pytest.mark.parametrize(
    ("note", "verdict"),
    [
        ({"outcome": "passed"}, Verdict.PASSED),
        ({"outcome": "failed", "where": "line 3"}, Verdict.WRONG_ANSWER),
        ({"outcome": "raised", "raised": "KeyError", "text": "", "where": "line 1"}, Verdict.RUNTIME_ERROR),
        ({"outcome": "raised", "raised": "MemoryError", "text": "", "where": "line 1"}, Verdict.MEMORY_LIMIT),
        ({"outcome": "ended", "ending": {"syntax": "bad"}}, Verdict.SYNTAX_ERROR),
        ({"outcome": "ended", "ending": {"exit": "0"}}, Verdict.EARLY_EXIT),
        ({"outcome": "ended", "ending": {"forged": True}}, Verdict.WRONG_ANSWER),
        ({"outcome": "ended", "ending": {"raised": "OSError", "text": ""}}, Verdict.RUNTIME_ERROR),
        ({"outcome": "test_error", "text": "SyntaxError", "where": "line 1"}, Verdict.TEST_ERROR),
    ],
)
def test_the_judges_note_decides_the_rest(note: dict[str, Any], verdict: Verdict) -> None:
    assert of_calls(note, report()).verdict is verdict


def test_a_judge_choked_by_answers_is_the_candidates_doing() -> None:
    assert of_silence(report(reason="cpu")).verdict is Verdict.TIME_LIMIT
    assert of_silence(report(oom=True)).verdict is Verdict.MEMORY_LIMIT
    assert of_silence(report(reason="exit")).verdict is Verdict.SANDBOX_ERROR


def test_limits_must_be_above_nothing() -> None:
    with pytest.raises(ValueError, match="memory_mb"):
        Limits(memory_mb=0)


def test_only_faults_of_ours_say_nothing_of_a_candidate() -> None:
    assert {verdict for verdict in Verdict if verdict.says_nothing} == {Verdict.TEST_ERROR, Verdict.SANDBOX_ERROR}


LONG = 100_000
ODD = "class A:\n    def __eq__(self, other):\n        return True\n"
BY_HEART = "def f(x):\n    if x == 1:\n        return 10\n    if x == 2:\n        return 20\n"


@pytest.mark.parametrize(
    "line",
    ["=" * LONG, "def __eq__(" * LONG, "def __eq__(" + ")" * LONG, "def __eq__()" * LONG, "def __eq__()" + ":" * LONG,
     "==:" * LONG, "/proc/" + "1" * LONG, "builtins." + "a" * LONG, "def __eq__():" + " " * LONG],
    ids=lambda line: line[:16],
)  # fmt: skip
def test_a_long_line_takes_no_long_look_for_tricks(line: str) -> None:
    began = time.process_time()
    assert seen(f"# {line}\n{ODD}", Asserts(""), Verdict.PASSED, forged=False) == ("odd_equality",)
    assert time.process_time() - began < 5.0


def test_answers_known_by_heart_are_seen_beside_one_that_has_no_text() -> None:
    cases = (((1,), 10), ((2,), 20), ((3,), 10**5000))
    assert seen(BY_HEART, Calls("f", cases), Verdict.PASSED, forged=False) == ("hard_coded",)
    assert seen(BY_HEART, Asserts("assert f(1) == 10\0"), Verdict.PASSED, forged=False) == ()


def test_a_call_that_was_ended_is_to_be_judged_alone_where_all_calls_used_less_cpu_than_one_may() -> None:
    note = {"outcome": "slow", "where": "case 2", "most_s": 4.0}
    busy, starved = of_calls(note, report(cpu_s=5.0)), of_calls(note, report(cpu_s=4.0))
    assert (busy.verdict, busy.failed_test, busy.suspect) == (Verdict.TIME_LIMIT, "case 2", False)
    assert (starved.verdict, starved.suspect) == (Verdict.TIME_LIMIT, True)


@pytest.mark.parametrize(
    ("text", "trick"),
    [
        ("class A:\n    def __eq__(self, o): return True\n", "odd_equality"),
        *((text, "frame_walk") for text in ("sys._getframe()", "f.f_back", "t.tb_frame", "inspect.currentframe()")),
        *((text, "frame_walk") for text in ("inspect.stack()", "sys.settrace(f)", "sys.setprofile(f)")),
        *((text, "memory_search") for text in ("gc.get_objects()", "gc.get_referrers(x)", "open('/proc/self/mem')")),
        *((text, "protocol_forgery") for text in ("os.write(3, b'')", "json.dumps = f", "'inside.judging'")),
        ("name.endswith('judge.py')", "protocol_forgery"),
        *((text, "patched_builtins") for text in ("builtins.sum = f", "__builtins__['sum']")),
        *((text, "signals") for text in ("os.kill(1, 9)", "os.killpg(1, 9)")),
    ],
)
def test_each_form_of_a_trick_is_seen(text: str, trick: str) -> None:
    assert seen(text, Asserts(""), Verdict.PASSED, forged=False) == (trick,)
    assert seen("def f(x):\n    return x\n", Asserts(""), Verdict.PASSED, forged=False) == ()
