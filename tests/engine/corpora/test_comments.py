"""Comments that were written before: a file of them, line by line, and what cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.corpora.comments import find_comments
from engine.corpora.traces import parse_trace
from engine.errors import UsageFault
from engine.recipe.sections import Ntp

TRACE = parse_trace("# expert's\nx = (1,\n  2)\ny = 3\n", id="a")
OTHER = parse_trace("z = 1\n", id="b")


def settings_for(tmp_path: Path, *lines: object) -> Ntp:
    path = tmp_path / "comments.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return Ntp(comments="file", comments_path=str(path))


def test_a_files_comments_go_to_the_lines_of_their_trace(tmp_path: Path) -> None:
    texts = [" a pair", None, " three"]
    comments = find_comments(settings_for(tmp_path, {"trace": "a", "comments": texts, "lines": []}), [TRACE, OTHER])
    assert comments.of(TRACE) == tuple(texts)
    assert comments.of(OTHER) == (None,)
    assert comments.account() == "nothing"


def test_what_a_file_cannot_be_used_for_is_counted_and_named(tmp_path: Path) -> None:
    bad = [
        "{",
        r'{"trace": "a", "comments": [" half a character: \ud800", null, null]}',
        {"trace": "c", "comments": []},
        {"trace": "a", "comments": "x"},
        {"trace": "a", "comments": [None, " inside a bracket", None]},
        {"trace": "a", "comments": [" two\nlines", None, None]},
        {"trace": "a", "comments": [None]},
    ]
    comments = find_comments(settings_for(tmp_path, *bad, {"trace": "b", "comments": [" one"]}), [TRACE, OTHER])
    assert comments.by_trace == {"b": (" one",)}
    assert comments.skipped == {
        "bad JSON line": 2,
        "not of a trace in use": 1,
        "no `comments` that is a list of texts and nulls": 1,
        "does not fit its trace": 3,
    }
    assert "comments.jsonl:5" in comments.account()


def test_the_experts_own_comments_need_no_file() -> None:
    assert find_comments(Ntp(comments="expert"), [TRACE]).of(TRACE) == (" expert's", None, None)
    assert find_comments(Ntp(), [TRACE]).of(TRACE) == (None,) * 3


def test_a_file_that_is_not_there_or_fits_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"ntp\.comments_path"):
        find_comments(Ntp(comments="file"), [TRACE])
    with pytest.raises(UsageFault, match=r"nowhere\.jsonl: cannot be read"):
        find_comments(Ntp(comments="file", comments_path=str(tmp_path / "nowhere.jsonl")), [TRACE])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageFault, match=r"pipe.*set ntp\.comments_path"):
        find_comments(Ntp(comments="file", comments_path=str(tmp_path / "pipe")), [TRACE])
    with pytest.raises(UsageFault, match=r"no comments for any trace.*1 not of a trace in use"):
        find_comments(settings_for(tmp_path, {"trace": "c", "comments": []}), [TRACE])


def test_shuffled_comments_are_the_experts_each_in_the_place_of_another() -> None:
    traces = [parse_trace(f"# says {n}\nx = {n}\ny = {n}\n", id=str(n)) for n in range(20)]
    settings = Ntp(comments="shuffled")
    found = [find_comments(settings, traces, seed).by_trace for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert sorted(text for row in found[0].values() for text in row if text) == sorted(f" says {n}" for n in range(20))
    assert all(row[0] is not None and row[1] is None for row in found[0].values())
    assert sum(found[0][trace.id] == trace.comments for trace in traces) < 10
