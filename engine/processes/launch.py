"""How the processes of a run come together: started from here, or by ``accelerate launch`` or ``torchrun``."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate.state import AcceleratorState
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore
from torch.distributed.rendezvous import rendezvous

from engine.errors import EnvironmentFault, UsageFault
from engine.processes.lifeline import Hub, Spoke
from engine.processes.ranks import FirstRank, OtherRank, Ranks, end_at_once

LOOPBACK = "127.0.0.1"

JOIN_SECONDS = 300.0
"""For all processes to import torch and call in."""

COLLECTIVE_TIMEOUT = timedelta(days=7)
"""Of a collective operation: a rank may sample or judge for long, and one that dies is noticed otherwise."""


@contextmanager
def joined(home: Path, runs: Sequence[str], wanted: Callable[[], int]) -> Iterator[Ranks]:
    """The ranks that work on ``runs``: those of a launcher that started this process, else as many as are ``wanted``.

    Raises:
        EnvironmentFault: they did not come together.
        UsageFault: a launcher was asked for what it does not do here.
    """
    _refuse_foreign_shards()
    if "RANK" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        store = next(iter(rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS))))[0]
        with _connected(store, {}) as ranks:
            yield ranks
    elif (processes := wanted()) > 1:
        with (
            _serve_store(processes) as store,
            _others(home, runs, processes) as others,
            _connected(store, others) as ranks,
        ):
            yield ranks
    else:
        _refuse_half_a_launch()
        yield Ranks()


def _refuse_foreign_shards() -> None:
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise UsageFault(
            "accelerate launch --use_fsdp: shards are the recipe's matter; use --multi_gpu, and set compute.shard"
        )


def _refuse_half_a_launch() -> None:
    """``accelerate launch --cpu`` leaves it to MPI to start more than one process, and says nothing of it."""
    if "ACCELERATE_USE_CPU" in os.environ and "MASTER_ADDR" in os.environ and "RANK" not in os.environ:
        raise UsageFault(
            "accelerate launch starts a single process on CPU, whatever its --num_processes; "
            "set compute.processes, or use torchrun --nproc_per_node"
        )


Others = dict[int, subprocess.Popen[bytes]]
"""The processes that were started here, by rank."""


@contextmanager
def _serve_store(processes: int) -> Iterator[Store]:
    """The store in which the ranks meet, and the environment that names it: what ``torchrun`` would set."""
    store = TCPStore(LOOPBACK, 0, processes, is_master=True, wait_for_workers=False)
    with _in_environment(_environment(store.port, processes)):
        yield store


def _environment(port: int, processes: int) -> dict[str, str]:
    return {
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "RANK": "0",
        "LOCAL_RANK": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is there already: none of them is to open one
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes))),
    }


@contextmanager
def _in_environment(environment: dict[str, str]) -> Iterator[None]:
    """Set the variables and torch's number of threads, and put back what was there before."""
    before = {name: os.environ.get(name) for name in environment}
    threads = torch.get_num_threads()
    os.environ.update(environment)
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _others(home: Path, runs: Sequence[str], processes: int) -> Iterator[Others]:
    """Start ranks 1 and up as processes of this machine; what they print goes to the log of the first run."""
    command = [sys.executable, "-m", "engine.pipeline", "--home", str(home), *runs]
    with (home / runs[0] / "log").open("ab") as log:
        others = {
            rank: subprocess.Popen(
                command,
                env={**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            for rank in range(1, processes)
        }
    try:
        yield others
    except BaseException:
        for process in others.values():
            process.terminate()
        raise
    finally:
        for process in others.values():
            _reap(process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _connected(store: Store, others: Others) -> Iterator[Ranks]:
    """Lifelines first, so that a rank that never gets as far as the process group is missed."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank == 0:
        with _hub(store, size, others) as hub, _process_group(store, 0, size):
            yield FirstRank(size, hub, lambda number: _how_it_ended(others.get(number)))
    else:
        with _spoke(store, rank) as spoke, _process_group(store, rank, size):
            yield OtherRank(rank, size, spoke)


@contextmanager
def _hub(store: Store, size: int, others: Others) -> Iterator[Hub]:
    token = secrets.token_hex(16)
    hub = Hub(os.environ["MASTER_ADDR"], token)
    store.set("lifeline", f"{hub.port} {token}")
    hub.accept(size - 1, JOIN_SECONDS, lambda: _raise_if_ended(others))
    yield hub
    hub.close()


@contextmanager
def _spoke(store: Store, rank: int) -> Iterator[Spoke]:
    port, token = store.get("lifeline").decode().split()
    host = os.environ["MASTER_ADDR"]
    spoke = Spoke(host, int(port), token, rank, lambda: end_at_once(f"rank {rank}: the first rank has ended"))
    try:
        yield spoke
    except Exception as error:  # the end of this process: whoever waits for it is told why, then it goes on upwards
        is_known_fault = isinstance(error, UsageFault | EnvironmentFault)
        spoke.send_failure(str(error) if is_known_fault else f"{type(error).__name__}: {error}")
        raise
    spoke.close()


@contextmanager
def _process_group(store: Store, rank: int, size: int) -> Iterator[None]:
    """Collectives on CPU and, where there is one, on GPU tensors."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, store=PrefixStore("ranks", store), rank=rank, world_size=size, timeout=COLLECTIVE_TIMEOUT
    )
    yield
    dist.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate would go on believing in the group


def _raise_if_ended(others: Others) -> None:
    for rank, process in others.items():
        if process.poll() is not None:
            raise EnvironmentFault(
                f"rank {rank} {_how_it_ended(process)} before it had begun; its words are in the log"
            )


def _how_it_ended(process: subprocess.Popen[bytes] | None) -> str:
    """What became of a process; of one that was not started here only that it is gone."""
    code = None
    if process is not None:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=2)
    if code is None or code >= 0:
        return "ended" if code is None else f"ended with exit code {code}"
    return f"was killed by {signal.Signals(-code).name}"
