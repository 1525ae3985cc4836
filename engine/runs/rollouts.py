"""Samples that another run drew for RLVR, from which a stage can be trained again. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from engine.errors import UsageFault
from engine.recipe.sections import Rlvr
from engine.store.reader import Reader
from engine.suites.problem import Problem

_UPDATES = """
SELECT sum(token_ids IS NULL) AS without_tokens, sum(reward IS NOT NULL) AS judged, sum(tests IS NOT NULL) AS counted
FROM samples WHERE run = ? AND phase = 'rlvr'
AND step <= (SELECT max(step) FROM metrics WHERE run = ? AND key = 'rlvr/reward')
GROUP BY step ORDER BY step LIMIT ?
"""
_PROBLEMS = "SELECT DISTINCT suite, task FROM samples WHERE run = ? AND phase = 'rlvr' ORDER BY suite, task"


def check_rollouts(home: Path, settings: Rlvr, problems: Sequence[Problem]) -> None:
    """Ask for the samples of the run that ``settings`` name, in the store of ``home``, on ``problems``.

    Raises:
        UsageFault: there is no such run, or it has no samples that could be trained on as ``settings`` say.
        EnvironmentFault: there is no store, or a broken one.
    """
    run = settings.rollouts
    said = f"rlvr.rollouts = {run!r}"
    with closing(Reader(home)) as reader:
        if not reader.rows("SELECT 1 FROM runs WHERE id = ?", [run]):
            raise UsageFault(f"{said}: no run of that id in {home}; `ra3 ls` lists them")
        updates = reader.rows(_UPDATES, [run, run, settings.updates])
        drawn_on = reader.rows(_PROBLEMS, [run])
    if len(updates) < settings.updates:
        raise UsageFault(
            f"{said} has samples of {len(updates)} finished updates; lower rlvr.updates = {settings.updates} to that"
        )
    if any(update["without_tokens"] for update in updates):
        raise UsageFault(f"{said} was drawn by a version that did not keep the tokens of its samples; draw it anew")
    for number, update in enumerate(updates, 1):
        if settings.gives_partial_credit(number) and update["judged"] and not update["counted"]:
            raise UsageFault(f"{said}: the tests of its update {number} were not counted; set rlvr.reward = pass")
    known = {(problem.suite, problem.task_id) for problem in problems}
    for row in drawn_on:
        if (row["suite"], row["task"]) not in known:
            where = f"{row['suite']} {row['task']}"
            raise UsageFault(
                f"{said} drew on {where}, which is not in rlvr.suite = {settings.suite!r}; name the suite that it has"
            )
