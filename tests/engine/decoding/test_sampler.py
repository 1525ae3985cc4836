"""Decoding against slow versions without cache, batch or mask, and attacks on what rows share."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from engine.corpora.traces import Annotated, parse_trace
from engine.decoding.beginnings import common
from engine.decoding.decoder import MIN_SHARED, Answer, Decoder, Row, Turn
from engine.decoding.drawing import Truncation, draw
from engine.decoding.kvcache import FIRST_COLUMNS, Span
from engine.decoding.latents import Rollout, annotate
from engine.decoding.recorded import Passes
from engine.decoding.sampler import Completion, StopReason, generate, may_open_comment
from engine.model.boundary import LEADING
from engine.model.encoding import chunk_mismatches, encode_trace
from engine.model.policy import Policy, Support
from tests.engine.devices import DEVICE, row_of
from tests.engine.tiny import encoded, prompts, slow_comment, slow_gate, slow_logits, tiny_policy, traces

SEEDS = range(100, 200)


@pytest.fixture(scope="module", params=[False, True], ids=["", "recorded"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return replace(tiny_policy(), cuda_graphs=request.param)


def sample(policy: Policy, batch_size: int, **options: object) -> list[Completion]:
    settings = {"max_new_tokens": 24, **options}
    return generate(policy, prompts(), SEEDS[: len(prompts())], batch_size=batch_size, **settings)  # type: ignore[arg-type]


def roll(policy: Policy, batch_size: int = 4, n: int = 4, **options: object) -> list[Rollout]:
    settings = {"max_latent_tokens": 6, "explore": 1.0, **options}
    many = [trace for trace in encoded() for _ in range(n)]
    return annotate(policy, many, SEEDS[: len(many)], batch_size=batch_size, **settings)  # type: ignore[arg-type]


class TestGenerate:
    def test_greedy_equals_the_models_own_generate(self, policy: Policy) -> None:
        for prompt, ours in zip(prompts(), sample(policy, 4, temperature=0.0), strict=True):
            theirs = policy.model.generate(row_of(prompt), do_sample=False, max_new_tokens=24, pad_token_id=0)
            assert ours.ids == theirs[0, len(prompt) :].tolist()

    @pytest.mark.medium
    @pytest.mark.parametrize("batch_size", [3, 8])
    def test_draws_do_not_depend_on_the_batch_size(self, policy: Policy, batch_size: int) -> None:
        alone = sample(policy, 1)
        together = sample(policy, batch_size)
        assert [c.ids for c in together] == [c.ids for c in alone]

    @pytest.mark.parametrize(
        ("text", "may"),
        [
            ("\n", True),
            ("\n    ", True),
            ("", False),
            ("x = 1", False),
            ("\n    # a\n    ", False),
            ("\n    x  # a\n", True),
        ],
    )
    def test_a_comment_may_be_opened_where_a_line_starts_behind_no_comment(self, text: str, may: bool) -> None:
        assert may_open_comment(text) is may

    def test_a_gate_held_open_is_told_by_its_bias(self, policy: Policy) -> None:
        """With one beyond all logits each line that starts opens a comment; with one below them, none does."""

        def comments(bias: float) -> list[bool]:
            written = [completion.text for completion in sample(policy, 3, gate_bias=bias, max_new_tokens=60)]
            texts = [text for text in written if "\n" in text[:-8]]
            return [re.search(r"^[ \t]*#", text, re.MULTILINE) is not None for text in texts]

        assert comments(1000.0)
        assert all(comments(1000.0))
        assert not any(comments(-1000.0))

    def test_draws_do_not_depend_on_the_neighbours(self, policy: Policy) -> None:
        straight = sample(policy, 3)
        order = list(range(len(prompts())))
        random.Random(5).shuffle(order)
        shuffled = generate(
            policy, [prompts()[i] for i in order], [SEEDS[i] for i in order], max_new_tokens=24, batch_size=3
        )
        assert [c.ids for c in shuffled] == [straight[i].ids for i in order]

    def test_equal_prompts_with_different_seeds_differ(self, policy: Policy) -> None:
        completions = sample(policy, 8)
        assert prompts()[3] == prompts()[5]
        assert completions[3].ids != completions[5].ids

    def test_logprobs_are_those_of_an_uncached_forward_at_temperature_one(self, policy: Policy) -> None:
        for prompt, completion in zip(
            prompts(), sample(policy, 3, temperature=0.7, truncation=Truncation(top_p=0.9)), strict=True
        ):
            slow = slow_logits(policy, prompt + completion.ids).log_softmax(-1)[len(prompt) - 1 : -1]
            expected = [float(slow[i, token]) for i, token in enumerate(completion.ids)]
            assert completion.logprobs == pytest.approx(expected, abs=1e-4)

    def test_a_refilled_place_forgets_the_sequence_before(self, policy: Policy) -> None:
        long, short = prompts()[3], prompts()[2]
        refilled = generate(policy, [long, short, long, short], range(4), max_new_tokens=12, batch_size=1)
        fresh = [generate(policy, [p], [s], max_new_tokens=12)[0] for s, p in enumerate([long, short, long, short])]
        assert [c.ids for c in refilled] == [c.ids for c in fresh]

    @pytest.mark.parametrize("length", [FIRST_COLUMNS - 4, 2 * FIRST_COLUMNS + 50])
    def test_the_cache_grows_beyond_its_first_columns(self, policy: Policy, length: int) -> None:
        prompt = (prompts()[3] * 12)[:length]
        ours = generate(policy, [prompt, prompts()[2]], [0, 1], max_new_tokens=16, temperature=0.0)[0]
        theirs = policy.model.generate(row_of(prompt), do_sample=False, max_new_tokens=16, pad_token_id=0)
        assert ours.ids == theirs[0, len(prompt) :].tolist()

    def test_on_done_names_each_completion_once(self, policy: Policy) -> None:
        by_index: dict[int, Completion] = {}
        completions = sample(policy, 3, on_done=by_index.__setitem__)
        assert [by_index[i] for i in range(len(completions))] == completions

    def test_an_empty_prompt_is_refused(self, policy: Policy) -> None:
        with pytest.raises(ValueError, match="prompt 1 is empty"):
            generate(policy, [[1], []], [0, 1], max_new_tokens=1)

    def test_no_prompts_give_no_completions(self, policy: Policy) -> None:
        assert generate(policy, [], [], max_new_tokens=1) == []

    def test_dropout_is_off_while_sampling_and_back_after(self, policy: Policy) -> None:
        sizes = {"vocab_size": policy.vocab_size, "n_embd": 32, "n_layer": 1, "n_head": 2, "bos_token_id": 0}
        model = GPT2LMHeadModel(GPT2Config(**sizes, eos_token_id=0, initializer_range=0.3)).train().to(DEVICE)
        first, second = (sample(replace(policy, model=model), 4) for _ in range(2))
        assert first == second
        assert model.training

    def test_should_stop_returns_what_has_ended(self, policy: Policy) -> None:
        ended: list[int] = []
        completions = sample(
            policy, 2, on_done=lambda index, _: ended.append(index), should_stop=lambda: len(ended) >= 3
        )
        assert 3 <= len(completions) == len(ended) < len(prompts())

    @pytest.mark.medium
    @pytest.mark.parametrize("model", ["gpt2", "qwen3"])
    def test_other_architectures_decode_alike(self, policy: Policy, model: str) -> None:
        torch.manual_seed(3)
        size = {"vocab_size": policy.vocab_size, "bos_token_id": 0, "eos_token_id": 0}
        if model == "gpt2":
            other = (
                GPT2LMHeadModel(GPT2Config(**size, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3))
                .eval()
                .to(DEVICE)
            )
        else:
            width = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
            heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
            other = Qwen3ForCausalLM(Qwen3Config(**size, **width, **heads)).eval()
        other.to(DEVICE)
        for prompt, ours in zip(prompts(), sample(replace(policy, model=other), 4, temperature=0.0), strict=True):
            theirs = other.generate(row_of(prompt), do_sample=False, max_new_tokens=24, pad_token_id=0)
            assert ours.ids == theirs[0, len(prompt) :].tolist()


class TestEnds:
    """Stop sequences and ends of documents, on scripted tokens: `scripted` makes a policy that writes a given text."""

    def complete(self, policy: Policy, text: str, *, tail: Sequence[int] = (), **options: object) -> Completion:
        ids = [*policy.encode(text), *tail]
        scripted = _Scripted(policy, [1, *ids])
        settings = {"max_new_tokens": len(ids), "temperature": 0.0, **options}
        return generate(scripted, [[1]], [0], **settings)[0]  # type: ignore[arg-type]

    def test_a_stop_sequence_across_tokens_is_cut_off(self, policy: Policy) -> None:
        completion = self.complete(policy, "    return x\n\ndef other():\n    pass", stop=["\ndef "])
        assert completion.text == "    return x\n"
        assert completion.stop is StopReason.STOP
        assert policy.decode(completion.ids).startswith("    return x\n\ndef")

    def test_every_place_to_cut_is_found(self, policy: Policy) -> None:
        text = "a = 'é数🙂'\n\nprint(a)  # done"
        places = [(begin, end) for begin in range(len(text)) for end in range(begin + 1, min(begin + 7, len(text)) + 1)]
        stops, ids = [text[begin:end] for begin, end in places], policy.encode(text)
        completions = generate(
            _Scripted(policy, [1, *ids]),
            [[1]] * len(stops),
            range(len(stops)),
            max_new_tokens=len(ids),
            temperature=0.0,
            stop=[[stop] for stop in stops],
            batch_size=len(stops),
        )
        assert [completion.text for completion in completions] == [text[: text.index(stop)] for stop in stops]
        assert {completion.stop for completion in completions} == {StopReason.STOP}

    def test_the_first_of_several_stops_counts(self, policy: Policy) -> None:
        completion = self.complete(policy, "x = 1\nassert x\nclass A: pass", stop=["\nclass", "\nassert"])
        assert completion.text == "x = 1"

    def test_of_two_stops_in_one_token_the_first_counts(self, policy: Policy) -> None:
        token = next(token for token, text in enumerate(policy.token_texts) if text.isalpha() and len(set(text)) > 2)
        text = policy.token_texts[token]
        scripted = _Scripted(policy, [1, token])
        (completion,) = generate(scripted, [[1]], [0], max_new_tokens=1, temperature=0.0, stop=[text[2:], text[1]])
        assert completion.text == text[0]

    def test_stops_may_differ_by_prompt(self, policy: Policy) -> None:
        ids = policy.encode("abc def ghi")
        scripted = _Scripted(policy, [1, *ids])
        both = generate(scripted, [[1], [1]], [0, 1], max_new_tokens=len(ids), temperature=0.0, stop=[["def"], []])
        assert [c.text for c in both] == ["abc ", "abc def ghi"]

    def test_the_end_of_the_document_is_drawn_but_not_written(self, policy: Policy) -> None:
        end = next(iter(policy.eos))
        completion = self.complete(policy, "x = 1", tail=[end, 5, 5])
        assert completion.text == "x = 1"
        assert completion.ids[-1] == end
        assert completion.stop is StopReason.EOS

    def test_a_limit_ends_it_too(self, policy: Policy) -> None:
        completion = self.complete(policy, "abc def ghi", max_new_tokens=2)
        assert len(completion.ids) == len(completion.logprobs) == completion.n_forward == 2
        assert completion.stop is StopReason.LENGTH


class _Scripted(Policy):
    """Predicts a given token at each position, whatever came before: a real forward pass with its logits replaced."""

    def __init__(self, policy: Policy, script: list[int]) -> None:
        super().__init__(_PositionModel(script, policy.vocab_size), policy.tokenizer, "scripted")

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def vocab_size(self) -> int:
        size: int = self.model.vocab_size
        return size

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        script = torch.tensor([*self.model.script, 0])
        wanted = script[(hidden[:, 0].long() + 1).clamp(max=len(script) - 1)]
        return torch.nn.functional.one_hot(wanted, self.vocab_size).float() * 50


class _PositionModel(torch.nn.Module):
    """Its hidden state is the position."""

    def __init__(self, script: list[int], vocab_size: int) -> None:
        super().__init__()
        self.script, self.vocab_size = script, vocab_size
        self.generation_config = tiny_policy().model.generation_config
        self.config = type("Config", (), {"_attn_implementation": "sdpa"})()

    def get_decoder(self) -> "_PositionModel":
        return self

    def get_output_embeddings(self) -> torch.nn.Linear:
        return torch.nn.Linear(1, self.vocab_size, bias=False)

    def forward(self, *, position_ids: torch.Tensor, **_: object) -> object:
        return type("Output", (), {"last_hidden_state": position_ids[..., None].float()})()


class TestDraw:
    def test_frequencies_follow_the_tempered_distribution(self) -> None:
        logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]])
        n = 20_000
        uniforms = torch.from_numpy(np.random.default_rng(0).random(n))
        events, _, behaviour = draw(logits.expand(n, -1), uniforms, 0.5)
        expected = (logits[0].double() / 0.5).softmax(0)
        assert torch.bincount(events, minlength=4) / n == pytest.approx(expected.numpy(), abs=0.01)
        assert behaviour.exp() == pytest.approx(expected[events].numpy())

    def test_top_p_keeps_the_fewest_events_that_reach_it(self) -> None:
        logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
        uniforms = torch.linspace(0, 0.999, 200).double()
        events, logprobs, behaviour = draw(logits.expand(200, -1), uniforms, 1.0, Truncation(top_p=0.7))
        assert set(events.tolist()) == {0, 1}
        assert logprobs[0].exp().item() == pytest.approx(0.5)
        assert behaviour[0].exp().item() == pytest.approx(0.625)

    @pytest.mark.parametrize(
        ("truncation", "kept"),
        [
            (Truncation(top_k=3), [0.4, 0.3, 0.15]),
            (Truncation(top_k=9), [0.4, 0.3, 0.15, 0.1, 0.05]),
            (Truncation(min_p=0.24), [0.4, 0.3, 0.15, 0.1]),
            (Truncation(min_p=0.26), [0.4, 0.3, 0.15]),
            (Truncation(top_k=3, top_p=0.8), [0.4, 0.3]),  # 0.7 of the 0.85 that are left
            (Truncation(top_p=0.6, min_p=0.8), [0.4]),
        ],
    )
    def test_what_is_left_out_is_never_drawn_and_the_rest_is_renormalised(
        self, truncation: Truncation, kept: list[float]
    ) -> None:
        logits = torch.tensor([[0.4, 0.3, 0.15, 0.1, 0.05]]).log()
        uniforms = torch.linspace(0, 0.9999, 400, dtype=torch.float64)
        events, logprobs, behaviour = draw(logits.expand(400, -1), uniforms, 1.0, truncation)
        assert set(events.tolist()) == set(range(len(kept)))
        for event, logprob, drawn_from in zip(events.tolist(), logprobs.tolist(), behaviour.tolist(), strict=True):
            assert np.exp(logprob) == pytest.approx(kept[event])
            assert np.exp(drawn_from) == pytest.approx(kept[event] / sum(kept))

    def test_truncation_is_of_the_tempered_distribution(self) -> None:
        logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
        uniforms = torch.linspace(0, 0.999, 100, dtype=torch.float64)
        events, _, _ = draw(logits.expand(100, -1), uniforms, 0.5, Truncation(min_p=0.5))
        assert set(events.tolist()) == {0}

    @pytest.mark.medium
    def test_rounding_of_the_logits_seldom_changes_a_draw(self) -> None:
        noise = torch.Generator().manual_seed(0)
        logits = 3 * torch.randn(8, 50_001, generator=noise).repeat_interleave(100, 0)
        rounded = logits + 1e-5 * torch.randn(logits.shape, generator=noise)
        uniforms = torch.rand(800, generator=noise, dtype=torch.float64)
        parts = zip(logits.split(20), rounded.split(20), uniforms.split(20), strict=True)  # memory that is used again
        assert sum(int((draw(a, at, 1.0)[0] != draw(b, at, 1.0)[0]).sum()) for a, b, at in parts) <= 1

    def test_events_of_all_blocks_follow_their_probabilities(self) -> None:
        logits = torch.full((1, 1000), -torch.inf)
        logits[0, [3, 255, 256, 700, 999]] = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25]).log()
        n = 20_000
        uniforms = torch.from_numpy(np.random.default_rng(1).random(n))
        counts = torch.bincount(draw(logits.expand(n, -1), uniforms, 1.0)[0], minlength=1000)
        assert counts[[3, 255, 256, 700, 999]] / n == pytest.approx([0.1, 0.2, 0.3, 0.15, 0.25], abs=0.01)
        assert int(counts.sum()) == n

    def test_extreme_uniforms_never_draw_what_has_no_probability(self) -> None:
        logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
        uniforms = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
        assert draw(logits.expand(2, -1), uniforms, 1.0)[0].tolist() == [1, 2]


class TestAnnotate:
    def test_gates_are_those_of_an_uncached_forward(self, policy: Policy) -> None:
        n = 4
        for number, rollout in enumerate(roll(policy, n=n)):
            trace = encoded()[number // n]
            before = list(trace.prompt)
            for line, prefix, gate, comment in zip(
                trace.lines, trace.gates, rollout.gates, rollout.comments, strict=True
            ):
                assert (gate is None) == (prefix is None)
                if gate is not None and prefix is not None:
                    assert gate.logprob_think == pytest.approx(slow_gate(policy, before, prefix), abs=2e-4)
                    if comment is not None:
                        before += prefix + comment
                before += line

    def test_comments_are_those_of_an_uncached_forward(self, policy: Policy) -> None:
        n, thoughts = 4, 0
        for number, rollout in enumerate(roll(policy, n=n, comment_temperature=1.5)):
            trace = encoded()[number // n]
            before = list(trace.prompt)
            for i, (line, prefix) in enumerate(zip(trace.lines, trace.gates, strict=True)):
                comment = rollout.comments[i]
                if comment is not None and prefix is not None:
                    before += prefix
                    slow = slow_comment(policy, before, comment, ended=rollout.ended[i])
                    assert rollout.comment_logprobs[i] == pytest.approx(slow, abs=2e-4)
                    drawn = slow_comment(policy, before, comment, ended=rollout.ended[i], temperature=1.5)
                    assert rollout.behaviour_logprobs[i] == pytest.approx(drawn, abs=2e-4)
                    before += comment
                    thoughts += 1
                before += line
        assert thoughts > 10

    @pytest.mark.medium
    @pytest.mark.parametrize("batch_size", [3, 8])
    def test_rollouts_do_not_depend_on_the_batch_size(self, policy: Policy, batch_size: int) -> None:
        assert [_decisions(r) for r in roll(policy, batch_size)] == [_decisions(r) for r in roll(policy, 1)]

    def test_a_comment_ends_by_itself_before_its_most_tokens_or_is_cut_there(self, policy: Policy) -> None:
        for rollout in roll(policy, max_latent_tokens=3):
            for gate, comment, logprobs, ended in zip(
                rollout.gates, rollout.comments, rollout.comment_logprobs, rollout.ended, strict=True
            ):
                assert (comment is not None) == (gate is not None and gate.think)
                if comment is not None:
                    assert len(comment) <= 3
                    assert ended == (len(comment) < 3)
                    assert len(logprobs) == len(comment) + ended

    def test_comments_are_one_line_and_leave_the_program_as_it_is(self, policy: Policy) -> None:
        for number, rollout in enumerate(roll(policy, n=4)):
            latents = tuple(None if ids is None else policy.decode(ids) for ids in rollout.comments)
            annotated = Annotated(traces()[number // 4], latents)
            assert not any(end in latent for latent in latents if latent for end in "\n\r\0")
            compile(annotated.text, "annotated", "exec")

    def test_exploration_mixes_the_gate_with_the_prior(self, policy: Policy) -> None:
        for rollout in roll(policy, explore=0.25, explore_prior=0.8):
            for gate in filter(None, rollout.gates):
                p_think = 0.75 * np.exp(gate.logprob_think) + 0.25 * 0.8
                taken = p_think if gate.think else 1 - p_think
                assert gate.behaviour_logprob == pytest.approx(np.log(taken))

    def test_the_prior_alone_decides_at_full_exploration(self, policy: Policy) -> None:
        always, never = (roll(policy, n=1, explore=1.0, explore_prior=prior) for prior in (1.0, 0.0))
        assert all(gate.think for rollout in always for gate in rollout.gates if gate)
        assert not any(gate.think for rollout in never for gate in rollout.gates if gate)

    def test_generated_tokens_are_the_events_drawn(self, policy: Policy) -> None:
        for rollout in roll(policy):
            assert rollout.tokens_generated == sum(map(len, rollout.comment_logprobs))

    def test_behaviour_at_temperature_one_is_the_model(self, policy: Policy) -> None:
        for rollout in roll(policy, n=1):
            assert rollout.behaviour_logprobs == rollout.comment_logprobs


def _decisions(rollout: Rollout) -> tuple[list[bool | None], list[list[int] | None]]:
    return [None if gate is None else gate.think for gate in rollout.gates], rollout.comments


class TestSharing:
    """Attacks on the cache: what is dropped, copied or left behind must not be seen by anyone."""

    def run(self, policy: Policy, rows: list[Row[list[float]]], batch_size: int) -> list[list[float]]:
        return Decoder(policy, rows, partial(draw, temperature=1.0), batch_size).run()

    def test_dropped_tokens_leave_no_trace(self, policy: Policy) -> None:
        start, probe, rest = prompts()[0], policy.encode("\n    # never mind"), policy.encode("\n    return 1")

        def row(*, with_probe: bool) -> Row[list[float]]:
            feed, drop = list(start), 0
            if with_probe:
                yield Turn([*feed, *probe[:-1]], score=probe)
                feed, drop = start[-1:], len(probe)
            answer = yield Turn([*feed, *rest[:-1]], drop, score=rest)
            return [answer.logprob]

        rows = [row(with_probe=True), row(with_probe=False), row(with_probe=True)]
        (probed,), (bare,), (again,) = self.run(policy, rows, 3)
        assert probed == pytest.approx(bare, abs=1e-4)
        assert again == pytest.approx(bare, abs=1e-4)

    def test_a_score_that_was_not_fed_is_refused(self, policy: Policy) -> None:
        def row() -> Row[list[float]]:
            yield Turn([1, 2], score=[2, 3, 4])
            return []

        with pytest.raises(ValueError, match="3 scored tokens need as many"):
            self.run(policy, [row()], 1)

    def test_a_shared_beginning_is_computed_once(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        fed = _count_fed(monkeypatch)
        prompt = prompts()[3]
        generate(policy, [prompt] * 6, range(6), max_new_tokens=1, batch_size=3)
        assert len(prompt) > MIN_SHARED
        assert sum(fed) == len(prompt) + 1  # the three that come later feed its last token again, once for all

    def test_rollouts_are_computed_once_until_they_part(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        fed = _count_fed(monkeypatch)
        (alone,) = annotate(policy, encoded()[:1], [0], max_latent_tokens=4, explore=1.0, explore_prior=0.0)
        once = sum(fed)
        fed.clear()
        together = annotate(policy, encoded()[:1] * 5, range(5), max_latent_tokens=4, explore=1.0, explore_prior=0.0)
        assert sum(fed) == once
        assert [_decisions(rollout) for rollout in together] == [_decisions(alone)] * 5

    def test_the_tokens_a_probe_shares_with_its_line_are_fed_once(
        self, policy: Policy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fed = _count_fed(monkeypatch)
        trace = encoded()[1]
        annotate(policy, [trace], [0], max_latent_tokens=4, explore=1.0, explore_prior=0.0)
        pairs = list(zip(trace.lines, trace.gates, strict=True))
        last = max(i for i, gate in enumerate(trace.gates) if gate)
        probes = sum(len(gate) - 1 - common(gate[:-1], line) for line, gate in pairs if gate)
        bare = len(trace.prompt) + sum(map(len, trace.lines[:last]))
        assert any(gate and common(gate[:-1], line) for line, gate in pairs)
        assert sum(fed) == bare + probes + common(trace.gates[last][:-1], trace.lines[last])

    def test_a_copied_beginning_gives_the_same_completion(self, policy: Policy) -> None:
        first, second = prompts()[0], prompts()[1]
        assert first[: MIN_SHARED + 1] == second[: MIN_SHARED + 1]
        alone = generate(policy, [second], [7], max_new_tokens=24)[0]
        for batch_size in (1, 2):
            copied = generate(policy, [first, second], [3, 7], max_new_tokens=24, batch_size=batch_size)[1]
            assert copied.ids == alone.ids
            assert copied.logprobs == pytest.approx(alone.logprobs, abs=1e-4)

    def test_nothing_is_copied_from_a_place_that_was_just_written_over(self, policy: Policy) -> None:
        one, other = ([base + n for n in range(2 * MIN_SHARED)] for base in (100, 300))
        score = policy.encode("\n    return 1")

        def row(start: list[int], more: int) -> Row[list[float]]:
            answer = yield Turn([*start, more, *score[:-1]], score=score)
            return [answer.logprob]

        # the third copies its beginning to where the first was; the fourth begins as the first did
        starts = [(one, 500), (other, 501), (other, 502), (one, 503)]
        together = self.run(policy, [row(*start) for start in starts], 2)
        alone = [self.run(policy, [row(*start)], 1)[0] for start in starts]
        assert together == [pytest.approx(logprobs, abs=1e-4) for logprobs in alone]

    def test_only_new_tokens_are_fed_whatever_the_neighbours_feed(
        self, policy: Policy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fed = _count_fed(monkeypatch)
        generate(policy, [[1], prompts()[3]], [0, 1], max_new_tokens=5, temperature=0.0)
        assert sum(fed) <= 1 + len(prompts()[3]) + 2 * 4

    def test_random_interleavings_of_feeds_and_drops_score_as_alone(self, policy: Policy) -> None:
        def row(seed: int) -> Row[list[float]]:
            choose = random.Random(seed)
            ids, logprobs = list(prompts()[seed % 3]), list[float]()
            feed, drop = ids, 0
            for _ in range(8):
                text = [choose.randrange(1, policy.vocab_size) for _ in range(choose.randrange(2, 12))]
                answer: Answer = yield Turn([*feed, *text[:-1]], drop, score=text)
                logprobs += [answer.logprob, slow_gate(policy, ids, text)]
                ids = ids + text[:-1]
                drop, feed = choose.randrange(len(text)), [choose.randrange(1, policy.vocab_size)]
                ids = ids[: len(ids) - drop] + feed
            return logprobs

        for logprobs in self.run(policy, [row(seed) for seed in range(9)], batch_size=4):
            assert logprobs[::2] == pytest.approx(logprobs[1::2], abs=5e-4)


def _count_fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each forward pass of the decoder."""
    fed: list[int] = []

    usual = Passes.forward

    def counting(self: Passes, spans: Sequence[Span], ids: Sequence[int]) -> torch.Tensor:
        fed.append(len(ids))
        return usual(self, spans, ids)

    monkeypatch.setattr(Passes, "forward", counting)
    return fed


class TestEncodeTrace:
    def test_chunks_by_themselves_are_the_tokens_of_the_text(self, policy: Policy) -> None:
        for trace in traces():
            assert chunk_mismatches(policy, Annotated(trace, (None,) * len(trace.lines)), "implied")[0] == 0
            encoded_trace = encode_trace(policy, trace, "implied")
            ids = [token for chunk in (encoded_trace.prompt, *encoded_trace.lines) for token in chunk]
            assert ids == [*policy.bos, *policy.encode(trace.text)]

    def test_mismatches_are_counted_where_a_tokenizer_merges_over_a_newline(self) -> None:
        trace = parse_trace("ab\ncd\nef", id="t", prompt_end=1)
        merging = _Characters()  # a, b+newline, c, d+newline, e, f: the b, the d and both newlines differ
        assert chunk_mismatches(merging, Annotated(trace, (None,) * len(trace.lines)), "implied")[0] == 4  # type: ignore[arg-type]

    def test_gates_stand_where_a_latent_may(self, policy: Policy) -> None:
        for trace, encoded_trace in zip(traces(), encoded(), strict=True):
            assert [gate is not None for gate in encoded_trace.gates] == [line.may_think for line in trace.lines]

    def test_every_action_of_a_trace_without_prompt_begins_with_a_newline(self, policy: Policy) -> None:
        encoded_trace = encode_trace(policy, parse_trace("x = 1\ny = 2\n", id="t"), "implied")
        assert encoded_trace.prompt == list(policy.bos)
        newline = policy.supports[Support.NEWLINE]
        assert all(newline[chunk[0]] for chunk in [*encoded_trace.lines, *filter(None, encoded_trace.gates)])


class _Characters:
    """A tokenizer of single characters, but that a letter merges with a newline behind it."""

    def __init__(self) -> None:
        self.token_texts = [chr(i) for i in range(128)] + [chr(i) + "\n" for i in range(128)]
        self.boundary = LEADING

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for char in text:
            if char == "\n" and ids and ids[-1] < 128:
                ids[-1] += 128
            else:
                ids.append(ord(char))
        return ids
