"""Where text is cut: chunk-wise tokens are those of the whole text, for vocabularies that merge newlines either way."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from engine.corpora.sources import load_corpus
from engine.corpora.traces import Annotated, Trace, parse_trace
from engine.decoding.latents import comment_events
from engine.model.boundary import classes_of, mismatches
from engine.model.encoding import chunk_mismatches, comment_text, encode_comment, encode_prompt, encode_trace
from engine.model.opening.loading import ModelError
from engine.model.opening.random_model import SOURCES
from engine.model.policy import Policy, Support
from engine.suites.loading import load_suite
from tests.engine.tiny import tiny_policy

# The published pattern of Llama-3's vocabulary: newlines go with the punctuation before them.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


class Head(torch.nn.Module):
    """As much of a model as a policy needs to cut text: a head with so many rows, and no weights to speak of."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(rows, 1))
        self.device = torch.device("cpu")
        self.generation_config = SimpleNamespace(eos_token_id=None)

    def get_output_embeddings(self) -> Head:
        return self


def policy_of(backend: Tokenizer, end: str = "<|endoftext|>") -> Policy:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=end, eos_token=end)
    tokenizer.backend_tokenizer.encode_special_tokens = True
    return Policy(Head(len(tokenizer)), tokenizer, "vocabulary")


@cache
def trained(pattern: str, size: int = 1500) -> Policy:
    """A byte-level BPE with a pattern of its own, trained on the standard library."""
    backend = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([Path(str(module.__file__)).read_text() for module in SOURCES], trainer)
    return policy_of(backend)


def real(package: str, path: str, pattern: str) -> Policy:
    """A published vocabulary from a package, as a fast tokenizer."""
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    file = Path((found.submodule_search_locations or [""])[0], path)
    return policy_of(TikTokenConverter(str(file), pattern=pattern, extra_special_tokens=["<|endoftext|>"]).converted())


@cache
def llama() -> Policy:
    return real("llama_models", "llama3/tokenizer.model", LLAMA3)


@cache
def qwen() -> Policy:
    return real("dashscope", "resources/qwen.tiktoken", QWEN)


VOCABULARIES = {
    "llama-3": llama,
    "qwen": qwen,
    "trained, trailing": lambda: trained(LLAMA3),
    "random:tiny": tiny_policy,
}
NAMES = [
    *(pytest.param(name, marks=pytest.mark.medium) for name in ("llama-3", "qwen", "trained, trailing")),
    "random:tiny",
]
"""The real ones take seconds to open, and so does the training of one."""


@cache
def functions() -> list[Trace]:
    return load_corpus("stdlib", None, limit=300, seed=0).traces


def with_comments(trace: Trace) -> Annotated:
    """A latent before every other line that may have one."""
    words = (" find the place", " keep the order.", " x", " (see above)", " count them: 1, 2")
    latents = [words[t % len(words)] if line.may_think and t % 2 else None for t, line in enumerate(trace.lines)]
    return Annotated(trace, tuple(latents), trailing=True)


@pytest.mark.parametrize("name", NAMES)
def test_chunkwise_tokens_of_lines_and_latents_are_those_of_the_text(name: str) -> None:
    policy = VOCABULARIES[name]()
    for annotate in (lambda trace: Annotated(trace, (None,) * len(trace.lines)), with_comments):
        counts = [chunk_mismatches(policy, annotate(trace), "implied") for trace in functions()]
        wrong, total = map(sum, zip(*counts, strict=True))
        assert wrong / total <= 0.001, f"{wrong} of {total}"


@pytest.mark.parametrize("name", NAMES)
def test_prompts_of_a_suite_and_what_is_written_behind_them_have_the_tokens_of_the_text(name: str) -> None:
    policy = VOCABULARIES[name]()
    led, counts = "" if policy.boundary.trailing else "\n", []
    for problem in load_suite("humaneval").problems:
        prompt = policy.decode(encode_prompt(policy, problem.prompt)[len(policy.bos) :])
        chunks = [prompt, led + (problem.reference or "").removeprefix("\n")]
        counts.append(mismatches(policy.encode, lambda token: len(policy.token_texts[token]), chunks))
    wrong, total = map(sum, zip(*counts, strict=True))
    assert wrong / total <= 0.001, f"{wrong} of {total}"


@pytest.mark.parametrize("name", NAMES)
def test_the_kind_is_measured(name: str) -> None:
    assert VOCABULARIES[name]().boundary.trailing == (name != "random:tiny")


@pytest.mark.parametrize("name", NAMES)
def test_chunks_concatenate_to_the_text_and_prompts_end_as_the_kind_has_it(name: str) -> None:
    policy = VOCABULARIES[name]()
    newline = "\n" if policy.boundary.trailing else ""
    for trace in functions()[:50]:
        encoded = encode_trace(policy, trace, "implied")
        text = policy.decode([token for line in [encoded.prompt[len(policy.bos) :], *encoded.lines] for token in line])
        assert text == trace.text + newline
        if trace.prompt:
            assert policy.decode(encode_prompt(policy, trace.prompt)[len(policy.bos) :]) == trace.prompt + newline


def test_blank_lines_trail_the_line_before_them() -> None:
    policy = trained(LLAMA3)
    trace = parse_trace("def f(x):\n    y = g(x)\n\n\n    return y\n", id="x", prompt_end=1)
    encoded = encode_trace(policy, trace, "implied")
    assert [policy.decode(line) for line in encoded.lines] == ["    y = g(x)\n\n\n", "    return y\n"]
    assert [policy.decode(gate or []) for gate in encoded.gates] == ["    #", "    #"]


def test_a_lines_last_token_is_worth_all_that_say_the_same_of_it() -> None:
    texts = ["\n", ")", ")\n", ")\n\n", "):\n", "a", " \n", "\n\n", "\n    ", ")\r\n", "x\ny"]
    by_class = classes_of(texts, trailing=True)
    assert [[texts[token] for token in tokens] for tokens in by_class] == [
        ["\n", " \n", "\n\n"],
        [")\n", ")\n\n", ")\r\n"],
        ["):\n"],
    ]
    assert classes_of(texts, trailing=False) == [[0, 7, 8]]


def test_a_comments_events_are_a_distribution_over_what_it_may_say() -> None:
    """Each class of line ends stands at one token, with the mass of all of them; the rest keep their own."""
    policy = trained(LLAMA3)
    logits = torch.randn(3, policy.vocab_size, generator=torch.Generator().manual_seed(0))
    events = comment_events(policy)(logits)
    allowed = logits.masked_fill(~policy.supports[Support.COMMENT], -torch.inf)
    torch.testing.assert_close(events.logsumexp(-1), allowed.logsumexp(-1))
    members = policy.line_ends.members
    for row in members[members[:, 1] >= 0][:5]:
        tokens = row[row >= 0]
        torch.testing.assert_close(events[:, tokens[0]], logits[:, tokens].logsumexp(-1))
        assert events[:, tokens[1:]].eq(-torch.inf).all()
    assert events[:, -1].eq(-torch.inf).all()


def test_a_comment_is_read_back_without_the_newline_that_ends_it() -> None:
    for policy in (trained(LLAMA3), tiny_policy()):
        assert comment_text(policy, encode_comment(policy, " find (it)")) == " find (it)"


def test_a_tokenizer_that_cuts_neither_way_is_refused() -> None:
    merges_all: Any = trained(r"[\s\S]{1,7}")  # pieces of seven characters, wherever they begin
    with pytest.raises(ModelError, match="neither before newlines nor behind"):
        _ = merges_all.boundary
