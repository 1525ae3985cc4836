"""The samples of an update of RLVR: drawn, or read back from a checkpoint or from another run; and written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from engine.errors import UsageFault
from engine.methods.curriculum import PassRates, weight, weighted_order
from engine.methods.groups import SampleGroup, form_group
from engine.methods.sampling import Sampling, draw_and_judge, training_row, warn_of_broken_tests
from engine.methods.stored import StoredGroup, check_tokens, record, stored_groups
from engine.model.policy import Policy
from engine.recipe.sections import Rlvr
from engine.runs.checkpoints import StateDict
from engine.runs.stages.context import Context, Resources
from engine.runs.stages.seeds import shuffled
from engine.store.writer import Writer
from engine.suites.problem import Problem


@dataclass(frozen=True, slots=True)
class Batch:
    """What one update trains on."""

    groups: list[SampleGroup]
    """All that were drawn, in their order, whether they teach or not."""
    written: list[StoredGroup]
    """The same as the store has them."""
    temperature: float
    """At which they were drawn."""
    staleness: int | None = 0
    """Updates between the weights that drew them and those that train on them; None where that is to be measured."""

    def record(self, writer: Writer, position: int, step: int) -> None:
        """Write them down as those of the update ``step``, of the stage at ``position``, with what they earn."""
        for group, written in zip(self.groups, self.written, strict=True):
            record(writer, position, step, written, group.rewards.tolist(), group.advantages.tolist())

    def state_dict(self) -> StateDict:
        """As a checkpoint holds it: the samples as rows of the store, of which the rest follows."""
        rows = [row for group in self.written for row in group.rows]
        return {"rows": rows, "temperature": self.temperature, "staleness": self.staleness}

    @classmethod
    def read(cls, written: StateDict, problems: Sequence[Problem], settings: Rlvr, number: int) -> Self:
        """From its `state_dict`, as the batch of the stage's update ``number``."""
        groups = list(stored_groups(written["rows"], _by_task(problems)))
        formed = [form_group(group.samples, settings, number) for group in groups]
        return cls(formed, groups, written["temperature"], written["staleness"])


def draw_batch(
    context: Context,
    problems: Sequence[Problem],
    number: int,
    rates: PassRates,
    *,
    policy: Policy | None = None,
    resources: Resources | None = None,
    staleness: int = 0,
) -> Batch:
    """*Collective.* The samples of the stage's update ``number``, which will be ``staleness`` updates behind it.

    They are drawn from ``policy``, with ``resources``, both by default the context's. Where they train at once each
    group is written down as soon as it is judged.
    """
    temperature = context.recipe.rlvr.temperature
    position, step = context.position, context.step + 1 + staleness
    batch = Batch([], [], temperature, staleness)
    for group in draw_groups(context, problems, number, rates, policy=policy, resources=resources):
        rows = [training_row(sample, position, step, temperature) for sample in group.samples]
        written = StoredGroup(rows, group.samples)
        if not staleness:
            record(context.writer, position, step, written, group.rewards.tolist(), group.advantages.tolist())
        batch.groups.append(group)
        batch.written.append(written)
    return batch


def draw_groups(
    context: Context,
    problems: Sequence[Problem],
    number: int,
    rates: PassRates,
    *,
    policy: Policy | None = None,
    resources: Resources | None = None,
) -> Iterator[SampleGroup]:
    """All groups drawn for update ``number``: one whose rewards are all equal is followed by another problem's.

    That is done ``max_resamples`` times at most. What did not teach is drawn all the same, and counts in the records.
    """
    settings = context.recipe.rlvr
    sampling = Sampling(settings.group_size, settings.max_new_tokens, settings.temperature)
    order = problem_order(context, problems, number, rates)
    wanted = settings.problems_per_update
    policy, resources = policy or context.policy, resources or context.resources
    for attempt in range(settings.max_resamples + 1):
        chosen = [problems[next(order)] for _ in range(min(wanted, len(problems)))]
        seed = partial(context.seeds, "rlvr", number, attempt)
        sandbox, tell = context.sandbox, context.display.tell
        count = settings.gives_partial_credit(number)
        for samples in draw_and_judge(resources, sandbox, policy, chosen, sampling, seed, tell, count=count):
            warn_of_broken_tests(context.display, samples)
            group = form_group(samples, settings, number)
            wanted -= group.teaches
            yield group
        if wanted <= 0:
            return


def problem_order(context: Context, problems: Sequence[Problem], number: int, rates: PassRates) -> Iterator[int]:
    """The problems that update ``number`` may draw, by index, without end."""
    seed = context.seeds("problems", number)
    if context.recipe.rlvr.curriculum == "uniform":
        return shuffled(len(problems), seed)
    return weighted_order([weight(rates.get(problem.task_id)) for problem in problems], seed)


def batch_of_run(context: Context, problems: Sequence[Problem], number: int, run: str) -> Batch:
    """*Collective.* What ``run`` drew for its update ``number``.

    Raises:
        UsageFault: it is gone, or of another tokenizer.
    """
    settings = context.recipe.rlvr
    rows = context.ranks.from_first(lambda: context.writer.rollouts(run, number))
    if not rows:
        raise UsageFault(f"rlvr.rollouts = {run!r}: the samples of its update {number} are gone; is it being resumed?")
    written = list(stored_groups(rows, _by_task(problems)))
    for group in written:
        check_tokens(context.policy, group, run)
    groups = [form_group(group.samples, settings, number) for group in written]
    return Batch(groups, written, rows[0]["temperature"], 1 if settings.ahead and number > 1 else None)


def _by_task(problems: Sequence[Problem]) -> Mapping[str, Problem]:
    return {problem.task_id: problem for problem in problems}
