"""``ra3 sandbox``: what isolates on this machine, its image, and a program run in it by hand."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from engine.errors import UsageFault
from ra3tui.cli.exit import Exit
from ra3tui.cli.options import AsJson, print_json, printable, stdout, talk

if TYPE_CHECKING:
    from sandbox import Limits, Result
    from sandbox.trial import Trial

app = typer.Typer(no_args_is_help=True)

BackendName = Literal["auto", "namespaces", "docker", "process"]
Backend = Annotated[BackendName, typer.Option(help="auto is the first that works here and isolates.")]
Seconds = Annotated[float, typer.Option("--cpu", min=0.1, help="CPU seconds that it may use.")]
Packages = Annotated[
    str, typer.Option(help="Third-party packages: auto (the usual ones), none, or names: numpy,sympy.")
]
Megabytes = Annotated[int, typer.Option("--memory", min=16, help="Memory in MB.")]


@app.command()
def check(as_json: AsJson = False) -> None:
    """Try every backend, and say which work here, with which layers, and why the others do not."""
    from sandbox.trial import try_every_backend

    trials = try_every_backend()
    if as_json:
        print_json({"backends": [asdict(trial) for trial in trials]})
    else:
        for trial in trials:
            _print_trial(trial)
    if not any(trial.works and trial.backend != "process" for trial in trials):
        raise typer.Exit(Exit.SANDBOX)


def _print_trial(trial: Trial) -> None:
    stdout().print(f"{trial.backend:<12}{'works' if trial.works else 'does not work here'}", highlight=False)
    text = ", ".join(trial.layers) if trial.works else trial.trouble
    stdout().print(f"            {text}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def build(
    from_host: Annotated[bool, typer.Option("--from-host", help="Out of this interpreter; asks no registry.")] = False,
    packages: Packages = "auto",
    as_json: AsJson = False,
) -> None:
    """Build the image of the docker backend on every engine that DOCKER_HOST or DOCKER_CONTEXT names."""
    from sandbox import SandboxUnavailable
    from sandbox.backends.cell import CellLost
    from sandbox.backends.docker_engine import LABEL, connect, hosts
    from sandbox.backends.image import IMAGE, build, build_from_host
    from sandbox.backends.packages import parse_asked

    built = {}
    try:
        for host in hosts():
            client = connect(host)
            make = build_from_host if from_host else build
            built[host] = make(client, talk, parse_asked(packages))
            client.prune_volumes(filters={"label": LABEL})  # what a run that was killed could not remove
            client.close()
    except CellLost as error:
        raise SandboxUnavailable(str(error)) from error
    if as_json:
        print_json({"image": IMAGE, "engines": built})
    else:
        for host, identity in built.items():
            stdout().print(f"{IMAGE} {identity} on {host}", highlight=False, soft_wrap=True)


@app.command("exec")
def execute(
    file: Annotated[Path, typer.Argument(help="A Python program.")],
    stdin: Annotated[Path | None, typer.Option("--stdin", help="A file to give it as standard input.")] = None,
    backend: Backend = "auto",
    packages: Packages = "auto",
    cpu_s: Seconds = 5.0,
    memory_mb: Megabytes = 1024,
    as_json: AsJson = False,
) -> None:
    """Run a program in the sandbox: its output is ours, and the exit code is 1 where it did not come to its end."""
    from sandbox import Limits

    limits = Limits(cpu_s=cpu_s, memory_mb=memory_mb)
    result = _run(_read(file), _read(stdin) if stdin else "", backend, packages, limits)
    if as_json:
        print_json(asdict(result))
    else:
        _pass_on(result.stdout, sys.stdout)
        _pass_on(result.stderr, sys.stderr)
    talk(f"{result.verdict}  {result.cpu_s:.2f} s of CPU, {result.peak_mb:.0f} MB  {result.detail}")
    if result.verdict == "sandbox_error":
        raise typer.Exit(Exit.SANDBOX)
    raise typer.Exit(Exit.DONE if result.verdict == "passed" else Exit.FAILED)


def _pass_on(output: str, stream: TextIO) -> None:
    """What a program printed, as it is; a terminal is not to be driven by it."""
    stream.write(printable(output) if stream.isatty() else output)


def _read(path: Path) -> str:
    from engine.text import read_text

    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path}: cannot be read as text ({error})") from error


def _run(program: str, stdin: str, backend: BackendName, packages: str, limits: Limits) -> Result:
    from sandbox import Job, Program, open_sandbox
    from sandbox.backends.packages import parse_asked

    with open_sandbox(backend, 1, parse_asked(packages)) as sandbox:
        (result,) = sandbox.judge([Job(program, Program(stdin=stdin), limits)])
    return result


@app.command()
def bench(
    backend: Backend = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="One a core by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each reference is judged.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Verdicts per second on HumanEval's references."""
    from engine.suites.loading import load_suite
    from sandbox import open_sandbox

    problems = load_suite("humaneval").problems
    jobs = [problem.job(problem.reference or "") for problem in problems] * rounds
    with open_sandbox(backend, workers) as sandbox:
        passed = sum(result.verdict == "passed" for result in sandbox.judge(jobs[: len(problems)]))
        began = time.monotonic()
        passed += sum(result.verdict == "passed" for result in sandbox.judge(jobs))
        seconds = time.monotonic() - began
        report = {"backend": sandbox.backend, "verdicts_per_s": len(jobs) / seconds, "passed": passed}
    if as_json:
        print_json(report)
    else:
        stdout().print(f"{report['backend']}: {report['verdicts_per_s']:.0f} verdicts/s", highlight=False)
