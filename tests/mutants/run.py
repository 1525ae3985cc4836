"""Mutation testing: deliberate faults in the engine, one at a time, and whether the tests that cover it notice.

`python tests/mutants/run.py` applies each mutant of `list.toml` in a scratch copy of the tree and runs the test files
of its module there, up to the first that fails. It prints those that no test noticed, and fails below the share that
is wanted. Importing torch takes longer than most of the tests, so one process has it and forks for each mutant.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import multiprocessing
import os
import py_compile
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("list.toml")
COPIED = ("engine", "sandbox", "ra3tui", "tests", "pyproject.toml")
WARM = (
    "accelerate",
    "hypothesis",
    "pandas",
    "peft",
    "pydantic",
    "pytest",
    "sqlite_utils",
    "torch._dynamo",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.trainer_pt_utils",
)
"""What tests import that is none of ours, or as good as all of it."""
WANTED = 0.9
"""Share of the mutants that can be noticed which must be."""
PATIENCE = 5
"""A mutant that takes so many times as long as no mutant at all, and a minute, has been noticed: it hangs."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one file, and the tests that ought to notice."""

    file: str
    tests: tuple[str, ...]
    old: str = ""
    """Stands once in the file; the tree as it is, for "" ."""
    new: str = ""
    reason: str = ""
    """Why no test can notice; empty where one should."""

    @property
    def title(self) -> str:
        """One line for a person."""
        return f"{self.file}: {self.old!r} -> {self.new!r}"


@dataclass
class Trial:
    """A mutant being tried."""

    mutant: Mutant
    tree: Path
    process: ForkProcess
    deadline: float
    began: float = field(default_factory=time.monotonic)


def read_list(path: Path) -> list[Mutant]:
    """The mutants of a file, each module's in order."""
    modules = tomllib.loads(path.read_text())["module"]
    return [Mutant(m["file"], tuple(m["tests"]), *texts) for m in modules for texts in m["mutants"]]


def misplaced(mutants: Iterable[Mutant]) -> list[str]:
    """A line for each mutant whose old text does not stand exactly once in its file, or whose tests are not there."""
    texts = {mutant.file: (ROOT / mutant.file).read_text() for mutant in mutants}
    found = [(texts[mutant.file].count(mutant.old), mutant) for mutant in mutants]
    lines = [f"{count} times in the file: {mutant.title}" for count, mutant in found if count != 1]
    gone = {test for mutant in mutants for test in mutant.tests if not (ROOT / test).exists()}
    return lines + [f"no such test file: {test}" for test in sorted(gone)]


def copy_tree(folder: Path) -> Path:
    """A copy of what tests need. Its bytecode is valid by the hash of the source: a mutant may keep size and second."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        else:
            shutil.copy(source, folder / name)
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return folder


def run_tests(tree: Path, tests: Sequence[str]) -> None:
    """In a process of its own: exit with 0 where all pass."""
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = str(tree)
    output = os.open(tree / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    pytest = importlib.import_module("pytest")
    options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0"]
    os._exit(int(pytest.main([*options, *tests])))


def begin(mutant: Mutant, tree: Path, seconds: float) -> Trial:
    """Put the mutant into ``tree``, and run its tests there."""
    path = tree / mutant.file
    if mutant.old:
        path.write_text(path.read_text().replace(mutant.old, mutant.new))
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(tree, mutant.tests), daemon=True)
    process.start()
    return Trial(mutant, tree, process, time.monotonic() + seconds)


def end(trial: Trial) -> bool:
    """Was it noticed? Gives the tree back as it was."""
    if trial.process.is_alive():
        trial.process.kill()
    trial.process.join()
    shutil.copy(ROOT / trial.mutant.file, trial.tree / trial.mutant.file)
    return trial.process.exitcode != 0


def try_all(mutants: Sequence[Mutant], trees: Sequence[Path], seconds: dict[tuple[str, ...], float]) -> list[bool]:
    """Which of ``mutants`` were noticed. The seconds that their tests took go into ``seconds``, where not there."""
    waiting, free, noticed = deque(mutants), list(trees), dict[Mutant, bool]()
    trials: list[Trial] = []
    while waiting or trials:
        while waiting and free:
            patience = 60 + PATIENCE * seconds.get(waiting[0].tests, 600.0)
            trials.append(begin(waiting.popleft(), free.pop(), patience))
        wait([trial.process.sentinel for trial in trials], timeout=1)
        for trial in list(trials):
            if trial.process.is_alive() and time.monotonic() < trial.deadline:
                continue
            noticed[trial.mutant] = end(trial)
            took = time.monotonic() - trial.began
            seconds.setdefault(trial.mutant.tests, took)
            trials.remove(trial)
            free.append(trial.tree)
            tell(len(noticed), len(mutants), trial, noticed[trial.mutant], took)
    return [noticed[mutant] for mutant in mutants]


def tell(done: int, total: int, trial: Trial, noticed: bool, took: float) -> None:
    """A line a trial, and what pytest said where tests fail without a mutant."""
    title = trial.mutant.title if trial.mutant.old else f"no mutant: {' '.join(trial.mutant.tests)}"
    print(f"{done:4}/{total} {'failed' if noticed else 'passed'} {took:5.1f} s  {title}", flush=True)  # noqa: T201
    if noticed and not trial.mutant.old:
        print((trial.tree / "output.txt").read_text())  # noqa: T201


def report(mutants: Sequence[Mutant], noticed: Sequence[bool]) -> bool:
    """Print the share and the survivors; was it enough?"""
    survivors = [mutant for mutant, killed in zip(mutants, noticed, strict=True) if not killed]
    unexplained = [mutant for mutant in survivors if not mutant.reason]
    equivalent = len(survivors) - len(unexplained)
    share = 1 - len(unexplained) / max(1, len(mutants) - equivalent)
    for mutant in survivors:
        print(f"survived: {mutant.title}{': ' + mutant.reason if mutant.reason else ''}")  # noqa: T201
    print(  # noqa: T201
        f"{len(mutants)} mutants: {len(mutants) - len(survivors)} noticed, {len(unexplained)} survived, "
        f"{equivalent} more that change nothing; {share:.1%} noticed of those that change something"
    )
    return share >= WANTED


def main() -> int:
    """0 where enough are noticed, 1 where not, 2 where the list or the tests are wrong before any mutant."""
    parser = argparse.ArgumentParser(description="Deliberate faults, and whether tests notice.")
    parser.add_argument("only", nargs="*", help="parts of file names or of texts; all mutants without")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument("--check", action="store_true", help="see whether the list fits the tree, and run nothing")
    options = parser.parse_args()
    mutants = [m for m in read_list(LIST) if not options.only or any(part in m.title for part in options.only)]
    if wrong := misplaced(mutants):
        print("\n".join(wrong))  # noqa: T201
        return 2
    if options.check:
        print(f"{len(mutants)} mutants fit")  # noqa: T201
        return 0
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # before torch counts the cores
    for name in WARM:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # children and scratch copies go too
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        trees = [copy_tree(Path(folder) / str(job)) for job in range(options.jobs)]
        plain = list({mutant.tests: Mutant(mutant.file, mutant.tests) for mutant in mutants}.values())
        seconds: dict[tuple[str, ...], float] = {}
        if any(try_all(plain, trees, seconds)):
            return 2
        return 0 if report(mutants, try_all(mutants, trees, seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
