"""The docker backend's image: from the Dockerfile beside this module, or out of this machine's own interpreter."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from . import surroundings
from .cell import CellLost
from .packages import Asked, Package, chosen_here, to_label

if TYPE_CHECKING:
    import docker

IMAGE = "ra3-sandbox"
LABEL_OF_CONTENT = "ra3.sandbox.content"
LABEL_OF_PACKAGES = "ra3.sandbox.packages"
_SANDBOX = Path(__file__).parents[1]
_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
}
_SHARED_OBJECT = re.compile(r"(?:=> )?(/\S+) \(0x")

Tell = Callable[[str], None]
"""Where progress goes, a line at a time."""


@cache
def fingerprint() -> str:
    """Of the fork server's source: an image with another one speaks another language."""
    content = hashlib.sha256()
    for path in sorted((_SANDBOX / "inside").rglob("*.py")):
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def _labels(packages: tuple[Package, ...]) -> dict[str, str]:
    return {LABEL_OF_CONTENT: fingerprint(), LABEL_OF_PACKAGES: to_label(packages)}


def build(client: docker.APIClient, tell: Tell, asked: Asked = "auto") -> str:
    """Build from the Dockerfile; its base image, and packages of this machine's versions, come from registries.

    Returns the image's id, raises CellLost.
    """
    from docker.errors import DockerException  # noqa: PLC0415  # docker is asked for only where it is used

    packages = chosen_here(asked)
    wanted = {"PACKAGES": " ".join(f"{package.name}=={package.version}" for package in packages)}
    options = {"tag": IMAGE, "rm": True, "decode": True, "labels": _labels(packages), "buildargs": wanted}
    try:
        for line in client.build(path=str(_SANDBOX), **options):
            if "error" in line:
                mend = "a machine that reaches no registry builds with --from-host"
                raise CellLost(f"the image was not built: {line['error'].strip()} ({mend})")
            if line.get("stream", "").strip():
                tell(line["stream"].strip())
        return _identity(client)
    except DockerException as error:
        raise CellLost(f"the image was not built: {error}") from error


def build_from_host(client: docker.APIClient, tell: Tell, asked: Asked = "auto") -> str:
    """Import the running interpreter, its library, packages and what they load as an image; no registry is asked."""
    from docker.errors import DockerException  # noqa: PLC0415

    packages = chosen_here(asked)
    labels = [f"LABEL {name}={json.dumps(text)}" for name, text in _labels(packages).items()]
    with tempfile.TemporaryFile() as packed:
        count = _pack(packed, packages)
        tell(f"{count} files of {sys.version.split()[0]}, {packed.tell() / 1e6:.0f} MB")
        packed.seek(0)
        try:
            client.import_image_from_data(packed, repository=IMAGE, tag="latest", changes=labels)
            return _identity(client)
        except DockerException as error:
            raise CellLost(f"the image was not imported: {error}") from error


def _identity(client: docker.APIClient) -> str:
    inspect: Callable[[str], dict[str, Any]] = client.inspect_image
    return str(inspect(IMAGE)["Id"])


def _pack(packed: IO[bytes], packages: tuple[Package, ...]) -> int:
    """Write the image's root as a tar archive; returns how many files it has."""
    count = 0
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, name in _files(packages):
            archive.add(path, arcname=name, recursive=False, filter=_anonymous)
            count += 1
        for folder in ("tmp", "link", "proc", "dev", "sys", "etc"):
            entry = tarfile.TarInfo(folder)
            # the engine gives the scratch file system the mode of the folder under it
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for name, text in surroundings.FILES.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        shortcut = tarfile.TarInfo("usr/bin/python3")
        shortcut.type, shortcut.linkname = tarfile.SYMTYPE, str(_interpreter())
        if str(_interpreter()) != "/usr/bin/python3":
            archive.addfile(shortcut)
    return count


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode |= 0o444 | (0o111 if entry.mode & 0o100 else 0)
    return entry


def _interpreter() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _files(packages: tuple[Package, ...]) -> Iterator[tuple[Path, str]]:
    """What goes in: (path here, name there)."""
    library = Path(sysconfig.get_path("stdlib"))
    interpreter = _interpreter()
    modules = [(path, str(path)) for path in _below(library) if not _LEFT_OUT & set(path.parts)]
    modules += [each for package in packages for each in _files_of(package)]
    modules += [(path, str(path)) for path in _below(Path(surroundings.ZONES))]
    objects = {interpreter, *(path for path, _ in modules if path.suffix == ".so")}
    yield interpreter, str(interpreter)
    yield from modules
    lent = {top for package in packages for top in package.entries}
    for path in sorted(_shared_objects(objects)):
        if not lent.intersection(path.resolve().parents):  # what a package brings along goes with it
            yield path.resolve(), str(path)
    for path in sorted((_SANDBOX / "inside").rglob("*.py")):
        yield path, f"sandbox/{path.relative_to(_SANDBOX)}"


def _below(top: Path) -> list[Path]:
    return sorted(path for path in top.rglob("*") if path.is_file() and path.suffix != ".a")  # to link with


def _files_of(package: Package) -> Iterator[tuple[Path, str]]:
    for entry in package.entries:
        for path in [entry] if entry.is_file() else _below(entry):
            yield path, f"{surroundings.PACKAGES}/{package.name}/{path.relative_to(entry.parent)}"


def _shared_objects(objects: set[Path]) -> set[Path]:
    """What the loader maps for these, itself included; raises CellLost where no ``ldd`` says."""
    try:
        told = subprocess.run(
            ["ldd", *map(str, sorted(objects))],  # wherever the system keeps it
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CellLost(f"`ldd`, which tells what the interpreter needs, does not run: {error}") from error
    return {Path(found) for found in _SHARED_OBJECT.findall(told.stdout)}
