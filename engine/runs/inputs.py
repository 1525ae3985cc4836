"""What a run reads from outside: where it lies, and how a resume notices that it is another. Imports no torch.

``inputs.json`` in a run's folder has a SHA-256 of each input: of a corpus' traces, of the files of suites and comments,
of a base model's files or weights. It is written when the run begins. What lies in a checkpoint was made from them: a
run that went on with others would be neither the one nor the other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.corpora.traces import Trace
from engine.errors import EnvironmentFault, UsageFault
from engine.hub import is_on_hub, local_path
from engine.recipe.recipe import Recipe
from engine.recipe.sections import StageKind
from engine.suites.loading import load_suite, parse_spec
from engine.suites.problem import Suite

Digests = dict[str, str]
"""SHA-256 of each input, by its kind and name: ``corpus stdlib``, ``suite jsonl:/data/own.jsonl``."""
_FILE = "inputs.json"
_READ_BY: dict[StageKind, tuple[str, ...]] = {"ntp": ("corpus ", "comments "), "ra3": ("corpus ",), "rlvr": ("suite ",)}
"""What a checkpoint inside a stage was made from, beside the model below adapters."""


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """``recipe`` with its paths as they are from here, wherever the run goes on.

    Raises:
        SuiteError: a suite is not written as one.
    """
    values: dict[str, Any] = {
        "model.id": _absolute(recipe.model.id) if _is_local(recipe.model.id) else recipe.model.id,
        "corpus.path": recipe.corpus.path and _absolute(recipe.corpus.path),
        "ntp.comments_path": recipe.ntp.comments_path and _absolute(recipe.ntp.comments_path),
        "eval.suites": tuple(map(_absolute_suite, recipe.eval.suites)),
        "rlvr.suite": _absolute_suite(recipe.rlvr.suite),
    }
    return recipe.with_values(values)


def _is_local(model: str) -> bool:
    """Does a model's name mean a file or folder? A hub id does not, unless a folder is called so."""
    return model.startswith((".", "/", "~")) or model.endswith(".gguf") or Path(model).is_dir()


def _absolute_suite(spec: str) -> str:
    parts = parse_spec(spec)
    return f"{parts.kind}:{_absolute(parts.path)}" if parts.path else spec


def _absolute(path: str) -> str:
    if is_on_hub(path):
        return path
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - a link on the way stays one


def load_suites(recipe: Recipe, stages: Iterable[StageKind]) -> dict[str, Suite]:
    """The suites that ``stages`` sample from, by their specs.

    Raises:
        SuiteError: one cannot be had.
    """
    asked = set(stages)
    specs = [*(recipe.eval.suites if "eval" in asked else ()), *([recipe.rlvr.suite] if "rlvr" in asked else ())]
    return {spec: load_suite(spec) for spec in specs}


def digests_of_files(recipe: Recipe, stages: Iterable[StageKind], suites: Mapping[str, Suite]) -> Digests:
    """Those of ``suites``, and of the comments that ``stages`` imitate."""
    digests = {f"suite {spec}": suite.digest for spec, suite in suites.items()}
    path = recipe.ntp.comments_path
    if "ntp" in set(stages) and recipe.ntp.comments == "file" and path is not None:
        digests[f"comments {path}"] = _digest_of(local_path(path))
    return digests


def digest_of_model(recipe: Recipe) -> Digests:
    """That of the files of a model that lies on this machine under a name of its own; nothing for any other."""
    path = Path(recipe.model.id)
    if not path.is_absolute() or not path.exists():
        return {}
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(f"{file.name} {_digest_of(file)}\n".encode())
    return {f"model {recipe.model.id}": digest.hexdigest()}


def _digest_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_of_traces(recipe: Recipe, traces: Sequence[Trace]) -> Digests:
    """That of the traces a run has of its corpus, in their order."""
    digest = hashlib.sha256()
    for trace in traces:
        digest.update(repr((trace.id, trace.prompt, trace.lines, trace.comments)).encode(errors="surrogatepass"))
    return {f"corpus {recipe.corpus.path or recipe.corpus.kind}": digest.hexdigest()}


def check_unchanged(folder: Path, inputs: Digests, *, begun: bool) -> None:
    """Have ``inputs`` be those that the run in ``folder`` began with; where it has not ``begun``, it does so with them.

    Raises:
        UsageFault: some are others.
        EnvironmentFault: what it began with cannot be read, or not be written down.
    """
    known = recorded(folder) if begun else {}
    others = changed(known, inputs)
    if others:
        raise UsageFault(
            f"run {folder.name}: the {' and the '.join(others)} changed since it began; put back what was there, "
            f"or begin a run with what is there now from the end of a stage: `ra3 run --fork {folder.name}@STEP`"
        )
    record(folder, known | inputs)


def changed(known: Digests, inputs: Digests) -> list[str]:
    """Names of those ``inputs`` that are others than the ``known`` ones."""
    return [name for name, digest in inputs.items() if known.get(name, digest) != digest]


def record(folder: Path, inputs: Digests) -> None:
    """Write down what the run in ``folder`` works with.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    unfinished = folder / f".{_FILE}.tmp"
    try:
        unfinished.write_text(json.dumps(inputs, indent=1), encoding="utf-8")
        unfinished.replace(folder / _FILE)
    except OSError as error:
        raise EnvironmentFault(f"{folder / _FILE}: cannot be written ({error.strerror})") from error


def recorded(folder: Path) -> Digests:
    """What the run in ``folder`` began with; nothing where an earlier version began it.

    Raises:
        EnvironmentFault: it cannot be read.
    """
    path = folder / _FILE
    try:
        digests: Digests = dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise EnvironmentFault(
            f"{path}: cannot be read ({error}); remove it to go on with what is there now"
        ) from error
    return digests


def inherited(recipe: Recipe, inside: StageKind | None, inputs: Digests) -> Digests:
    """Those of a parent's ``inputs`` that its checkpoint depends on; the others may have changed for a fork.

    They are the model below adapters, and what the stage had read that the checkpoint is ``inside``.
    """
    kinds = _READ_BY.get(inside, ()) if inside else ()
    kinds += ("model ",) if recipe.lora.rank else ()
    return {name: digest for name, digest in inputs.items() if name.startswith(kinds)}
