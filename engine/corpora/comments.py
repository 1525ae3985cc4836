"""Comments that were written before: the expert's own, or a file of distilled ones (the ``ntp-comments`` baseline).

A file is JSONL, one trace a line, ``{"trace": ID, "comments": [...]}``: for each line of the trace the comment before
it, after its ``#``, or null. Other keys are not read. ``ra3 corpus`` prints a recipe's traces in this form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from engine.corpora.account import Account
from engine.corpora.traces import Annotated, Trace
from engine.errors import UsageFault
from engine.hub import HubFault, local_path
from engine.recipe.sections import Ntp
from engine.text import BadLine, read_jsonl

LineComments = tuple[str | None, ...]
"""One a line: the comment before it, or None."""


@dataclass(slots=True)
class Comments(Account):
    """Comments by trace, and the lines of the file that were left out."""

    by_trace: dict[str, LineComments] = field(default_factory=dict)

    def of(self, trace: Trace) -> LineComments:
        """Those of ``trace``; none where nothing is known of it."""
        return self.by_trace.get(trace.id) or (None,) * len(trace.lines)


def check_file(settings: Ntp) -> None:
    """Ask for the file of comments that ``settings`` may need, before the corpus is there.

    Raises:
        UsageFault: there is no file of that name.
    """
    if settings.comments != "file":
        return
    if settings.comments_path is None:
        raise UsageFault(
            "ntp.comments = 'file' needs a file: set ntp.comments_path to JSONL, such as `ra3 corpus` prints"
        )
    path = _path_of(settings.comments_path)
    if not path.is_file():
        raise UsageFault(f"{path}: cannot be read (no such file); set ntp.comments_path to JSONL, plain or .gz")


def find_comments(settings: Ntp, traces: Sequence[Trace], seed: int = 0) -> Comments:
    """The comments that ``settings`` asks for; the order of ``shuffled`` ones follows from the seed.

    Raises:
        UsageFault: there is no file, or nothing in it fits any of ``traces``.
    """
    if settings.comments == "none":
        return Comments()
    if settings.comments == "expert":
        return Comments(by_trace={trace.id: trace.comments for trace in traces})
    if settings.comments == "shuffled":
        return Comments(by_trace=_shuffled(traces, seed))
    check_file(settings)
    return _read(_path_of(settings.comments_path or ""), {trace.id: trace for trace in traces})


def _path_of(path: str) -> Path:
    try:
        return local_path(path)
    except HubFault as fault:
        raise UsageFault(f"ntp.comments_path: {fault}") from fault


def _shuffled(traces: Sequence[Trace], seed: int) -> dict[str, LineComments]:
    """The experts' comments, where there are some, each in the place of another."""
    texts = [text for trace in traces for text in trace.comments if text is not None]
    Random(seed).shuffle(texts)
    coming = iter(texts)
    return {trace.id: tuple(text and next(coming) for text in trace.comments) for trace in traces}


def _read(path: Path, traces: dict[str, Trace]) -> Comments:
    comments = Comments()
    try:
        for number, item in read_jsonl(path):
            _take(comments, f"{path.name}:{number}", item, traces)
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read ({error}); set ntp.comments_path to JSONL, plain or .gz") from error
    if not comments.by_trace:
        raise UsageFault(f"{path}: no comments for any trace of the corpus; left out: {comments.account()}")
    return comments


def _take(comments: Comments, where: str, item: dict[str, Any] | BadLine, traces: dict[str, Trace]) -> None:
    """Take in one line of the file, or count why it cannot be used."""
    if isinstance(item, BadLine):
        comments.skip("bad JSON line", f"{where}: {item.why}")
        return
    trace, texts = traces.get(str(item.get("trace"))), item.get("comments")
    if trace is None:
        comments.skip("not of a trace in use", where)
    elif not isinstance(texts, list) or not all(text is None or isinstance(text, str) for text in texts):
        comments.skip("no `comments` that is a list of texts and nulls", where)
    else:
        try:
            comments.by_trace[trace.id] = Annotated(trace, tuple(texts)).latents
        except ValueError as error:
            comments.skip("does not fit its trace", f"{where}: {error}")
