"""Files of data sets on the Hugging Face hub, by names that may stand where the path of a file does.

``hub:OWNER/NAME/PATH/IN/REPO``, perhaps with ``@REVISION``: a branch, a tag or a commit. The hub's own client fetches
it into its cache, and asks whether there is a newer one; of a commit in full that is in the cache it asks nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageFault

_PREFIX = "hub:"
_NAME = re.compile(r"hub:(?P<repo>[^/@]+/[^/@]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[^@]+))?")


class HubFault(UsageFault):
    """A file cannot be had from the hub: says which, from where, and how to mend it."""


def is_on_hub(path: str) -> bool:
    """Does ``path`` name a file on the hub?"""
    return path.startswith(_PREFIX)


def inside(folder: str, file: str) -> str:
    """The name of ``file`` in a folder on the hub, or in a whole data set: ``hub:OWNER/NAME@REVISION``."""
    before, at, revision = folder.partition("@")
    return f"{before.rstrip('/')}/{file}{at}{revision}"


def local_path(path: str) -> Path:
    """Where the file that ``path`` names lies on this machine; one on the hub is fetched.

    Raises:
        HubFault: it cannot be had.
    """
    return _fetched(_parsed(path)) if is_on_hub(path) else Path(path).expanduser()


@dataclass(frozen=True, slots=True)
class _HubFile:
    repo: str
    file: str
    revision: str | None

    def __str__(self) -> str:
        return f"{_PREFIX}{self.repo}/{self.file}" + (f"@{self.revision}" if self.revision else "")


def _parsed(path: str) -> _HubFile:
    match = _NAME.fullmatch(path)
    if match is None or not match["file"]:
        raise HubFault(f"{path!r} names no file on the hub: write hub:OWNER/NAME/PATH/IN/REPO, perhaps with @REVISION")
    return _HubFile(match["repo"], match["file"], match["revision"])


def _fetched(wanted: _HubFile) -> Path:
    # Not above: it is slow to import, and settles there and then whether it is offline, and where its cache is.
    from huggingface_hub import hf_hub_download, logging  # noqa: PLC0415
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    disable_progress_bars()  # the terminal is that of the program that uses us
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        found = hf_hub_download(wanted.repo, wanted.file, repo_type="dataset", revision=wanted.revision)
    except Exception as error:  # errors of the client, of HTTP below it, of the disk: all of them mean no file
        raise HubFault(f"{wanted}: {_why(wanted, error)}") from error
    return Path(found)


def _why(wanted: _HubFile, error: Exception) -> str:
    """What stood in the way, and what helps."""
    from huggingface_hub import constants, errors  # noqa: PLC0415

    page = f"{constants.ENDPOINT}/datasets/{wanted.repo}"
    if isinstance(error, errors.GatedRepoError):
        return f"the data set is gated; accept its terms at {page}, and log in by `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no data set {page}, or not for you; check the name, or log in by `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the data set has no revision {wanted.revision!r}; {page}/commits/main lists them"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return _why_not_here(wanted, offline=constants.HF_HUB_OFFLINE)
    if isinstance(error, errors.EntryNotFoundError):
        return f"the data set has no such file; {page}/tree/{wanted.revision or 'main'} lists them"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"cannot be fetched from {constants.ENDPOINT} ({reason}); try again, or name a file of this machine"


def _why_not_here(wanted: _HubFile, *, offline: bool) -> str:
    from huggingface_hub import constants  # noqa: PLC0415

    cache = f"the cache {constants.HF_HUB_CACHE} has no copy"
    if not offline:
        return (
            f"{constants.ENDPOINT} cannot be reached, and {cache}; check the network, set HF_ENDPOINT to a mirror, "
            "or name a file of this machine"
        )
    revision = f" --revision {wanted.revision}" if wanted.revision else ""
    fetch = f"hf download --repo-type dataset{revision} {wanted.repo} {wanted.file}"
    return f"HF_HUB_OFFLINE is set, and {cache}; fetch it by `{fetch}` without that, or name a file of this machine"
