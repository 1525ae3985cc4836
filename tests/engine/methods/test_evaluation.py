"""An evaluation: judged while it is drawn, and gone on with where it was killed or stopped."""

from __future__ import annotations

import json
import signal
import threading
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.methods.judging import Judging
from engine.methods.sampling import Sampling, draw, draw_and_judge, judge
from engine.pipeline import execute
from engine.processes.ranks import Ranks
from engine.recipe.recipe import Recipe
from engine.recipe.sections import Compute
from engine.runs.progress import Progress, Silent
from engine.runs.stages.clock import Clock
from engine.runs.stages.context import Resources
from engine.runs.stages.ledger import Ledger
from engine.runs.stages.seeds import Seeds
from engine.store.reader import Reader
from engine.store.requests import request
from engine.suites.problem import Problem
from engine.training.memory import MemoryGuard
from sandbox import Asserts, Job, Result, Sandbox, open_sandbox
from tests.engine.engines import Script, begin, finish, records, start
from tests.engine.small import small_recipe
from tests.engine.toy import speaking_policy

PROBLEMS = [Problem("s", str(n), "ab", "f", None, ("a",), Asserts(f"assert {n}")) for n in range(3)]


class Watched:
    """A sandbox that says when it gets its first job."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.begun = sandbox, threading.Event()

    def submit(self, job: Job) -> Future[Result]:
        self.begun.set()
        return self.sandbox.submit(job)


@pytest.mark.parametrize("beside", [True, None])
def test_samples_are_judged_while_others_are_drawn_but_on_a_cpu_to_the_same_verdicts(beside: bool | None) -> None:
    policy, waited = speaking_policy(1), list[bool]()
    writer: Any = SimpleNamespace(seconds=0.0)
    ledger = Ledger(policy, writer, Ranks(), Clock())
    resources = Resources(Ranks(), MemoryGuard(Compute(decode_batch=1)), ledger, lambda: False, lambda: None)
    sampling, seed = Sampling(2, 3, 1.0), partial(Seeds(0, 0).common, "eval")
    with open_sandbox() as opened:
        watched: Any = Watched(opened)

        def tell(done: int, total: int, _: str) -> None:
            if done == total - 1:  # the last one is not drawn yet
                waited.append(watched.begun.wait(20) if beside else watched.begun.is_set())

        samples = draw_and_judge(resources, lambda: watched, policy, PROBLEMS, sampling, seed, tell, beside=beside)
        completions = draw(resources, policy, PROBLEMS, sampling, seed, lambda *_: None)
        after = judge(resources, lambda: opened, PROBLEMS, completions)
    assert waited == [bool(beside)]
    assert [[(s.problem, s.number, s.completion) for s in group] for group in samples] == [
        [(s.problem, s.number, s.completion) for s in group] for group in after
    ]
    verdicts = [[str(s.result.verdict) for s in group] for group in samples]
    assert verdicts == [[str(s.result.verdict) for s in group] for group in after]


def test_what_waits_for_the_sandbox_is_taken_back_when_the_drawing_ends_early() -> None:
    class Full:
        """Takes one job, and is never done with it."""

        def __init__(self) -> None:
            self.jobs: list[Job] = []
            self.future: Future[Result] = Future()

        def submit(self, job: Job) -> Future[Result]:
            self.jobs.append(job)
            return self.future

    full: Any = Full()
    completion: Any = SimpleNamespace(text="x")
    with Judging(full) as judging:
        judging.hand_in(PROBLEMS[0], completion)
        judging._handed["0", "x"].result()
        assert not full.future.cancelled()
    assert full.future.cancelled()


def evaluation(folder: Path) -> Recipe:
    """Two problems of two samples, a portion each."""
    stages = {'"ntp", "ra3", "eval", "rlvr", "eval"': '"eval"', "n = 2\nk": "n = 2\nportion = 2\nk"}
    return small_recipe(folder, **stages)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("evaluation")
    recipe = evaluation(folder)
    run = start(recipe, folder)
    execute(folder, [run], Silent())
    return recipe, records(folder, run)


def ids(home: Path, run: str) -> list[int]:
    with closing(Reader(home)) as reader:
        return [row["id"] for row in reader.samples(run)]


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_behind_its_last_portion_to_the_same_records(
    whole: tuple[Recipe, dict[str, Any]], tmp_path: Path
) -> None:
    recipe, uninterrupted = whole
    run = start(recipe, tmp_path)
    process = begin(tmp_path, run, Script(tmp_path, run, kill=("eval", 3), unit="samples"))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kept = ids(tmp_path, run)
    assert len(kept) == 2
    finish(tmp_path, run)
    assert ids(tmp_path, run)[:2] == kept
    assert records(tmp_path, run) == uninterrupted


class Stopper(Silent):
    """Asks for a stop, through the store, once three samples are drawn."""

    def __init__(self, home: Path, run: str) -> None:
        self.home, self.run = home, run

    def progress(self, progress: Progress) -> None:
        if progress.unit == "samples" and progress.done == 3:
            request(self.home, self.run, "stop", "somebody")


@pytest.mark.medium
def test_a_stopped_evaluation_counts_the_cost_of_what_it_draws_again_once(
    whole: tuple[Recipe, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runs.control.POLL_SECONDS", 0.0)
    recipe, uninterrupted = whole
    run = start(recipe, tmp_path)
    (outcome,) = execute(tmp_path, [run], Stopper(tmp_path, run))
    assert outcome.status == "stopped"
    kept = ids(tmp_path, run)
    with closing(Reader(tmp_path)) as reader:
        (stage,) = reader.stages(run)
        assert stage["tokens_generated"] == sum(row["tokens"] for row in reader.samples(run))
    assert len(kept) == 2
    execute(tmp_path, [run], Silent())
    assert ids(tmp_path, run)[:2] == kept
    assert records(tmp_path, run) == uninterrupted


@pytest.mark.medium
def test_samples_of_another_suite_that_was_there_before_are_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runs.control.POLL_SECONDS", 0.0)
    recipe = evaluation(tmp_path)
    run = start(recipe, tmp_path / "home")
    (outcome,) = execute(tmp_path / "home", [run], Stopper(tmp_path / "home", run))
    assert (outcome.status, len(ids(tmp_path / "home", run))) == ("stopped", 2)
    data = tmp_path / "problems.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text("".join(json.dumps(row | {"prompt": row["prompt"] + " "}) + "\n" for row in rows))
    (outcome,) = execute(tmp_path / "home", [run], Silent())
    assert outcome.status == "done"
    with closing(Reader(tmp_path / "home")) as reader:
        assert len({row["suite"] for row in reader.samples(run)}) == 1
        assert len(reader.samples(run)) == 4
