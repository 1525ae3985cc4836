"""Every key of a recipe that changes numbers, through a whole run: another value changes what it should."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from pydantic import BaseModel
from safetensors.torch import load_file

from engine.pipeline import execute
from engine.recipe.recipe import Arm, Recipe
from engine.runs.places import newest
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from tests.engine.small import small_recipe

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Records:
    """What a run left."""

    series: dict[str, list[float]]
    """Values of each metric, in the order of steps."""
    latest: dict[str, float]
    samples: list[dict[str, Any]]
    estep: list[dict[str, Any]] = field(default_factory=list)
    """Traces of the E-step's updates, with their lines, as drawn."""
    mstep: list[dict[str, Any]] = field(default_factory=list)
    """Traces that were imitated."""
    evals: list[dict[str, Any]] = field(default_factory=list)
    events: str = ""
    weights: dict[str, Any] = field(default_factory=dict)
    step: int = 0

    @property
    def first(self) -> list[dict[str, Any]]:
        """Lines of the traces that the first update of the E-step drew, before any weight has moved."""
        return [line for trace in self.estep if trace["step"] == self.estep[0]["step"] for line in trace["rows"]]

    def of_first(self, column: str) -> list[Any]:
        return [line[column] for line in self.first]

    def moved_from(self, other: Records) -> float:
        """How far the weights are from those of another run, the largest difference."""
        return max(float((self.weights[name] - other.weights[name]).abs().max()) for name in self.weights)


@cache
def ran(*stages: str, **values: Any) -> Records:
    folder = Path(mkdtemp(prefix="keys"))
    arms = {"all": Arm.model_validate({"stages": stages})}
    given = {"checkpoints.every": 1000} | {key.replace("__", "."): value for key, value in values.items()}
    recipe = small_recipe(folder).with_values(given)
    run = plan(recipe.model_copy(update={"arms": arms}), folder / "home").runs[0].id
    (outcome,) = execute(folder / "home", [run], Silent())
    assert outcome.status == "done", outcome.error
    reader = Reader(folder / "home")
    metrics = reader.rows("select key, value from metrics where run = ? order by step", [run])
    series: dict[str, list[float]] = {}
    for row in metrics:
        series.setdefault(row["key"], []).append(row["value"])
    traces = [trace | {"rows": reader.trace_lines(trace["id"])} for trace in reader.traces(run, limit=10_000)]
    checkpoint = newest(folder / "home" / run / "checkpoints") if set(stages) != {"eval"} else None
    return Records(
        series,
        reader.latest(run),
        reader.samples(run, limit=10_000),
        [trace for trace in traces if trace["phase"] == "estep"],
        [trace for trace in traces if trace["phase"] == "mstep"],
        reader.evals(run),
        "\n".join(event["message"] for event in reader.events(run)),
        load_file(checkpoint[0] / "model.safetensors") if checkpoint else {},
        reader.run(run)["step"],
    )


@dataclass(frozen=True)
class Key:
    """A key, another value of it, and how the records of a run with it differ."""

    name: str
    value: Any
    stage: str
    differs: Callable[[Records, Records], bool]
    """Whether the second, with the other value, differs from the first as it should."""
    beside: dict[str, Any] = field(default_factory=dict)
    """What both runs have."""

    def __str__(self) -> str:
        return f"{self.stage}:{self.name}"


def same_draws_other_weights(a: Records, b: Records) -> bool:
    """The key changes what is learnt and not what the first update drew and how its lines were scored."""
    same = all(a.of_first(column) == b.of_first(column) for column in ("latent", "logprob", "reward"))
    return same and b.moved_from(a) > 0


def same_rewards_other_advantages(a: Records, b: Records) -> bool:
    same = a.of_first("reward") == b.of_first("reward")
    return same and a.of_first("advantage") != b.of_first("advantage")


def second_differs(metric: str) -> Callable[[Records, Records], bool]:
    """Of the first update alike but for rounding, of the second not."""
    alike = [False, True]
    return lambda a, b: (
        [not math.isclose(x, y, abs_tol=1e-5) for x, y in zip(a.series[metric], b.series[metric], strict=True)] == alike
    )


def ratio(metric: str, expected: float) -> Callable[[Records, Records], bool]:
    """Of the first update the metric is so many times what it was."""
    return lambda a, b: math.isclose(ratio_of(a, b, metric), expected, rel_tol=1e-6)


def rises(metric: str, by: float = 0.0) -> Callable[[Records, Records], bool]:
    return lambda a, b: b.series[metric][0] > a.series[metric][0] + by


def falls(metric: str, by: float = 0.0) -> Callable[[Records, Records], bool]:
    return lambda a, b: b.series[metric][0] < a.series[metric][0] - by


def appears(metric: str) -> Callable[[Records, Records], bool]:
    return lambda a, b: metric in b.latest and metric not in a.latest


def fewer_steps(a: Records, b: Records) -> bool:
    return b.step < a.step


def more_traces(times: int) -> Callable[[Records, Records], bool]:
    """Of the E-step."""
    return lambda a, b: len(b.estep) == times * len(a.estep) > 0


def more_samples(times: int) -> Callable[[Records, Records], bool]:
    return lambda a, b: len(b.samples) == times * len(a.samples) > 0


def fewer_texts(a: Records, b: Records) -> bool:
    return len({sample["text"] for sample in b.samples}) < len({sample["text"] for sample in a.samples})


def more_comments(a: Records, b: Records) -> bool:
    """Lines of samples that begin as a comment."""
    counts = [sum(len(re.findall(r"\n[ \t]*#", sample["text"])) for sample in r.samples) for r in (a, b)]
    return counts[0] < counts[1]


def advantages(records: Records) -> set[float]:
    """Their sizes."""
    return {abs(sample["advantage"]) for sample in records.samples}


def rewards(records: Records, step: int | None = None) -> set[float]:
    """Those of its samples, or of those of one update."""
    return {sample["reward"] for sample in records.samples if step in (None, sample["step"])}


def tasks(records: Records) -> list[str]:
    return [sample["task"] for sample in records.samples]


def at_the_margin(a: Records, b: Records) -> bool:
    """Latents stand in column 0, and did not."""
    both = [trace for trace in (*a.estep, *b.estep) if trace["latents"]]
    return [("\n#" in trace["text"]) for trace in both] == [trace in b.estep for trace in both]


def other_words_at_the_same_gate(a: Records, b: Records) -> bool:
    same = a.of_first("p_think")[0] == b.of_first("p_think")[0]
    return same and a.of_first("latent") != b.of_first("latent")


def traces_used(count: int) -> Callable[[Records, Records], bool]:
    return lambda a, b: f"{count} traces from" in b.events and f"{count} traces from" not in a.events


def most_tokens(records: Records) -> int:
    return max(sample["tokens"] for sample in records.samples)


def ratio_of(a: Records, b: Records, metric: str) -> float:
    return b.series[metric][0] / a.series[metric][0]


def norm(records: Records) -> float:
    return math.sqrt(sum(float(weight.square().sum()) for weight in records.weights.values()))


def optimiser(section: str, stage: str, **beside: Any) -> Iterator[Key]:
    """The keys of a stage's optimiser."""

    def rates(*shares: float) -> Callable[[Records, Records], bool]:
        return lambda _, b: b.series["learning_rate"][: len(shares)] == pytest.approx([1e-3 * s for s in shares])

    yield Key(f"{section}.learning_rate", 1e-4, stage, rates(0.1, 0.1), beside)
    yield Key(f"{section}.warmup_steps", 2, stage, rates(1 / 3, 2 / 3), beside)
    yield Key(f"{section}.schedule", "linear", stage, lambda _, b: b.series["learning_rate"][1] < 1e-3, beside)
    yield Key(f"{section}.weight_decay", 50.0, stage, lambda a, b: norm(b) < 0.97 * norm(a), beside)
    yield Key(f"{section}.beta1", 0.1, stage, lambda a, b: b.moved_from(a) > 0, beside)
    yield Key(f"{section}.beta2", 0.1, stage, lambda a, b: b.moved_from(a) > 0, beside)
    yield Key(f"{section}.max_grad_norm", 1e-9, stage, lambda a, b: b.moved_from(a) > 0, beside)


Q_IS_NEXT = {"ra3.mstep.tokens": 0, "ra3.mstep.traces": None}
SMC = {"ra3.estep.method": "smc", "ra3.mstep.select": "sample", "ra3.group_size": 4, "ra3.estep.explore": 1.0}
TEACHING = {"rlvr.max_new_tokens": 1, "rlvr.group_size": 8, "rlvr.max_resamples": 4, "rlvr.updates": 2}

CHOICE = {"rlvr.max_resamples": 0}
RATIO = {"ra3.estep.epochs": 3}
WEIGHTED = TEACHING | {"rlvr.reward": "weighted"}
CLIPPED = TEACHING | {"rlvr.epochs": 3, "rlvr.optimiser.learning_rate": 1e-5}
BOUND = CLIPPED | {"rlvr.clip_low": 1e-6, "rlvr.clip_high": 1e-6}
LONGER = BOUND | {"rlvr.max_new_tokens": 2, "rlvr.group_size": 32, "rlvr.updates": 1}
SETTLED = CHOICE | {"rlvr.updates": 12, "rlvr.group_size": 2, "rlvr.temperature": 0.01}

KEYS = [
    Key("seed", 4, "ra3", lambda a, b: a.of_first("latent") != b.of_first("latent")),
    Key("model.dtype", "bfloat16", "eval", lambda a, b: a.samples[0]["logprob"] != b.samples[0]["logprob"]),
    Key("corpus.limit", 3, "ntp", traces_used(3)),
    Key("corpus.held_out", 2, "ntp", lambda a, b: a.latest["held_out/loss"] != b.latest["held_out/loss"]),
    Key("corpus.min_lines", 5, "ntp", traces_used(2)),
    Key("corpus.max_lines", 4, "ntp", traces_used(2)),
    Key("corpus.max_tokens", 60, "ntp", lambda a, b: "over 60 tokens" in b.events and "over" not in a.events),
    # ntp
    Key("ntp.tokens", 300, "ntp", fewer_steps),
    Key("ntp.step_tokens", 600, "ntp", lambda a, b: b.step == 1 < a.step),
    Key("ntp.comments", "expert", "ntp", appears("ntp/loss_comment")),
    *optimiser("ntp.optimiser", "ntp"),
    # what is learnt by RA3, and from what
    Key("ra3.actions", "program", "ra3", lambda a, b: {trace["lines"] for trace in b.mstep} == {1}),
    Key("ra3.rounds", 2, "ra3", lambda a, b: b.step == 2 * a.step),
    Key("ra3.penalty", 0.2, "ra3", ratio("estep/penalty", 4.0)),
    Key("ra3.bound", "bernoulli", "ra3", rises("estep/penalty", 0.05)),
    Key("ra3.alpha", 0.99, "ra3", falls("estep/penalty", 0.05), {"ra3.bound": "bernoulli"}),
    Key("ra3.line_logp", "sum", "ra3", lambda a, b: ratio_of(a, b, "estep/likelihood") > 2),
    Key("ra3.latent_indent", "column0", "ra3", at_the_margin),
    Key("ra3.max_latent_tokens", 1, "ra3", falls("estep/latent_tokens")),
    Key("ra3.gamma", 0.5, "ra3", same_rewards_other_advantages),
    Key("ra3.horizon", 1, "ra3", same_rewards_other_advantages),
    Key("ra3.group_size", 8, "ra3", more_traces(2)),
    Key("ra3.held_out_rollouts", 2, "ra3", appears("held_out/perplexity_latents"), {"ra3.held_out_rollouts": 0}),
    # the E-step
    Key("ra3.estep.method", "smc", "ra3", appears("annotate/effective_share")),
    Key("ra3.estep.mode", "branch", "ra3", lambda a, b: a.of_first("logprob") != b.of_first("logprob")),
    Key("ra3.estep.updates", 4, "ra3", more_traces(2)),
    Key("ra3.estep.traces", 2, "ra3", more_traces(2)),
    Key("ra3.estep.epochs", 3, "ra3", ratio("cost/optimiser_steps", 3)),
    Key("ra3.estep.clip", 1e-6, "ra3", rises("clip_fraction"), RATIO),
    Key("ra3.estep.explore", 0.0, "ra3", falls("estep/think_rate", 0.1)),
    Key("ra3.estep.importance_cap", 1.0, "ra3", same_draws_other_weights, Q_IS_NEXT),
    Key("ra3.estep.comment_weight", "open", "ra3", same_draws_other_weights, Q_IS_NEXT),
    Key("ra3.estep.explore_prior", 1.0, "ra3", rises("estep/think_rate", 0.1)),
    Key("ra3.estep.explore_decay", 0.5, "ra3", lambda a, b: b.series["estep/explore"] == [0.5, 0.25]),
    Key("ra3.estep.comment_kl", 5.0, "ra3", second_differs("estep/penalty")),
    Key("ra3.estep.temperature", 0.2, "ra3", other_words_at_the_same_gate),
    Key("ra3.estep.gate_temperature", 50.0, "ra3", rises("estep/think_rate", 0.2), {"ra3.estep.explore": 0.0}),
    Key("ra3.estep.format_charge", 1.0, "ra3", rises("estep/penalty", 0.1)),
    Key("ra3.estep.scorer", "ema", "ra3", second_differs("estep/likelihood"), {"ra3.estep.ema_decay": 0.5}),
    Key("ra3.estep.ema_decay", 0.1, "ra3", second_differs("estep/likelihood"), {"ra3.estep.scorer": "ema"}),
    Key("ra3.estep.resample_temperature", 1e-3, "ra3", falls("annotate/effective_share"), SMC),
    *optimiser("ra3.estep.optimiser", "ra3", **Q_IS_NEXT),
    # the M-step
    Key("ra3.mstep.tokens", 150, "ra3", fewer_steps),
    Key("ra3.mstep.step_tokens", 300, "ra3", fewer_steps),
    Key("ra3.mstep.traces", 1, "ra3", lambda a, b: len({trace["trace"] for trace in b.mstep}) == 1 < len(a.mstep)),
    Key("ra3.mstep.select", "sample", "ra3", falls("annotate/bound"), {"ra3.mstep.explore": 1.0}),
    Key("ra3.mstep.samples", 2, "ra3", lambda a, b: len(b.mstep) == 2 * len(a.mstep)),
    Key("ra3.mstep.explore", 1.0, "ra3", rises("annotate/think_rate", 0.2), {"ra3.mstep.select": "sample"}),
    *optimiser("ra3.mstep.optimiser", "ra3", **{"ra3.estep.updates": 0}),
    # rlvr
    Key("rlvr.updates", 1, "rlvr", fewer_steps),
    Key("rlvr.problems_per_update", 2, "rlvr", more_samples(2), CHOICE),
    Key("rlvr.group_size", 8, "rlvr", more_samples(2), CHOICE),
    Key("rlvr.max_resamples", 1, "rlvr", more_samples(2), CHOICE | {"rlvr.filter_overlong": True}),
    Key("rlvr.max_new_tokens", 3, "rlvr", rises("rlvr/length")),
    Key("rlvr.temperature", 0.01, "rlvr", fewer_texts),
    Key("rlvr.clip_low", 1e-6, "rlvr", rises("clip_fraction"), CLIPPED),
    Key("rlvr.clip_high", 1e-6, "rlvr", rises("clip_fraction"), CLIPPED),
    Key("rlvr.epochs", 2, "rlvr", ratio("cost/optimiser_steps", 2), TEACHING),
    Key("rlvr.normalise", "none", "rlvr", lambda a, b: max(advantages(b)) < 0.9 < max(advantages(a)), TEACHING),
    Key("rlvr.curriculum", "pass_rate", "rlvr", lambda a, b: tasks(b) != tasks(a), SETTLED),
    Key("rlvr.objective", "gspo", "rlvr", lambda a, b: b.moved_from(a) > 0, LONGER),
    Key("rlvr.objective", "cispo", "rlvr", lambda a, b: b.moved_from(a) > 0, BOUND),
    Key("rlvr.kl", 5.0, "rlvr", appears("rlvr/kl_start"), TEACHING),
    Key("rlvr.reward", "weighted", "rlvr", lambda a, b: rewards(b) - rewards(a) == {1.1}, TEACHING),
    Key("rlvr.partial_updates", 1, "rlvr", lambda a, b: rewards(a, 2) - rewards(b, 2) == {1.1}, WEIGHTED),
    Key("rlvr.filter_overlong", True, "rlvr", lambda a, b: advantages(b) == {0.0} != advantages(a), TEACHING),
    *optimiser("rlvr.optimiser", "rlvr", **TEACHING),
    # eval
    Key("eval.n", 4, "eval", more_samples(2)),
    Key("eval.k", (2,), "eval", lambda a, b: [row["k"] for row in b.evals] == [2] != [row["k"] for row in a.evals]),
    Key("eval.max_new_tokens", 2, "eval", lambda a, b: most_tokens(b) == 2 < most_tokens(a)),
    Key("eval.temperature", 0.0, "eval", fewer_texts),
    Key("eval.top_k", 1, "eval", fewer_texts),
    Key("eval.top_p", 0.001, "eval", fewer_texts),
    Key("eval.min_p", 1.0, "eval", fewer_texts),
    Key("eval.gate_bias", 1000.0, "eval", more_comments, {"eval.max_new_tokens": 60, "eval.n": 8}),
]

ELSEWHERE = {
    "model.id": "what is opened: tests/engine/model/test_policy.py",
    "model.revision": "of a hub, which a test does not reach",
    "lora.rank": "tests/engine/model/test_lora.py",
    "lora.alpha": "tests/engine/model/test_lora.py",
    "lora.target_modules": "tests/engine/model/test_lora.py",
    "corpus.kind": "tests/engine/corpora",
    "corpus.path": "tests/engine/corpora",
    "corpus.duplicates": "tests/engine/corpora",
    "corpus.depth": "tests/engine/suites/formats/test_katas.py",
    "ntp.seconds": "test_arms.py",
    "ntp.as_long_as": "test_arms.py",
    "ntp.flops_of": "test_arms.py",
    "ntp.comments_path": "tests/engine/corpora",
    "rlvr.suite": "tests/engine/suites",
    "rlvr.ahead": "tests/engine/methods/test_ahead.py",
    "rlvr.rollouts": "tests/engine/methods/test_stored.py",
    "eval.suites": "tests/engine/suites",
    "eval.portion": "tests/engine/methods/test_evaluation.py",
    "compute": "changes no number, which the tests of packing, processes, shards and recomputing hold",
    "sandbox": "tests/sandbox",
    "checkpoints": "test_pipeline.py, tests/engine/runs/test_control.py, tests/engine/runs/stages/test_checkpointer.py",
    "arms": "tests/engine/recipe",
    "name": "a name",
    "description": "a name",
}


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_another_value_changes_what_it_should(key: Key) -> None:
    before = ran(key.stage, **{name.replace(".", "__"): value for name, value in key.beside.items()})
    both = key.beside | {key.name: key.value}
    after = ran(key.stage, **{name.replace(".", "__"): value for name, value in both.items()})
    assert key.differs(before, after)


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a recipe that holds a value."""
    for name, info in section.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_no_key_is_forgotten() -> None:
    tried = {key.name for key in KEYS} | set(ELSEWHERE)
    assert [key for key in leaves(Recipe) if key not in tried and key.partition(".")[0] not in ELSEWHERE] == []
