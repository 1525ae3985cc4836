"""What the engine does on one GPU: its tests there, and how fast it trains and decodes, in how much memory.

Models have the shapes of Qwen2.5-0.5B and 1.5B and random weights, so that nothing is downloaded. Training: updates of
four rows of 1024 tokens, every token a target, with the default precision; MFU is the share of the card's dense
bfloat16 peak that the operations of `engine.runs.stages.costs` come to, layers computed again not counted. Decoding:
free completions, and the E-step's trajectories, with CUDA graphs and without. Beside each peak of memory stands what
`engine.runs.estimate` said of it. Under five minutes; not covered: several GPUs, adapters, real weights.

    python bench/gpu.py [--write docs/results/gpu.md]
    python bench/gpu.py --device cpu --tiny     # that the script itself works, without a GPU
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from engine.corpora.traces import parse_trace
from engine.decoding.latents import annotate
from engine.decoding.sampler import generate
from engine.model.encoding import encode_trace
from engine.model.opening.random_model import random_tiny
from engine.model.policy import Policy, Support
from engine.model.tries import Events, Trie, TrieBuilder
from engine.processes.device import open_accelerator, precision_words, resolved
from engine.processes.ranks import Ranks
from engine.recipe.files import parse_recipe
from engine.recipe.recipe import Recipe
from engine.runs.checkpoints import AUTOCAST
from engine.runs.estimate.footprint import Footprint, footprint
from engine.runs.estimate.needs import needs
from engine.runs.stages.costs import Meter, forget_peak, peak_mb
from engine.training.memory import MemoryGuard
from engine.training.trainer import Trainer

if not hasattr(PreTrainedModel, "activation_checkpointing_enable"):  # its name before transformers 5.23
    PreTrainedModel.activation_checkpointing_enable = PreTrainedModel.gradient_checkpointing_enable

ROOT = Path(__file__).parent.parent
TESTS = (
    "tests/engine/test_gpu.py",
    "tests/engine/decoding/test_sampler.py",
    "tests/engine/decoding/test_branch_sampling.py",
    "tests/engine/training/test_trainer.py",
    "tests/engine/training/test_precision.py",
)
PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "4090": 165.0}
"""Dense products in bfloat16, by what a card's name holds (NVIDIA's data sheets)."""
VOCABULARY = 151_936


class Shape(NamedTuple):
    """Of a Qwen2."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = VOCABULARY


SHAPES = (Shape("0.5B", 896, 4864, 24, 14, 2), Shape("1.5B", 1536, 8960, 28, 12, 2))
TINY = (Shape("tiny", 64, 128, 2, 4, 2, 2048),)


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    shapes: tuple[Shape, ...] = SHAPES
    row_tokens: int = 1024
    rows: int = 4
    updates: int = 3
    batches: tuple[int, ...] = (32, 128, 512)
    prompt: int = 128
    new_tokens: int = 64
    traces: int = 64


SMALL = Sizes(TINY, row_tokens=64, rows=2, updates=1, batches=(2, 4), prompt=8, new_tokens=4, traces=2)


def recipe_of(device: str, sizes: Sizes, *more: str) -> Recipe:
    """A recipe of one arm that measures and trains, on ``device``."""
    lines = [
        'name = "gpu"',
        'model.id = "random"',
        f'compute.device = "{device}"',
        f"compute.row_tokens = {sizes.row_tokens}",
        f"compute.micro_rows = {sizes.rows}",
        f"eval.max_new_tokens = {sizes.new_tokens}",
        'arms.all.stages = ["eval", "ntp"]',
    ]
    return parse_recipe("\n".join([*lines, *more]), "bench/gpu.py").for_arm("all")


def policy_of(shape: Shape, recipe: Recipe, device: torch.device, *, graphs: bool = False) -> Policy:
    """Random weights of ``shape``; its tokenizer knows the first thousand tokens alone."""
    _, tokenizer = random_tiny()
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with device:
        model = Qwen2ForCausalLM(config).eval()
    return Policy(model, tokenizer, shape.name, AUTOCAST[recipe.compute.mixed_precision], cuda_graphs=graphs)


def full_row(tokens: int, vocabulary: int, seed: int) -> Trie:
    """A trie that fills a row, every token a target."""
    trie = TrieBuilder()
    nodes = trie.add([(seed + 7 * n) % vocabulary for n in range(tokens)])
    trie.ask(Events(nodes, [100] * tokens, [Support.ANY] * tokens), "code")
    return trie.build()


def waited(device: torch.device) -> float:
    """The time, when all that was asked for is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def estimated(model: Footprint, recipe: Recipe, stage: str) -> float:
    """Bytes that a stage was said to need."""
    return float(next(need.total for need in needs(model, recipe) if need.stage == stage))


def memory_words(device: torch.device, said: float) -> str:
    """The peak in GB, and what was said of it."""
    return f"{peak_mb(device) / 1e3:9.2f}{said / 1e9:9.2f}"


def training(sizes: Sizes, device: str, peak: float | None) -> Iterator[str]:
    """Lines of tokens a second and MFU of updates, plain and with gradient checkpointing."""
    yield f"{'training':30}{'tokens/s':>10}{'MFU':>8}{'peak GB':>9}{'said GB':>9}"
    for shape in sizes.shapes:
        for checkpointing in ("false", "true"):
            asked = recipe_of(device, sizes, f"compute.gradient_checkpointing = {checkpointing}")
            name = f"{shape.name}{', checkpointing' if checkpointing == 'true' else ''}"
            yield f"{name:30}{trained(shape, asked, sizes, peak)}"


def trained(shape: Shape, asked: Recipe, sizes: Sizes, peak: float | None) -> str:
    """Figures of updates of one model, the first of them, which makes the moments, left out."""
    accelerator = open_accelerator(asked, Ranks())
    recipe, where = resolved(asked, accelerator), accelerator.device
    forget_peak(where)
    policy = policy_of(shape, recipe, where)
    said = estimated(footprint(policy.model.config, recipe), recipe, "ntp")
    meter = Meter(policy)
    trainer = Trainer(policy, recipe.ntp.optimiser, MemoryGuard(recipe.compute, fixed=True), accelerator)
    tries = [full_row(sizes.row_tokens, shape.vocabulary, seed) for seed in range(4 * sizes.rows)]
    trainer.update(tries)
    meter.take()
    begin = waited(where)
    for _ in range(sizes.updates):
        trainer.update(tries)
    seconds = waited(where) - begin
    rate = sizes.updates * sum(map(len, tries)) / seconds
    share = "-" if peak is None else f"{meter.take() / seconds / (peak * 1e12):.1%}"
    accelerator.free_memory()
    return f"{rate:10.0f}{share:>8}{memory_words(where, said)}"


def decoding(sizes: Sizes, device: str) -> Iterator[str]:
    """Lines of tokens a second of completions at several batches, and of the E-step's trajectories."""
    yield f"{'decoding':30}{'tokens/s':>10}{'ms/step':>8}{'peak GB':>9}{'said GB':>9}"
    for shape, graphs in itertools.product(sizes.shapes, (False, True)):
        name = f"{shape.name}{'' if graphs else ', no graphs'}"
        for batch in sizes.batches:
            asked = recipe_of(device, sizes, f"compute.decode_batch = {batch}")
            yield f"{f'{name}, batch {batch}':30}{decoded(shape, asked, sizes, graphs=graphs)}"
        asked = recipe_of(device, sizes, f"compute.decode_batch = {sizes.traces}")
        yield f"{f'{name}, E-step':30}{walked(shape, asked, sizes, graphs=graphs)}"


def decoded(shape: Shape, asked: Recipe, sizes: Sizes, *, graphs: bool) -> str:
    """Figures of completions of different prompts, all side by side."""
    accelerator = open_accelerator(asked, Ranks())
    recipe, where = resolved(asked, accelerator), accelerator.device
    forget_peak(where)
    policy, batch = policy_of(shape, recipe, where, graphs=graphs), recipe.compute.decode_batch
    said = estimated(footprint(policy.model.config, recipe), recipe, "eval")
    prompts = [[(row + 3 * n) % 1000 for n in range(sizes.prompt)] for row in range(batch)]
    generate(policy, prompts[:2], range(2), max_new_tokens=2)
    begin = waited(where)
    completions = generate(policy, prompts, range(batch), max_new_tokens=sizes.new_tokens, batch_size=batch)
    seconds = waited(where) - begin
    tokens = sum(len(completion.ids) for completion in completions)
    return f"{tokens / seconds:10.0f}{1e3 * seconds / sizes.new_tokens:8.1f}{memory_words(where, said)}"


def walked(shape: Shape, asked: Recipe, sizes: Sizes, *, graphs: bool) -> str:
    """Figures of the E-step's trajectories of many traces: tokens of lines and of comments, every gate open."""
    accelerator = open_accelerator(asked, Ranks())
    recipe, where = resolved(asked, accelerator), accelerator.device
    forget_peak(where)
    policy = policy_of(shape, recipe, where, graphs=graphs)
    trace = encode_trace(policy, parse_trace(inspect.getsource(textwrap.dedent), id="dedent", prompt_end=1), "implied")
    begin = waited(where)
    rollouts = annotate(
        policy,
        [trace] * sizes.traces,
        range(sizes.traces),
        max_latent_tokens=8,
        explore=1.0,
        explore_prior=1.0,
        batch_size=sizes.traces,
    )
    seconds = waited(where) - begin
    tokens = sum(rollout.tokens_generated for rollout in rollouts) + sizes.traces * sum(map(len, trace.lines))
    return f"{tokens / seconds:10.0f}{'-':>8}{peak_mb(where) / 1e3:9.2f}{'-':>9}"


def tested(device: str) -> tuple[int, str]:
    """The exit code of the engine's tests on ``device``, and their last line."""
    environment = os.environ | {"RA3_TEST_DEVICE": device, "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "--noconftest", "-p", "no:cacheprovider", "-W", "ignore", *TESTS]
    tests = subprocess.run(command, cwd=ROOT, env=environment, check=False, text=True, stdout=subprocess.PIPE)
    if tests.returncode:
        print(tests.stdout, file=sys.stderr)  # noqa: T201
    return tests.returncode, (tests.stdout.strip().splitlines() or ["no tests were run"])[-1]


def machine(device: str, sizes: Sizes) -> str:
    """What the figures are of."""
    accelerator = open_accelerator(recipe_of(device, sizes), Ranks())
    where = accelerator.device
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{name}; {versions}; {precision_words(recipe_of(device, sizes), accelerator)}"


def peak_of(name: str) -> float | None:
    """TFLOP/s of a card in bfloat16; None for one that is not in the table."""
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)


def page(lines: list[str]) -> str:
    """The text of docs/results/gpu.md."""
    table = "\n".join(f"    {line}".rstrip() for line in lines)
    source = "As `just gpu-check` printed it; what is measured stands at the head of `bench/gpu.py`."
    return f"# One GPU\n\n{source}\n\n{table}\n"


def main() -> None:
    """Run the tests, measure, print the table; exit code 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes")
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the card in bfloat16, where its name is not known here")
    parser.add_argument("--write", type=Path, help="where the table goes as Markdown too")
    arguments = parser.parse_args()
    sizes, code, lines = SMALL if arguments.tiny else Sizes(), 0, []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)  # noqa: T201

    begin = time.perf_counter()
    tell(words := machine(arguments.device, sizes))
    if not arguments.no_tests:
        code, last = tested(arguments.device)
        tell(f"tests: {last}")
    for table in (
        training(sizes, arguments.device, arguments.peak or peak_of(words)),
        decoding(sizes, arguments.device),
    ):
        for line in table:
            tell(line)
    tell(f"{time.perf_counter() - begin:.0f} seconds in all")
    if arguments.write:
        arguments.write.write_text(page(lines), encoding="utf-8")
    sys.exit(bool(code))


if __name__ == "__main__":
    main()
