"""Traces: the round trip and the syntax tree, on nasty snippets and on the whole standard library."""

from __future__ import annotations

import ast
import gc
import io
import sys
import sysconfig
import token
import tokenize
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.corpora.traces import Annotated, IndentMode, Trace, TraceError, as_one_action, latent_prefix, parse_trace

NASTY = {
    "decorators": "@a\n@b(1,\n   2)\ndef f():\n    return 1\n",
    "async": "async def f():\n    async with a as b:\n        await b\n    async for x in y:\n        pass\n",
    "brackets": "x = [\n    1,\n    # one\n    (2,\n\n     3),\n]\ny = 2\n",
    "triple": "s = \"\"\"a\n# not a comment\n\n    b\"\"\"; t = '''\n#\n'''\nu = 1\n",
    "f-string": 'x = 1\ns = f"""{x}\n# text\n{\nx + 1}"""\ny = 2\n',
    "continued string": 's = "a\\\n# text\\\nb"\ny = 2\n',
    "backslash": "x = 1 + \\\n    2\nif x and \\\n   y:\n    pass\n",
    "backslash then comment": "x = 1 \\\n# c\ny = 2\n",
    "backslash then blank": "x = 1 \\\n\ny = 2\n",
    "backslash then blank at the end": "x = 1 \\\n\n",
    "backslash in a bracket then comment": "x = (1, \\\n# c\n2)\ny = 2\n",
    "lone backslash": "if 1:\n  x = 1\n  \\\n  y = 2\n",
    "comment ends with a backslash": "x = 1  # c \\\n# d \\\ny = 2\n",
    "tabs": "class A:\n\tdef f(self):\n\t\t# c\n\t\treturn 1\n\n\tdef g(self):\n\t\tpass\n",
    "form feeds": "x = 1\n\f\ndef f():\n    pass\n\f\n# c\n\fy = 2\n",
    "cookie and shebang": "#!/usr/bin/env python\n# -*- coding: latin-1 -*-\nx = 1\n",
    "semicolons": "x = 1; y = 2;\nif x: y = 3; z = 4\nelse: pass\n",
    "colons": "d = {1: 2}\nf = lambda: 0\ns = d[1:]\nx: int\nwhile x: break\nfor i in y:\n   pass\n",
    "trailing comment after a colon": "if x:  # why\n    # c\n    y = 1\n",
    "crlf": "if x:\r\n    # c\r\n    y = '''a\r\nb'''\r\nz = 1\r\n",
    "old Mac": "x = 1\rif x:\r    y = 2\r",
    "no final newline": "def f():\n    pass  # c",
    "blank ends": "\n\n  \nx = 1\n\n   \n\n",
    "odd blanks": "if x:\n    y = 1\n  \t\n    \n    z = 2\n",
    "match": "match x:\n    case [1,\n          2]:\n        pass\n    case _: pass\n",
    "docstring": 'def f():\n    """Doc.\n\n    # still doc\n    """\n    return 1\n',
    "empty": "",
    "comments alone": "# a\n\n# b\n",
    "unicode line ends": "x = 'a\x0bb\x1cc\u2028d'\ny = 1\n",
    "indented comment rows": "if x:\n        # deep\n# left\n    y = 1\n# end\n",
}


def without_comments(source: str) -> str:
    """The slow way: rows that start with `#`, outside of string tokens and of what a backslash joins, go."""
    rows = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    inside: set[int] = set()
    trailing: set[int] = set()
    opened: list[int] = []
    for tok in tokenize.generate_tokens(io.StringIO("\n".join(rows) + "\n", newline="\n").readline):
        name = token.tok_name[tok.type]
        if name.endswith("STRING_START"):
            opened.append(tok.start[0])
        elif name == "STRING" or name.endswith("STRING_END"):
            inside.update(range(tok.start[0] if name == "STRING" else opened.pop(), tok.end[0]))
        elif name == "COMMENT":
            trailing.add(tok.start[0] - 1)
    goes = {i for i, row in enumerate(rows) if row.lstrip(" \t\f").startswith("#") and i not in inside}
    goes -= {i for i in goes if i and rows[i - 1].endswith("\\") and i - 1 not in trailing}
    return strip_blank_rows("\n".join(row for i, row in enumerate(rows) if i not in goes))


def strip_blank_rows(text: str) -> str:
    rows = text.split("\n")
    while rows and not rows[0].strip(" \t\f"):
        rows.pop(0)
    while rows and not rows[-1].strip(" \t\f"):
        rows.pop()
    return "\n".join(rows) + ("\n\n" if rows and rows[-1].endswith("\\") else "")


def all_think(trace: Trace, mode: IndentMode = "implied") -> Annotated:
    return Annotated(trace, tuple(" think \\" if line.may_think else None for line in trace.lines), mode=mode)


FIELDS = {kind: kind._fields for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)}


def same_tree(one: Any, other: Any) -> bool:
    """As comparing `ast.dump` of both (no positions), in a fifth of the time."""
    left, right = [one], [other]
    while left:
        a, b = left.pop(), right.pop()
        if a is b:
            continue
        if (kind := a.__class__) is not b.__class__:
            return False
        if kind is list:
            if len(a) != len(b):
                return False
            left += a
            right += b
        elif (names := FIELDS.get(kind)) is not None:
            for name in names:
                left.append(getattr(a, name, None))
                right.append(getattr(b, name, None))
        elif a != b:
            return False
    return True


def broken(source: str, trace: Trace) -> str | None:
    """Which promise the trace of `source` breaks, if any."""
    if trace.text != without_comments(source):
        return "the lines are not the source without its comments"
    bare = ast.parse(source)
    for mode in get_args(IndentMode):
        if not same_tree(ast.parse(all_think(trace, mode=mode).text), bare):
            return f"latents ({mode}) change the syntax tree"
    return None


@pytest.mark.parametrize("source", NASTY.values(), ids=NASTY.keys())
def test_nasty_source_makes_the_round_trip_and_keeps_its_tree(source: str) -> None:
    assert broken(source, parse_trace(source, id="nasty")) is None


@pytest.mark.parametrize("source", NASTY.values(), ids=NASTY.keys())
def test_the_trace_of_an_annotated_trace_is_the_bare_trace(source: str) -> None:
    trace = parse_trace(source, id="nasty")
    assert parse_trace(all_think(trace).text, id="nasty").lines == trace.lines


def test_latents_may_stand_before_logical_lines_only() -> None:
    source = 'x = (1,\n     2)\ns = """\n\n# text\n"""\ny = 1 + \\\n    2\n\\\nz = 3\n@d\ndef f():\n    pass\n'
    told = [(line.text.strip("\n"), line.may_think) for line in parse_trace(source, id="t").lines]
    starts = ["x = (1,", 's = """', "y = 1 + \\", "\\", "@d", "def f():", "    pass"]
    assert [text for text, may_think in told if may_think] == starts
    assert [text for text, may_think in told if not may_think] == ["     2)", "# text", '"""', "    2", "z = 3"]


def test_blank_lines_belong_to_the_line_after_them() -> None:
    lines = parse_trace("x = 1\n\n   \n# c\ny = 2\n\n", id="t").lines
    assert [line.text for line in lines] == ["x = 1", "\n\n   \ny = 2"]


@pytest.mark.parametrize(
    ("source", "indents"),
    [
        ("if x:\n  y = 1\n  if y:\n    z = 1\nw = 1\n", ["", "    ", "  ", "    ", "    "]),
        ("if x:\n\ty = 1\n\tif y:\n\t\tz = 1\n", ["", "    ", "\t", "\t\t"]),
        ("def f(a=1):  # why\n    g(a,\n      b)\n    return 1\n", ["", "    ", "", "    "]),
        ("x = a[1:]\nf = lambda: 0\nif x: y = 1\nz = 1\n", ["", "", "", ""]),
        ("\fif x:\n\f    y = 1\n\f    z = 1\n", ["", "    ", "    "]),
    ],
    ids=["the unit seen so far", "tabs", "after a continued line", "colons that open nothing", "form feeds"],
)
def test_the_indent_of_a_latent_follows_from_the_lines_before(source: str, indents: list[str]) -> None:
    assert [line.indent for line in parse_trace(source, id="t").lines] == indents


def test_the_indent_never_depends_on_the_line_itself() -> None:
    deep = parse_trace("if a:\n    if b:\n        x = 1\n        y = 2\n", id="t").lines
    shallow = parse_trace("if a:\n    if b:\n        x = 1\ny = 2\n", id="t").lines
    assert deep[-1].indent == shallow[-1].indent == "        "


def test_the_prompt_is_kept_as_it_is_and_its_blank_end_goes_to_the_first_line() -> None:
    source = 'import a\n# kept\ndef f():\n    """Doc."""\n\n    # dropped\n    return 1\n'
    trace = parse_trace(source, id="t", prompt_end=5)
    assert trace.prompt == 'import a\n# kept\ndef f():\n    """Doc."""'
    assert [(line.text, line.indent) for line in trace.lines] == [("\n\n    return 1", "    ")]


def test_a_prompt_that_ends_within_a_logical_line_is_an_error() -> None:
    with pytest.raises(TraceError, match="lines 1 to 2"):
        parse_trace("def f(a,\n      b):\n    pass\n", id="t", prompt_end=1)


def test_kept_comments_are_lines_that_no_latent_may_precede() -> None:
    lines = parse_trace("x = 1\n\n# c\ny = (1,\n# d\n2)\n", id="t", keep_comments=True).lines
    assert [line.text for line in lines] == ["x = 1", "\n\n# c", "\ny = (1,", "\n# d", "\n2)"]
    assert [line.may_think for line in lines] == [True, False, True, False, False]


def test_dropped_comments_stand_beside_the_trace_as_one_latent_of_the_line_behind_them() -> None:
    source = "# file\nx = 1\n# one\n\n#two\n#\ny = (1,\n# inside\n2)  # trailing\nz = 3\n# last\n"
    trace = parse_trace(source, id="t")
    assert [line.text.strip() for line in trace.lines] == ["x = 1", "y = (1,", "2)  # trailing", "z = 3"]
    assert trace.comments == (" file", " one two", None, None)
    assert same_tree(ast.parse(Annotated(trace, trace.comments).text), ast.parse(source))


def test_a_program_as_one_action_is_the_same_text_with_room_for_one_latent() -> None:
    trace = parse_trace("def f():\n    x = (1,\n      2)\n    return x\n", id="t", prompt_end=1)
    whole = as_one_action(trace)
    assert (whole.text, len(whole.lines)) == (trace.text, 1)
    assert (whole.lines[0].indent, whole.lines[0].may_think) == ("    ", True)
    assert Annotated(whole, (" a pair",)).text == "def f():\n    # a pair" + "".join(line.text for line in trace.lines)


def test_a_first_latent_leads_a_file_without_prompt() -> None:
    trace = parse_trace("x = 1\ny = 2\n", id="t")
    annotated = Annotated(trace, (" a", None))
    assert latent_prefix(trace.lines[0], "implied") == "#"
    assert annotated.text == "# a\nx = 1\ny = 2"
    assert [chunk.text for chunk in annotated.chunks()] == ["# a", "\nx = 1", "\ny = 2"]


def test_latent_prefixes_are_the_states_indent_or_the_papers_column() -> None:
    line = parse_trace("if x:\n    y = 1\n", id="t").lines[1]
    assert latent_prefix(line, "implied") == "\n    #"
    assert latent_prefix(line, "column0") == "\n#"


def test_segments_are_the_runs_that_each_latent_governs() -> None:
    trace = parse_trace("a\nb\nc\nd\ne\n", id="t")
    segments = Annotated(trace, (None, " p", None, None, " q")).segments()
    assert [tuple(s) for s in segments] == [(0, 1, None), (1, 4, " p"), (4, 5, " q")]
    assert [s.duration for s in segments] == [1, 3, 1]


@pytest.mark.parametrize("latent", [" a\nb", " a\rb", " \0"])
def test_a_latent_that_is_no_single_line_is_refused(latent: str) -> None:
    with pytest.raises(ValueError, match="not one line"):
        Annotated(parse_trace("x = 1\n", id="t"), (latent,))


def test_a_latent_within_a_logical_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no latent may stand there"):
        Annotated(parse_trace("x = (1,\n2)\n", id="t"), (None, " a"))


@pytest.mark.parametrize(
    ("source", "line"), [("x = 1\ny = (\n", 2), ("if x:\ny\n", 2), ("x = '\0'\n", 0), ("(" * 500, 1)]
)
def test_source_that_is_no_python_is_an_error_with_its_line(source: str, line: int) -> None:
    with pytest.raises(TraceError) as caught:
        parse_trace(source, id="t")
    assert caught.value.line == line


def standard_library() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    return sorted(path for path in root.rglob("*.py") if "site-packages" not in path.relative_to(root).parts)


def tokenize_once(generate: Callable[..., Iterator[tokenize.TokenInfo]] = tokenize.generate_tokens) -> None:
    """From now on in this process a source that is asked for again has the tokens that Python's own reader gave."""

    @lru_cache(maxsize=1)
    def tokens(source: str) -> list[tokenize.TokenInfo]:
        return list(generate(io.StringIO(source, newline="\n").readline))

    tokenize.generate_tokens = lambda readline: iter(tokens("".join(iter(readline, ""))))


def examine(path: Path) -> tuple[str, int]:
    """(`ok`, lines of the trace), or (why Python itself refuses the file, 0); raises when a promise is broken."""
    gc.disable()  # syntax trees have no cycles; the collector would walk them in vain
    warnings.simplefilter("ignore")
    try:
        source = path.read_bytes().decode("utf-8-sig")
        trace = parse_trace(source, id=path.name)
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason}", 0
    except TraceError as error:
        with pytest.raises((SyntaxError, ValueError)):
            compile(source, path.name, "exec")
        return str(error), 0
    what = broken(source, trace)
    assert what is None, f"{path}: {what}"
    return "ok", len(trace.lines)


def test_the_comparison_of_trees_sees_a_difference() -> None:
    assert same_tree(ast.parse("x = [1, 'a']"), ast.parse("x = [1,\n  'a']"))
    for other in ("x = [1, 'b']", "x = [1]", "y = [1, 'a']", "x = (1, 'a')", "x = [True, 'a']", "x: int = [1, 'a']"):
        assert not same_tree(ast.parse("x = [1, 'a']"), ast.parse(other))


@pytest.mark.slow
def test_every_file_of_the_standard_library_makes_the_round_trip(capsys: pytest.CaptureFixture[str]) -> None:
    paths = standard_library()
    with ProcessPoolExecutor(max_workers=2, initializer=tokenize_once) as pool:
        outcomes = dict(zip(paths, pool.map(examine, paths, chunksize=16), strict=True))
    refused = {path.name: reason for path, (reason, _) in outcomes.items() if reason != "ok"}
    lines = sum(lines for _, lines in outcomes.values())
    with capsys.disabled():
        sys.stderr.write(
            f"\n{len(paths) - len(refused)} files, {lines} lines; Python refuses {len(refused)}: {refused}\n"
        )
    assert lines > 50_000
    assert len(refused) < 0.02 * len(paths)
