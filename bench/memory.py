"""Peak memory of an update on a CPU, beside what `engine.runs.estimate.needs` says of it before.

SmolLM2-135M, two updates of two micro-batches, each a full row of tokens; each case in a process of its own. What was
resident before the model was loaded, libraries above all, is left out, and so is what the C library's heap holds back
of memory that was freed: every tensor of over 256 KiB is mapped by itself, which a run does not do, as it is slower.

    python bench/memory.py [--row-tokens 512] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource

import psutil
from accelerate import Accelerator

from engine.model.policy import Support
from engine.model.tries import Events, Trie, TrieBuilder
from engine.recipe.files import load_recipe
from engine.recipe.recipe import Recipe
from engine.runs.checkpoints import open_policy
from engine.runs.estimate.footprint import footprint
from engine.runs.estimate.needs import needs
from engine.training.memory import MemoryGuard
from engine.training.trainer import Trainer

CASES = {
    "all weights": [],
    "all weights, checkpointing": ["compute.gradient_checkpointing=true"],
    "all weights, bf16": ["compute.mixed_precision=bf16"],
    "adapters": ["lora.rank=16"],
    "adapters, checkpointing": ["lora.rank=16", "compute.gradient_checkpointing=true"],
}


def row(recipe: Recipe) -> Trie:
    """A trie that fills one row, every token a target."""
    trie = TrieBuilder()
    nodes = trie.add([n % 4000 for n in range(recipe.compute.row_tokens)])
    trie.ask(Events(nodes, [100] * len(nodes), [Support.ANY] * len(nodes)), "code")
    return trie.build()


def measure(overrides: list[str]) -> tuple[float, float]:
    """Bytes said and taken."""
    recipe = load_recipe("smollm2", overrides).for_arm("ntp")
    before = psutil.Process().memory_info().rss
    policy = open_policy(recipe, None, "cpu")
    lower = recipe.compute.mixed_precision == "bf16"
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if lower else "no")
    trainer = Trainer(policy, recipe.ntp.optimiser, MemoryGuard(recipe.compute), accelerator)
    for _ in range(2):  # the moments are there from the first on
        trainer.update([row(recipe), row(recipe)])
    taken = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    need = next(need for need in needs(footprint(policy.model.config, recipe), recipe) if need.stage == "ntp")
    return need.total, taken


def main() -> None:
    """Measure the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    arguments = parser.parse_args()
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 18)  # of the processes started from here on
    print(f"{'':28}{'said GB':>9}{'took GB':>9}{'ratio':>7}", flush=True)  # noqa: T201
    for name in arguments.only:
        overrides = [f"compute.row_tokens={arguments.row_tokens}", *CASES[name]]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            estimated, taken = pool.apply(measure, (overrides,))
        print(f"{name:28}{estimated / 1e9:9.2f}{taken / 1e9:9.2f}{estimated / taken:7.2f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
