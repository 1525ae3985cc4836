"""``ra3 suite``: what problems are at hand, how a model sees them, and whether their references pass."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from engine.errors import UsageFault
from ra3tui.cli.exit import Exit
from ra3tui.cli.judge import SuiteSpec, tell_of_what_is_left_out
from ra3tui.cli.options import AsJson, print_json, say, stdout, talk

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_suites(as_json: AsJson = False) -> None:
    """List the suites that a recipe may name, and where their problems come from."""
    from rich import box
    from rich.table import Table

    from engine.suites.loading import KNOWN

    if as_json:
        print_json({"suites": KNOWN})
        return
    table = Table("suite", "problems", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, about in KNOWN.items():
        table.add_row(name, about)
    stdout().print(table)


@app.command()
def show(
    suite: SuiteSpec,
    task: Annotated[str | None, typer.Argument(help="A problem's id; the first of the suite when absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a problem as a model sees it, its reference and its tests."""
    from engine.suites.loading import load_suite
    from engine.suites.problem import told

    loaded = load_suite(suite)
    found = [problem for problem in loaded.problems if task in (None, problem.task_id)]
    if not found:
        ids = loaded.problems[0].task_id, loaded.problems[-1].task_id
        raise UsageFault(f"{loaded.name} has no problem {task!r}; its ids go from {ids[0]} to {ids[1]}")
    problem = found[0]
    if as_json:
        about = {"suite": problem.suite, "task": problem.task_id, "entry_point": problem.entry_point}
        texts = {"prompt": problem.prompt, "reference": problem.reference, "test": told(problem.test)}
        print_json(about | texts)
        return
    tell_of_what_is_left_out(loaded)
    talk(f"{problem.task_id}, of {len(loaded.problems)} in {loaded.name}")
    say(problem.prompt + (problem.reference or ""))
    say(f"\n# tests\n{told(problem.test)}")


@app.command()
def check(suite: SuiteSpec, as_json: AsJson = False) -> None:
    """Judge a suite's own solutions; of katas also that splits share no function, and that every mutant fails.

    Exit code 1 says that something is not as it should be.
    """
    from engine.suites.formats.katas import KATAS, is_katas
    from engine.suites.loading import load_suite, parse_spec
    from ra3tui.cli.samples import solutions
    from sandbox import open_sandbox

    loaded = load_suite(suite, all_splits=True)
    having = replace(loaded, problems=tuple(each for each in loaded.problems if each.reference is not None))
    attempts = solutions(having)
    with open_sandbox() as sandbox:
        verdicts = [str(result.verdict) for result in sandbox.judge([attempt.job for attempt in attempts])]
    passed = verdicts.count("passed")
    report: dict[str, Any] = {"suite": loaded.name, "problems": len(loaded.problems)}
    report |= {"references": len(verdicts), "passed": passed}
    report |= {f"flaw of {each.task_id}": each.flaw for each in loaded.problems if each.flaw}
    tell_of_what_is_left_out(loaded)
    sound = passed == len(verdicts)
    if is_katas(parse_spec(suite).name):
        from engine.katas.checking import check_katas

        found = check_katas(KATAS)
        report |= asdict(found)
        sound = sound and not found.shared and found.killed == found.mutants
    if as_json:
        print_json(report)
    else:
        say("\n".join(f"{name}: {value}" for name, value in report.items()))
    if not sound:
        wrong = [a.task_id for a, verdict in zip(attempts, verdicts, strict=True) if verdict != "passed"]
        talk(f"not as it should be: {', '.join(wrong[:5]) or 'see above'}")
        raise typer.Exit(Exit.FAILED)
