"""Corpora: what is taken, what is left out and told, and that the order depends on the files and the seed alone."""

from __future__ import annotations

import ast
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.corpora import sources
from engine.corpora.sources import Corpus, CorpusError, corpus_of, load_corpus
from engine.recipe.files import load_recipe

BODY = "    a = {0}(x)\n    b = a + 1\n    return b\n"


def function(name: str, call: str, doc: str = '"""Doc."""') -> str:
    return f"def {name}(x):\n    {doc}\n" + BODY.format(call)


def folder(root: Path, **files: str | bytes) -> Path:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def jsonl(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def load(root: Path, kind: Any = "folder", **bounds: Any) -> Corpus:
    return load_corpus(kind, str(root), **bounds)


METHOD = '''
class A:
\tclass B:
\t\t@property
\t\t@other(1,
\t\t       2)
\t\tasync def f(self):
\t\t\t"""Doc.

\t\t\tMore.
\t\t\t"""

\t\t\t# gone
\t\t\tx = await self.g("""one
\t\t\ttwo""")

\t\t\treturn x
'''


def test_a_method_is_dedented_with_decorators_header_and_docstring_as_its_prompt(tmp_path: Path) -> None:
    (trace,) = load(folder(tmp_path, a=METHOD)).traces
    assert trace.prompt == ('@property\n@other(1,\n       2)\nasync def f(self):\n\t"""Doc.\n\n\tMore.\n\t"""')
    assert [line.text for line in trace.lines] == [
        '\n\n\tx = await self.g("""one',
        '\n\ttwo""")',
        "\n\n\treturn x",
    ]
    assert trace.source == "a.py:7 A.B.f"
    assert trace.lines[0].indent == "\t"


def test_functions_within_conditions_are_found_and_those_within_functions_are_not(tmp_path: Path) -> None:
    inner = "\n".join("    " + row for row in function("inner", "g").split("\n"))
    outer = f'def outer(x):\n    """Doc."""\n{inner}\n    return inner\n'
    guarded = (
        "try:\n" + "\n".join("    " + row for row in function("guarded", "h").split("\n")) + "\nexcept E:\n    pass\n"
    )
    traces = load(folder(tmp_path, a=outer + guarded)).traces
    assert {trace.source.split()[1] for trace in traces} == {"outer", "guarded"}


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        good=function("good", "g"),
        short='def short():\n    """Doc."""\n    return 1\n',
        long=function("long", "g").replace("    return b\n", "    b += 1\n" * 80 + "    return b\n"),
        bare="def bare():\n    return 1\n",
        same_line='def same():\n    """Doc."""; return 1\n',
        only='def only():\n    """Doc."""\n',
        latin=b"x = '\xe9'\n",
        broken="def (:\n",
        twin=function("zwilling", "g", doc='"""Other words."""').replace("1", "2  # two"),
        unicode=function("größe", "größer"),
        licence=function("owned", "h", doc='"""Copyright someone."""'),
    )
    corpus = load(root)
    assert corpus.skipped == {
        "too short": 1,
        "too long": 1,
        "no docstring": 1,
        "nothing after the docstring": 2,
        "not UTF-8": 1,
        "does not parse": 1,
        "duplicate": 1,
        "non-ASCII identifiers": 1,
        "licence text": 1,
    }
    assert len(corpus.traces) == 1
    assert corpus.examples["not UTF-8"] == ["latin.py"]
    assert corpus.examples["too short"] == ["short.py:1 short"]
    assert "1 not UTF-8 (latin.py)" in corpus.account()


def test_the_order_depends_on_the_seed_and_the_files_and_a_limit_takes_its_beginning(tmp_path: Path) -> None:
    files = {f"m{i}": function(f"f{i}", f"g{i}") for i in range(12)}
    root = folder(tmp_path / "here", **files)
    reversed_root = folder(tmp_path / "there", **dict(reversed(files.items())))
    ids = [trace.id for trace in load(root).traces]
    assert [trace.id for trace in load(reversed_root).traces] == ids
    assert [trace.id for trace in load(root, limit=5).traces] == ids[:5]
    other = [trace.id for trace in load(root, seed=1).traces]
    assert other != ids
    assert sorted(other) == sorted(ids)


def test_hidden_folders_and_links_out_are_not_entered(tmp_path: Path) -> None:
    folder(tmp_path / "out", b=function("b", "g"))
    root = folder(tmp_path / "in", a=function("a", "f"))
    folder(root / ".venv", c=function("c", "h"))
    (root / "link").symlink_to(tmp_path / "out")
    assert [trace.source for trace in load(root).traces] == ["a.py:1 a"]


@pytest.mark.medium
def test_the_standard_library_gives_functions_that_parse_and_none_of_its_tests() -> None:
    corpus = load_corpus("stdlib", limit=50, max_lines=20)
    assert len(corpus.traces) == 50
    for trace in corpus.traces:
        assert 3 <= len(trace.lines) <= 20
        assert not trace.prompt.endswith("\n")
        (node,) = ast.parse(trace.text).body
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        assert ast.get_docstring(node) is not None
        assert "test/" not in trace.id


def test_jsonl_takes_code_text_or_content_with_or_without_a_prompt(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"code": "x = 1\ny = f(x)\nz = y\n"},
        {"text": "a = 1\r\nb = g(a)\r\nc = b\r\n"},
        {"content": "    a = 3\n    b = h(a)\n    return b", "prompt": "def f():\n    '''Doc.'''\n"},
    )
    traces = {trace.id: (trace.prompt, len(trace.lines)) for trace in load(path, "jsonl").traces}
    assert traces == {"a.jsonl:1": ("", 3), "a.jsonl:2": ("", 3), "a.jsonl:3": ("def f():\n    '''Doc.'''", 3)}


GIVEN = ["a/1", 7, "a/1", None, True]


def test_the_id_of_a_line_names_its_trace_and_one_that_comes_again_its_place_too(tmp_path: Path) -> None:
    code = "x = {}(1)\ny = x\nz = y\n"
    lines = [{"code": code.format(name), "id": given} for name, given in zip("fghij", GIVEN, strict=True)]
    traces = load(jsonl(tmp_path / "a.jsonl", *lines), "jsonl").traces
    assert {trace.id for trace in traces} == {"a/1", "7", "a/1 (a.jsonl:3)", "a.jsonl:4", "a.jsonl:5"}
    assert {trace.source for trace in traces} == {f"a.jsonl:{number}" for number in range(1, 6)}


def test_programs_that_differ_in_literals_are_near_duplicates_and_no_exact_ones(tmp_path: Path) -> None:
    programs = ["k = 1\ny = k\nz = y\n", "k = 2\ny = k\nz = y\n", "k = 1\ny = k\nz = y\n"]
    path = jsonl(tmp_path / "a.jsonl", *({"code": program} for program in programs))
    assert load(path, "jsonl").skipped == {"duplicate": 2}
    assert load(path, "jsonl", duplicates="exact").skipped == {"duplicate": 1}
    tasks = jsonl(tmp_path / "b.jsonl", *({"code": programs[0], "prompt": f"task = {n}"} for n in range(3)))
    assert load(tasks, "jsonl").skipped == {"duplicate": 2}
    assert load(tasks, "jsonl", duplicates="exact").skipped == {}
    asked = {"corpus.kind": "jsonl", "corpus.path": str(tasks), "corpus.duplicates": "exact"}
    assert len(corpus_of(load_recipe("smoke").with_values(asked)).traces) == 3


def test_code_may_leave_the_block_that_its_prompt_opened(tmp_path: Path) -> None:
    code = "        a = 1\n        return a\n    def g(self):\n        return 2\n"
    path = jsonl(tmp_path / "a.jsonl", {"prompt": "class A:\n    def f(self):", "code": code})
    (trace,) = load(path, "jsonl").traces
    assert [line.indent for line in trace.lines] == ["        ", "        ", "        ", "        "]


def test_long_chains_of_branches_are_walked_to_their_end(tmp_path: Path) -> None:
    chain = "if x == 0:\n    pass\n" + "".join(f"elif x == {i}:\n    pass\n" for i in range(900)) + "else:\n"
    root = folder(tmp_path, a=chain + "".join(f"    {row}\n" for row in function("f", "g").split("\n")))
    corpus = load(root)
    assert corpus.skipped == {}
    assert len(corpus.traces) == 1


def test_a_bad_line_of_jsonl_is_named_and_not_fatal(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl", {"code": "x = 1\ny = x\nz = y\n"}, "{oops", "[1]", {"other": 1}, {"code": "def ("}
    )
    corpus = load(path, "jsonl")
    assert len(corpus.traces) == 1
    assert corpus.skipped == {
        "bad JSON line": 2,
        "no `code`, `text` or `content` that is text": 1,
        "does not parse": 1,
    }
    assert corpus.examples["bad JSON line"][0].startswith("a.jsonl:2: not JSON")


def test_mbpp_gives_its_train_split_after_a_docstring_of_the_task(tmp_path: Path) -> None:
    problem = {"text": "Add.", "code": "def f(x):\r\n\ty = x\r\n\treturn y", "test_list": ["assert f(1) == 1"]}
    path = jsonl(tmp_path / "m.jsonl", problem | {"task_id": 600}, problem | {"task_id": 601})
    (trace,) = load(path, "mbpp").traces
    assert trace.id == "MBPP/601"
    assert trace.text == '"""\nAdd.\nassert f(1) == 1\n"""\ndef f(x):\n\ty = x\n\treturn y'


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("folder", "missing", "no such folder"),
        ("jsonl", "missing.jsonl", "no such JSONL file"),
        ("jsonl", "", "is a folder"),
        ("folder", "empty.jsonl", "is a file"),
        ("jsonl", "empty.jsonl", "no usable trace"),
        ("mbpp", "empty.jsonl", "no usable trace"),
        ("folder", "", "no usable trace"),
        ("jsonl", "cut.jsonl.gz", "cannot be read"),
    ],
)
def test_a_corpus_with_nothing_to_use_is_one_clear_line(tmp_path: Path, kind: Any, name: str, message: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00\x00")
    with pytest.raises(CorpusError, match=message) as caught:
        load(tmp_path / name, kind)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_documented_functions_says_what_it_found(tmp_path: Path) -> None:
    root = folder(tmp_path, a="def f():\n    return 1\n", b=b"\xff")
    with pytest.raises(CorpusError, match=r"1 no docstring \(a.py:1 f\), 1 not UTF-8 \(b.py\)"):
        load(root)


def test_a_kind_that_needs_a_path_says_so() -> None:
    with pytest.raises(CorpusError, match=r"needs a path: set corpus\.path"):
        load_corpus("mbpp")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A folder of one good file among pipes, devices and what only looks like a file."""
    folder(tmp_path, good=function("f", "g"))
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round.py").symlink_to(tmp_path / "round.py")
    (tmp_path / "folder.py").mkdir()
    return tmp_path


def test_pipes_devices_and_broken_links_are_passed_over_and_counted(endless: Path) -> None:
    corpus = load(endless)
    assert [trace.source for trace in corpus.traces] == ["good.py:1 f"]
    assert corpus.skipped == {"cannot be read": 4}
    assert "pipe.py: a pipe, a socket or a device, not a file" in corpus.examples["cannot be read"]


def test_a_source_without_end_is_not_read_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = function("f", "g")
    monkeypatch.setattr(sources, "_MOST_BYTES", len(good))
    corpus = load(folder(tmp_path, good=good, large=good + "#"))
    assert [trace.source for trace in corpus.traces] == ["good.py:1 f"]
    assert corpus.examples == {"cannot be read": ["large.py: over 0 MB"]}


def test_a_file_whose_name_is_no_utf8_is_read_and_its_name_told_in_escapes(tmp_path: Path) -> None:
    name = os.fsdecode(b"odd\xff.py")
    (tmp_path / name).write_text(function("f", "g"))
    (tmp_path / os.fsdecode(b"bad\xfe.py")).write_text("def")
    corpus = load(tmp_path)
    (trace,) = corpus.traces
    assert trace.source == "odd\\udcff.py:1 f"
    trace.id.encode()
    corpus.account().encode()


def test_a_folder_that_cannot_be_read_is_in_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, good=function("f", "g"), closed__hidden=function("h", "g"))
    listed = os.scandir

    def refused(path: str) -> Any:  # a file mode would not keep out the superuser
        if os.fspath(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    corpus = load(tmp_path)
    assert [trace.source for trace in corpus.traces] == ["good.py:1 f"]
    assert corpus.account() == "1 folder that cannot be read (closed: Permission denied)"


def test_a_line_with_half_a_character_is_left_out_and_counted(tmp_path: Path) -> None:
    good = {"code": "def f(x):\n    a = x\n    b = a\n    return b\n"}
    corpus = load(jsonl(tmp_path / "c.jsonl", good, r'{"code": "a = \"\ud800\"\nb = 1\nc = 2\n"}'), "jsonl")
    assert len(corpus.traces) == 1
    assert corpus.skipped == {"bad JSON line": 1}


@pytest.mark.parametrize("kind", ["jsonl", "mbpp"])
def test_a_pipe_in_place_of_a_file_is_one_line(tmp_path: Path, kind: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match=r"pipe: cannot be read .*not a file"):
        load(tmp_path / "pipe", kind)


@pytest.mark.parametrize("path", ["x" * 300, "a\0b", "~nobody-of-this-name/x"], ids=["long", "null", "nobody"])
def test_a_path_that_no_file_can_have_is_one_line(path: str) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.path"):
        load_corpus("folder", path)
