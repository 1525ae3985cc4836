"""The arms that RA3 is compared with: what each does differently, by hand, and each through a run at tiny size."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.corpora.traces import Line, Trace
from engine.decoding.latents import Exploration, Gate, Rollout, decide
from engine.errors import UsageFault
from engine.methods.ra3.decisions import ask_decision
from engine.methods.ra3.rewards import Group, Weights, leave_one_out, returns
from engine.methods.ra3.scoring import bare_logprobs
from engine.model.encoding import EncodedTrace
from engine.model.events import AnnotatedEvents, LineEvents
from engine.model.policy import Support, load_policy
from engine.model.tries import NEW_LINE, Events, Trie, TrieBuilder, collate
from engine.pipeline import execute
from engine.recipe.files import load_recipe, shipped
from engine.recipe.keys import RecipeError
from engine.recipe.sections import Ntp, Ra3
from engine.runs.places import newest
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from engine.training.objectives import Clip
from engine.training.trainer import Trainer, Update
from tests.engine.small import FUNCTIONS, small_recipe
from tests.engine.tiny import encoded, slow_line, tiny_policy

pytestmark = pytest.mark.slow

HELD_OPEN = "explore = 1.0\nexplore_prior = 1.0"


def finished(tmp_path: Path, stages: str, **changes: str) -> tuple[Reader, str]:
    """The store of a run of ``stages``, and the run."""
    recipe = small_recipe(tmp_path, **{'"ntp", "ra3", "eval", "rlvr", "eval"': stages, **changes})
    run = plan(recipe, tmp_path / "home").runs[0].id
    (outcome,) = execute(tmp_path / "home", [run], Silent())
    assert outcome.status == "done", outcome.error
    return Reader(tmp_path / "home"), run


def asked(rollout: Rollout) -> dict[str, int]:
    """How many targets of each kind the decision at the first line of ``rollout`` has."""
    trie = TrieBuilder()
    nodes = trie.add([1, 5, 7])
    comment = Events(nodes[:2], [5, NEW_LINE], [Support.COMMENT] * 2)
    zeros, ones = np.zeros((2, 1)), np.ones((2, 1))
    trace, encoded = Trace("t", "p", (Line("\nx", "", True),)), EncodedTrace([0], [[0]], [[0, 1]])
    group = Group(trace, encoded, [rollout] * 2, zeros, zeros[0], zeros, zeros, Weights(ones, ones), zeros)
    events = AnnotatedEvents(Events([0], [1], [Support.NEWLINE]), comment, LineEvents(Events(), Events()))
    ask_decision(trie, events, group, 0, 0, Ra3())
    return collate([[trie.build()]]).label_counts


def test_a_gate_held_open_always_thinks_and_is_no_choice_to_learn() -> None:
    held = Exploration(1.0, 1.0)
    taken = decide(math.log(0.01), 0.999999, held)
    assert (taken.think, taken.behaviour_logprob) == (True, 0.0)
    rollout = Rollout([taken], [[5]], [[-1.0, -2.0]], [[-1.0, -2.0]], [True])
    assert asked(rollout) == {"comment": 2}
    chosen = Rollout([Gate(True, math.log(0.01), math.log(0.5))], [[5]], [[-1.0, -2.0]], [[-1.0, -2.0]], [True])
    assert asked(chosen) == {"gate": 1, "comment": 2}


def test_what_the_no_think_reference_says_of_a_line_cancels_in_the_advantage() -> None:
    """RLP's reward less the bare line, of a reference that sees no latents: no advantage within a group changes."""
    rewards, bare = np.random.default_rng(0).normal(size=(4, 6)), np.random.default_rng(1).normal(size=6)
    for gamma, horizon in ((1.0, 1), (0.9, None)):
        np.testing.assert_allclose(
            leave_one_out(returns(rewards - bare, gamma, horizon)), leave_one_out(returns(rewards, gamma, horizon))
        )


def test_bare_lines_are_scored_as_by_the_models_own_forward_pass(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    rows = bare_logprobs(tiny_policy(), encoded(), recipe.ra3, recipe.compute)
    for trace, row in zip(encoded(), rows, strict=True):
        before = list(trace.prompt)
        for line, prefix, logprob in zip(trace.lines, trace.gates, row, strict=True):
            assert logprob == pytest.approx(slow_line(tiny_policy(), before, line, prefix) / len(line), rel=1e-4)
            before += line


def test_more_of_the_best_than_there_are_is_refused_with_what_to_change() -> None:
    with pytest.raises(ValueError, match=r"ra3\.mstep\.samples = 5.*ra3\.group_size = 4"):
        Ra3.model_validate({"mstep": {"samples": 5}})
    Ra3.model_validate({"mstep": {"samples": 5, "select": "sample"}})


def test_overrides_of_an_arm_that_do_not_go_together_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"arms\.all\.set: .*must not be 0"):
        small_recipe(
            tmp_path,
            **{"[arms.all]": '[arms.all]\nset = {"ra3.mstep.tokens" = 0, "ra3.estep.method" = "smc"}'},
        )


@pytest.mark.slow
@pytest.mark.parametrize(("method", "select"), [("rl", "sample"), ("rl", "best"), ("smc", "sample"), ("smc", "best")])
def test_several_annotations_of_a_trace_are_imitated(method: str, select: str, tmp_path: Path) -> None:
    reader, run = finished(
        tmp_path,
        '"ra3"',
        **{
            "[ra3.estep]": f'[ra3.estep]\nmethod = "{method}"',
            "[ra3.mstep]": f'[ra3.mstep]\nselect = "{select}"\nsamples = 3',
        },
    )
    kept = [row for row in reader.traces(run) if row["phase"] == "mstep"]
    assert sorted(row["rollout"] for row in kept) == [0, 0, 1, 1, 2, 2]  # of two traces
    if (method, select) == ("rl", "best"):
        bounds = [row["bound"] for row in sorted(kept, key=lambda row: (row["trace"], row["rollout"]))]
        assert bounds[0] >= bounds[1] >= bounds[2]
        assert bounds[3] >= bounds[4] >= bounds[5]


@pytest.mark.slow
def test_brite_has_one_latent_before_a_program_that_is_one_action(tmp_path: Path) -> None:
    reader, run = finished(
        tmp_path,
        '"ra3"',
        **{
            "[ra3]": '[ra3]\nactions = "program"\nline_logp = "sum"\npenalty = 0.0',
            "explore = 0.5": HELD_OPEN + "\ncomment_kl = 1.0",
            "[ra3.mstep]": '[ra3.mstep]\nselect = "sample"\nexplore = 1.0',
        },
    )
    assert {(row["lines"], row["latents"]) for row in reader.traces(run)} == {(1, 1)}
    first = reader.traces(run)[0]
    (line,) = reader.trace_lines(first["id"])
    assert first["text"] == f"{first['prompt']}\n    #{line['latent']}{line['text']}"
    assert first["bare"] == pytest.approx(line["bare_logprob"])
    assert "mstep/loss_gate" in reader.latest(run)


@pytest.mark.slow
def test_rlp_by_the_line_thinks_before_every_line_and_hands_on_q_itself(tmp_path: Path) -> None:
    reader, run = finished(
        tmp_path,
        '"ra3"',
        **{
            "[ra3]": "[ra3]\nhorizon = 1\npenalty = 0.0",
            "[ra3.estep]": '[ra3.estep]\nmode = "branch"\nscorer = "self"',
            "explore = 0.5": HELD_OPEN,
            "[ra3.mstep]\ntraces = 2\ntokens = 300": "[ra3.mstep]\ntokens = 0",
        },
    )
    assert {row["phase"] for row in reader.traces(run)} == {"estep"}
    latest = reader.latest(run)
    assert latest["estep/think_rate"] == 1
    assert latest["estep/reward"] == latest["estep/likelihood"]
    found = newest(tmp_path / "home" / run / "checkpoints")
    assert found is not None
    assert load_policy(str(found[0])).fingerprint() != load_policy("random:tiny").fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["expert", "file"])
def test_ntp_with_comments_learns_gate_comment_and_code(kind: str, tmp_path: Path) -> None:
    told = {"trace": "functions.py::total:2", "comments": [" from nothing", None, " one by one", None]}
    (tmp_path / "told.jsonl").write_text(json.dumps(told))
    path = f'comments_path = "{tmp_path / "told.jsonl"}"\n'
    reader, run = finished(tmp_path, '"ntp"', **{"[ntp]": f'[ntp]\ncomments = "{kind}"\n{path}'})
    assert {"ntp/loss_gate", "ntp/loss_comment", "ntp/loss_code"} <= set(reader.latest(run))
    (note,) = [event["message"] for event in reader.events(run) if event["kind"] == "comments"]
    assert note.startswith("1 comments in 1 of 3" if kind == "expert" else "2 comments in 1 of 3")
    assert reader.latest(run)["ntp/loss_code"] < dict(reader.series(run, "ntp/loss_code"))[1]


@pytest.mark.slow
def test_measuring_held_out_traces_is_charged_to_no_arm_and_changes_no_weight(tmp_path: Path) -> None:
    found = []
    for rollouts in (0, 5):
        folder = tmp_path / str(rollouts)
        folder.mkdir()
        reader, run = finished(folder, '"ra3"', **{"[ra3]": f"[ra3]\nheld_out_rollouts = {rollouts}"})
        (stage,) = reader.stages(run)
        latest = reader.latest(run)
        assert ("held_out/perplexity_latents" in latest) == (rollouts > 0)
        assert stage["flops"] > 0
        found.append((latest["loss"], *(stage[name] for name in ("flops", "tokens_generated", "tokens_trained"))))
    assert found[0] == found[1]


@pytest.mark.slow
def test_an_arm_trains_for_as_many_seconds_as_another_took(tmp_path: Path) -> None:
    arms = """
[arms.first]
stages = ["ra3"]
[arms.second]
stages = ["ntp"]
set = {"ntp.as_long_as" = "first"}
"""
    changes = {'[arms.all]\nstages = ["ntp", "ra3", "eval", "rlvr", "eval"]': arms}
    first, second = (run.id for run in plan(small_recipe(tmp_path, **changes), tmp_path / "home").runs)
    outcomes = execute(tmp_path / "home", [first, second], Silent())
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("done", None)] * 2
    reader = Reader(tmp_path / "home")
    ((model,), (copy,)) = reader.stages(first), reader.stages(second)
    budget = reader.latest(second)["ntp/budget_seconds"]
    assert budget == pytest.approx(model["seconds"] - model["work"]["measure"])
    assert copy["seconds"] - copy["work"]["measure"] >= budget
    assert copy["tokens_trained"] > 0


def test_the_seconds_of_an_arm_that_has_not_trained_are_no_budget(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{"[ntp]": '[ntp]\nas_long_as = "nobody"'})
    runs = [run.id for run in plan(recipe, tmp_path / "home").runs]
    with pytest.raises(UsageFault, match="'nobody': no arm of that name has trained"):
        execute(tmp_path / "home", runs, Silent())
    with pytest.raises(ValueError, match="set one of them"):
        Ntp(seconds=1.0, as_long_as="nobody")
    with pytest.raises(ValueError, match=r"ntp\.as_long_as and ntp\.flops_of are each a budget"):
        Ntp(as_long_as="nobody", flops_of="nobody")


TWO_ARMS = """
[arms.first]
stages = ["ra3"]
[arms.second]
stages = ["ntp"]
"""
ONE_ARM = '[arms.all]\nstages = ["ntp", "ra3", "eval", "rlvr", "eval"]'


def two_arms(folder: Path, more: str = "", **changes: str) -> tuple[Reader, str, str]:
    """The store of an arm ``ra3`` and one ``ntp`` that have trained, and their runs."""
    recipe = small_recipe(folder, **{ONE_ARM: TWO_ARMS + more, **changes})
    first, second = (run.id for run in plan(recipe, folder / "home").runs)
    outcomes = execute(folder / "home", [first, second], Silent())
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("done", None)] * 2
    return Reader(folder / "home"), first, second


def test_an_arm_trains_for_as_many_operations_as_another_took(tmp_path: Path) -> None:
    reader, first, second = two_arms(tmp_path, 'set = {"ntp.flops_of" = "first"}')
    ((model,), (copy,)) = reader.stages(first), reader.stages(second)
    budget = reader.latest(second)["ntp/budget_flops"]
    assert budget == model["flops"] > 0
    spent = [flops for _, flops in reader.series(second, "cost/flops")]
    assert spent[-1] == copy["flops"] >= budget
    assert spent[-2] < budget


def test_ntp_and_the_m_step_train_on_the_same_traces_equally_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the code that went through the trainer: an M-step's is a trace's with comments in between."""
    seen: list[list[int]] = []
    update = Trainer.update

    def watched(trainer: Trainer, tries: Sequence[Trie], *rest: Any) -> Update:
        names = tries[0].targets.names
        if "code" in names:
            code = [trie.targets.labels == trie.targets.names.index("code") for trie in tries]
            seen.append([int(trie.targets.tokens[mine].sum()) for trie, mine in zip(tries, code, strict=True)])
        return update(trainer, tries, *rest)

    monkeypatch.setattr(Trainer, "update", watched)
    changes = {"[ra3]": "[ra3]\nrounds = 2", "traces = 2\ntokens = 300": "tokens = 300"}
    reader, first, second = two_arms(tmp_path, **changes)
    updates = len(reader.series(first, "loss"))
    ours, theirs = ([trace for batch in part for trace in batch] for part in (seen[:updates], seen[updates:]))
    assert ours == theirs
    assert len(ours) > 3  # more than one epoch
    told = [event["message"] for event in reader.events(second) if "to train on" in event["message"]]
    assert "first 2 x 300 tokens" in told[0]
    assert "second 600 tokens" in told[0]


def test_arms_that_would_not_see_the_same_data_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, **{ONE_ARM: TWO_ARMS, "traces = 2\ntokens = 300": "tokens = 300"})
    runs = [run.id for run in plan(recipe, tmp_path / "home").runs]
    with pytest.raises(UsageFault, match=r"second 600 tokens, .* epochs; first 300 tokens.*set ntp\.tokens = 300"):
        execute(tmp_path / "home", runs, Silent())
    assert [Reader(tmp_path / "home").run(run)["step"] for run in runs] == [0, 0]


def test_every_epoch_of_an_update_is_in_the_records(tmp_path: Path) -> None:
    told = {}
    for epochs in (1, 3):
        (tmp_path / str(epochs)).mkdir()
        changes = {
            "[ra3.estep]": f"[ra3.estep]\nepochs = {epochs}",
            "[ra3.mstep]\ntraces = 2\ntokens = 300": "[ra3.mstep]\ntokens = 0",
            "explore = 0.5\noptimiser.learning_rate = 1e-3": "explore = 0.5\noptimiser.learning_rate = 1e-30",
        }
        reader, run = finished(tmp_path / str(epochs), '"ra3"', **changes)
        (stage,) = reader.stages(run)
        latest = reader.latest(run)
        told[epochs] = (stage["tokens_trained"], latest["cost/optimiser_steps"], reader.run(run)["step"])
        assert latest["clip_fraction"] == latest["skipped"] == 0
    assert told[3] == (3 * told[1][0], 3 * told[1][1], told[1][2])
    assert told[1][1:] == (2, 2)


@pytest.mark.parametrize("mode", ["trajectory", "branch"])
def test_every_policy_gradient_knows_by_which_distribution_its_tokens_were_drawn(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch, and the old log-probabilities are there, near the trainer's own at the temperature of the samples."""
    told: list[tuple[str, bool, Clip | None, float, Update]] = []
    update = Trainer.update

    def watched(
        trainer: Trainer, tries: Sequence[Trie], clip: Clip | None = None, temperature: float = 1.0, kl: float = 0.0
    ) -> Update:
        taken = update(trainer, tries, clip, temperature, kl)
        known = all(bool(np.isfinite(trie.targets.old).all()) for trie in tries)
        told.append((tries[0].targets.names[-1], known, clip, temperature, taken))
        return taken

    monkeypatch.setattr(Trainer, "update", watched)
    changes = {
        "[ra3.estep]": f'[ra3.estep]\nmode = "{mode}"',
        "max_new_tokens = 1\nfilter": "max_new_tokens = 1\ntemperature = 0.7\nfilter",
    }
    finished(tmp_path, '"ra3", "rlvr"', **changes)
    assert {(name, known, temperature) for name, known, _, temperature, _ in told} == {
        ("comment", True, 1.0),
        ("end", False, 1.0),
        ("completion", True, 0.7),
    }
    assert {(clip, taken.clip_fraction) for _, _, clip, _, taken in told} == {(None, 0.0)}


def test_a_schedule_goes_on_over_all_rounds_of_a_stage(tmp_path: Path) -> None:
    linear = "optimiser.learning_rate = 1e-3\noptimiser.schedule = 'linear'"
    changes = {"[ra3]": "[ra3]\nrounds = 2", "optimiser.learning_rate = 1e-3": linear}
    reader, run = finished(tmp_path, '"ra3"', **changes)
    rates = dict(reader.series(run, "learning_rate"))
    q = [rates[step] for step, _ in reader.series(run, "estep/loss")]
    assert q == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    policy = [rates[step] for step, _ in reader.series(run, "loss")]
    half = policy.index(pytest.approx(5e-4))
    assert policy == pytest.approx(
        [1e-3 * (1 - i / (2 * half)) for i in range(half)]
        + [5e-4 * (1 - i / (len(policy) - half)) for i in range(len(policy) - half)]
    )


TINY = (
    "model.id=random:tiny",
    "compute.device=cpu",
    "corpus.kind=folder",
    "corpus.held_out=1",
    "corpus.max_tokens=400",
    "ntp.tokens=10",
    "ra3.rounds=1",
    "ra3.estep.updates=1",
    "ra3.estep.traces=1",
    "ra3.mstep.traces=1",
    "ra3.mstep.tokens=10",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_recipe_is_planned_and_trains_at_tiny_size(name: str, tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    recipe = load_recipe(name, [*TINY, f"corpus.path={tmp_path}"])
    trained = {arm: tuple({"ntp", "ra3"} & set(told.stages)) for arm, told in recipe.arms.items()}
    arms = {arm: recipe.arms[arm].model_copy(update={"stages": stages}) for arm, stages in trained.items() if stages}
    chosen = list(arms) if name == "baselines" else list(arms)[-1:]  # an ablation's arms differ in one number
    runs = [run.id for run in plan(recipe.model_copy(update={"arms": arms}), tmp_path / "home", arms=chosen).runs]
    outcomes = execute(tmp_path / "home", runs, Silent())
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("done", None)] * len(chosen)
