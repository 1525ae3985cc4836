"""Where expert code comes from: functions of the standard library or a folder, JSONL, MBPP's references, katas.

A corpus is a list of traces in an order that depends on the seed and on the files alone, and an account of all that was
left out and why. Candidates are shuffled by a hash, then filtered until there are enough: a small corpus is quick, and
a prefix of the larger one; the account covers what was looked at.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import stat
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.corpora.account import Account
from engine.corpora.katas import kata_traces
from engine.corpora.sieve import Bounds, Duplicates, Snippet, sift
from engine.corpora.traces import Trace, as_one_action
from engine.errors import UsageFault
from engine.hub import HubFault, is_on_hub, local_path
from engine.recipe.recipe import Recipe
from engine.rows import read_rows
from engine.suites.formats.mbpp import MBPP_SPLITS, mbpp_prompt
from engine.text import BadLine, open_file, storable, unix_newlines

CorpusKind = Literal["stdlib", "folder", "jsonl", "mbpp", "katas"]
Function = ast.FunctionDef | ast.AsyncFunctionDef

_MOST_BYTES = 4_000_000  # of a source; what is larger was written by a program, and takes gigabytes to parse
_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


class CorpusError(UsageFault):
    """No trace can be had from where a corpus was asked for; the message says what was found and how to mend it."""


@dataclass(slots=True)
class Corpus(Account):
    """Expert traces, and the files, functions or lines that were left out on the way to them."""

    kind: CorpusKind
    origin: str
    traces: list[Trace] = field(default_factory=list)


def load_corpus(
    kind: CorpusKind,
    path: str | None = None,
    *,
    limit: int | None = None,
    min_lines: int = 3,
    max_lines: int = 60,
    max_chars: int = 6000,
    duplicates: Duplicates = "near",
    seed: int = 0,
) -> Corpus:
    """Read up to `limit` traces of `min_lines` to `max_lines` actions and at most `max_chars` characters.

    `stdlib` (its `path` defaults to this interpreter's library) and `folder` give every function with a docstring; the
    `def` and the docstring are its prompt. `jsonl` takes one object a line, or a row where the file is parquet, with
    `code` (or `text`, or `content`) and perhaps a `prompt` and an `id`. `mbpp` gives the references of its train split.

    Raises CorpusError when there is nothing to read at `path`, or nothing of use in it.
    """
    source = find_source(kind, path)
    corpus = Corpus(kind, str(source))
    readers: dict[CorpusKind, Callable[[Path, Corpus], Iterator[Snippet]]] = {
        "stdlib": _read_library,
        "folder": _read_folder,
        "jsonl": _read_jsonl,
        "mbpp": _read_mbpp,
    }
    snippets = sorted(readers[kind](source, corpus), key=lambda s: _shuffle_key(seed, s))
    corpus.traces += sift(snippets, corpus, Bounds(min_lines, max_lines, max_chars, duplicates), limit)
    if not corpus.traces:
        raise CorpusError(_why_empty(corpus, len(snippets)))
    return corpus


def corpus_of(recipe: Recipe) -> Corpus:
    """The corpus that ``recipe`` names, each trace told in the actions it asks for.

    Raises CorpusError as `load_corpus` does.
    """
    settings = recipe.corpus
    if settings.kind == "katas":
        corpus = Corpus("katas", "katas", kata_traces(settings.limit, settings.depth, recipe.seed))
    else:
        corpus = load_corpus(
            settings.kind,
            settings.path,
            limit=settings.limit,
            min_lines=settings.min_lines,
            max_lines=settings.max_lines,
            duplicates=settings.duplicates,
            seed=recipe.seed,
        )
    if recipe.ra3.actions == "program":
        corpus.traces = list(map(as_one_action, corpus.traces))
    return corpus


def find_source(kind: CorpusKind, path: str | None) -> Path:
    """The folder or file that a corpus is read from, fetched where it is on the hub.

    Raises CorpusError where it is not there, or is the other.
    """
    if path is None and kind == "stdlib":
        return Path(sysconfig.get_path("stdlib"))
    if path is None:
        raise CorpusError(f"the corpus kind {kind!r} needs a path: set corpus.path to its {_expected(kind)}")
    if is_on_hub(path) and kind in ("stdlib", "folder"):
        raise CorpusError(f"{path}: from the hub comes a file, but the corpus kind {kind!r} reads a {_expected(kind)}")
    try:
        source = local_path(path)
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    except HubFault as fault:
        raise CorpusError(f"corpus.path: {fault}") from fault
    except (OSError, ValueError, RuntimeError) as error:  # a null byte; a `~name` of nobody
        why = getattr(error, "strerror", None) or error
        raise CorpusError(f"{path}: no such {_expected(kind)} ({why}); set corpus.path to one that exists") from error
    if is_folder != (kind in ("stdlib", "folder")):
        actual = "folder" if is_folder else "file"
        raise CorpusError(f"{source}: is a {actual}, but the corpus kind {kind!r} reads a {_expected(kind)}")
    return source


def _expected(kind: CorpusKind) -> str:
    return "folder of Python files" if kind in ("stdlib", "folder") else "JSONL file"


def _why_empty(corpus: Corpus, candidates: int) -> str:
    mend = {
        "stdlib": "this interpreter's library holds no sources: install them, or use a folder",
        "folder": "only functions with a docstring count; point corpus.path at other code or widen the line limits",
        "jsonl": "each line needs an object with `code`, `text` or `content` that is valid Python",
        "mbpp": "each line needs `task_id`, `text` and `code`; traces come from the ids 601 to 974",
    }[corpus.kind]
    return f"{corpus.origin}: no usable trace ({candidates} candidates; left out: {corpus.account()}): {mend}"


def _shuffle_key(seed: int, snippet: Snippet) -> tuple[bytes, str]:
    return hashlib.sha256(f"{seed}:{snippet.id}".encode()).digest(), snippet.id


# --- reading: from files to candidates


def _read_library(root: Path, corpus: Corpus) -> Iterator[Snippet]:
    return _read_functions(root, corpus, _LEFT_OUT)


def _read_folder(root: Path, corpus: Corpus) -> Iterator[Snippet]:
    return _read_functions(root, corpus, {"__pycache__"})


def _read_functions(root: Path, corpus: Corpus, left_out: set[str]) -> Iterator[Snippet]:
    for path in _python_files(root, left_out, corpus):
        name = _told(path, root)
        try:
            source = _source(path)
        except UnicodeDecodeError:
            corpus.skip("not UTF-8", name)
        except OSError as error:
            corpus.skip("cannot be read", f"{name}: {error.strerror}")
        else:
            yield from _functions_of(source, name, corpus)


def _python_files(root: Path, left_out: set[str], corpus: Corpus) -> Iterator[Path]:
    def skip_folder(error: OSError) -> None:
        corpus.skip("folder that cannot be read", f"{_told(Path(error.filename), root)}: {error.strerror}")

    for folder, subfolders, names in os.walk(root, onerror=skip_folder):
        subfolders[:] = sorted(name for name in subfolders if name not in left_out and not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _told(path: Path, root: Path) -> str:
    """The name of a file below ``root``, which need not be UTF-8, as text."""
    return storable(path.relative_to(root).as_posix())


def _source(path: Path) -> str:
    with open_file(path) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"over {_MOST_BYTES // 1_000_000} MB")
    return unix_newlines(content.decode("utf-8-sig"))


def _functions_of(source: str, name: str, corpus: Corpus) -> Iterator[Snippet]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an expert's odd escape is no concern of ours
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        corpus.skip("does not parse", f"{name}: {error}")
        return
    rows = source.split("\n")
    for qualname, node in _walk_functions(tree):
        where = f"{name}:{node.lineno} {qualname}"
        if ast.get_docstring(node, clean=False) is None:
            corpus.skip("no docstring", where)
        elif len(node.body) == 1 or node.body[1].lineno <= _end(node.body[0]):
            corpus.skip("nothing after the docstring", where)
        else:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            body = _dedent(rows[first - 1 : _end(node)])
            yield Snippet(f"{name}::{qualname}:{node.lineno}", where, body, _end(node.body[0]) - first + 1)


def _walk_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions and methods with their dotted names; those within functions are part of them."""
    open_nodes: list[tuple[ast.AST, str]] = [(tree, "")]
    while open_nodes:
        parent, prefix = open_nodes.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, Function):
                yield prefix + node.name, node
            elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
                open_nodes.append((node, f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix))


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _dedent(rows: list[str]) -> str:
    """Move a function to column 0: every row that leads with its indentation, those of strings too."""
    indent = rows[0][: len(rows[0]) - len(rows[0].lstrip())]
    return "\n".join(row.removeprefix(indent) if row.strip() else "" for row in rows)


def _read_jsonl(path: Path, corpus: Corpus) -> Iterator[Snippet]:
    """A line's ``id`` names its trace, and with the place beside it where an earlier line has the same."""
    ids: set[str] = set()
    for number, item in _objects(path, corpus):
        where = f"{path.name}:{number}"
        code = next((item[key] for key in ("code", "text", "content") if key in item), None)
        prompt = item.get("prompt", "")
        if not isinstance(code, str) or not isinstance(prompt, str):
            corpus.skip("no `code`, `text` or `content` that is text", where)
        else:
            given = str(item["id"]) if type(item.get("id")) in (str, int) else where
            name = f"{given} ({where})" if given in ids else given
            ids.add(given)
            yield _prompted(name, where, prompt, code)


def _read_mbpp(path: Path, corpus: Corpus) -> Iterator[Snippet]:
    for number, item in _objects(path, corpus):
        task, text, code, tests = (item.get(key) for key in ("task_id", "text", "code", "test_list"))
        if not (isinstance(task, int) and isinstance(text, str) and isinstance(code, str) and isinstance(tests, list)):
            corpus.skip("not a problem of MBPP", f"{path.name}:{number}")
        elif task not in MBPP_SPLITS["mbpp-train"]:
            corpus.skip("not in the train split", f"MBPP/{task}")
        else:
            yield _prompted(f"MBPP/{task}", f"{path.name}:{number}", mbpp_prompt(text, tests), code)


def _objects(path: Path, corpus: Corpus) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, item in read_rows(path):
            if isinstance(item, BadLine):
                corpus.skip("bad JSON line", f"{path.name}:{number}: {item.why}")
            else:
                yield number, item
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error}); give a file of JSONL or parquet") from error


def _prompted(name: str, where: str, prompt: str, code: str) -> Snippet:
    prompt, code = unix_newlines(prompt).rstrip("\n"), unix_newlines(code)
    if not prompt:
        return Snippet(name, where, code, 0)
    return Snippet(name, where, f"{prompt}\n{code.removeprefix(chr(10))}", prompt.count("\n") + 1)
