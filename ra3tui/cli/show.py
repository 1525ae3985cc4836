"""``ra3 show``: arms against pass@k, and what it cost."""

from __future__ import annotations

from contextlib import closing

from ra3tui.cli.options import HOME, AsJson, Home, Reference, print_json, stdout

_ALL = -1  # no limit, to SQLite


def show(reference: Reference = "@latest", as_json: AsJson = False, home: Home = HOME) -> None:
    """Show a run or a group: its stages, pass@k against the base, costs, newest metrics and events."""
    from engine.runs.planning import named
    from engine.store.reader import Reader
    from ra3tui.cli.report import group_report, print_details, print_report

    with closing(Reader(home)) as reader:
        runs = named(reader, reference)
        if as_json:
            events = {run["id"]: reader.events(run["id"], limit=_ALL) for run in runs}
            print_json({**group_report(reader, runs), "events": events})
            return
        console = stdout()
        print_report(console, reader, runs)
        for run in runs:
            print_details(console, reader, run)
