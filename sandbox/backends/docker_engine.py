"""The docker backend: a pair of long-lived, hardened containers a worker, on one engine or on several.

The containers' first process is our fork server (not ``docker-init``): as init of the pid namespace it cannot be
signalled from inside and its kill of -1 reaches everything. The two containers share one small folder, writable to
the judges alone, in which they meet once; the candidates have no other neighbour.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..job import Limits
from . import surroundings
from .cell import START_S, Cell, CellLost, Pair, paired
from .image import IMAGE, LABEL_OF_CONTENT, LABEL_OF_PACKAGES, fingerprint
from .local import CELL_OVERHEAD_MB
from .packages import Asked, Package, choose, from_label

if TYPE_CHECKING:
    import docker

LABEL = "ra3.sandbox"
DEFAULT_HOST = "unix:///var/run/docker.sock"
_PIDS = Limits.processes + 2
"""The engine counts for a whole container: the default of a job, the fork server, and one for its first child."""
_STREAM_HEADER = struct.Struct(">BxxxI")
_STDERR = 2
_PYTHON = ["python3", "-s", "-S", "-P", "-B", "-c"]
_LAUNCH = "import sys; sys.path.insert(0, '/sandbox'); import inside.start as s; sys.path.pop(0); s.main()"
_OOM_FILES = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


_BUILD = "run `ra3 sandbox build`, or `ra3 sandbox build --from-host` where no registry is reached"


class RawSocket(Protocol):
    """What we need of a plain or a TLS socket."""

    def recv(self, size: int, /) -> bytes: ...  # noqa: D102
    def sendall(self, chunk: bytes, /) -> None: ...  # noqa: D102
    def fileno(self) -> int: ...  # noqa: D102
    def shutdown(self, how: int, /) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


def hosts() -> list[str]:
    """The engines to use: ``DOCKER_HOST`` (commas between several), else ``DOCKER_CONTEXT``, else the local one."""
    named = os.environ.get("DOCKER_HOST", "")
    if named:
        return [host.strip() for host in named.split(",") if host.strip()]
    contexts = [name.strip() for name in os.environ.get("DOCKER_CONTEXT", "").split(",") if name.strip()]
    return [_host_of_context(name) for name in contexts] or [DEFAULT_HOST]


def _host_of_context(name: str) -> str:
    from docker.context import ContextAPI  # noqa: PLC0415  # docker is asked for only where it is used

    context = ContextAPI.get_context(name)
    if context is None:
        raise CellLost(f"there is no docker context called {name}: see `docker context ls`")
    return str(context.Host)


def connect(host: str) -> docker.APIClient:
    """A client of the engine at ``host``; raises CellLost, whose message says how to mend it."""
    import docker  # noqa: PLC0415  # docker is asked for only where it is used
    from docker.errors import DockerException  # noqa: PLC0415

    tls = docker.tls.TLSConfig(verify=True) if os.environ.get("DOCKER_TLS_VERIFY") else False
    try:
        client = docker.APIClient(base_url=host, version="auto", timeout=int(START_S), tls=tls)
        client.ping()
    except (DockerException, OSError) as error:
        raise CellLost(f"no Docker engine answers at {host} ({error}): start one, or set DOCKER_HOST") from error
    return client


class DockerCell(Cell):
    """A fork server that is the first process of a container, spoken to over its attached streams."""

    def __init__(self, client: docker.APIClient, folder: str, listen: bool) -> None:
        super().__init__()
        self._client = client
        self._memory_mb = 1024
        self._id = str(client.create_container(**_container(client, folder, listen))["Id"])
        self._expect = 0
        self._stderr = False
        self._partial = bytearray()
        self.complaints = bytearray()
        """What the container's first process wrote to standard error; nothing, where all is well."""
        try:
            streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._attached = client.attach_socket(self._id, streams)
            # docker-py's own reader polls without a timeout; the socket under it is ours to poll.
            self._socket: RawSocket = getattr(self._attached, "_sock", self._attached)
            client.start(self._id)
        except Exception:
            self.close()
            raise

    def begin(self, listen: bool, core: int, packages: tuple[Package, ...]) -> None:
        """Configure the fork server; `hello` completes it."""
        link = {"link": "/link/socket", "listen": listen}
        places = [f"{surroundings.PACKAGES}/{package.name}" for package in packages]
        self.send({"kind": "container", **link, "core": core, "oom_files": list(_OOM_FILES), "packages": places})

    def fileno(self) -> int:
        """The attached socket."""
        return self._socket.fileno()

    def _read(self) -> bytes:
        """Strip the engine's own framing: a stream number and a length before each piece."""
        chunk = self._socket.recv(1 << 16)
        if not chunk:
            raise CellLost(f"the container ended {self.complaints.decode('utf-8', 'replace')[-500:]}".strip())
        self._partial += chunk
        pieces = bytearray()
        while (piece := self._next_piece()) is not None:
            pieces += piece
        return bytes(pieces)

    def _next_piece(self) -> bytes | None:
        if self._expect == 0:
            if len(self._partial) < _STREAM_HEADER.size:
                return None
            stream, self._expect = _STREAM_HEADER.unpack_from(self._partial)
            self._stderr = stream == _STDERR
            del self._partial[: _STREAM_HEADER.size]
        if not self._partial:
            return None
        piece = bytes(self._partial[: self._expect])
        del self._partial[: len(piece)]
        self._expect -= len(piece)
        if self._stderr:
            self.complaints += piece
            return b""
        return piece

    def _write(self, chunk: bytes) -> None:
        self._socket.sendall(chunk)

    def set_memory(self, megabytes: int) -> None:
        """Set the container's memory, fork server included, swap being none."""
        if megabytes == self._memory_mb:
            return
        from docker.errors import DockerException  # noqa: PLC0415

        limit = megabytes + CELL_OVERHEAD_MB << 20
        try:
            self._client.update_container(self._id, mem_limit=limit, memswap_limit=limit)
        except DockerException as error:
            raise CellLost(f"the engine does not set a container's memory: {error}") from error
        self._memory_mb = megabytes

    def abort(self) -> None:
        """Shut the attached streams: the fork server, hung up on, ends with its container."""
        with contextlib.suppress(OSError):  # it had ended
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Remove the container; an engine that is gone has nothing left to remove."""
        from docker.errors import DockerException  # noqa: PLC0415

        with contextlib.suppress(AttributeError):  # it failed before it was attached
            self._attached.close()
            self._socket.close()
        with contextlib.suppress(DockerException, OSError):
            self._client.remove_container(self._id, force=True)


def _container(client: docker.APIClient, folder: str, listen: bool) -> dict[str, Any]:
    """How every container of ours is made: nothing in it can be written, reached or gained."""
    from docker.types import LogConfig, Ulimit  # noqa: PLC0415

    memory = 1024 + CELL_OVERHEAD_MB << 20
    host_config = client.create_host_config(
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],  # the engine's own seccomp profile stays, ours is laid over it inside
        pids_limit=_PIDS,
        mem_limit=memory,
        memswap_limit=memory,
        nano_cpus=10**9,
        ipc_mode="none",
        auto_remove=True,
        tmpfs={
            "/tmp": _room(surroundings.TMP_BYTES, surroundings.TMP_FILES),  # noqa: S108
            "/dev/shm": _room(surroundings.SHM_BYTES, surroundings.SHM_FILES),  # noqa: S108
        },
        ulimits=[Ulimit(name="nofile", soft=4096, hard=4096), Ulimit(name="core", soft=0, hard=0)],
        log_config=LogConfig(type="none"),
        binds={folder: {"bind": "/link", "mode": "rw,nocopy" if listen else "ro,nocopy"}},
    )
    host_config["MaskedPaths"] = list(surroundings.MASKED)  # docker-py has no name for it
    return {
        "image": IMAGE,
        "command": [*_PYTHON, _LAUNCH],
        "entrypoint": [],
        "user": "65534:65534",
        "working_dir": "/tmp",  # noqa: S108
        "stdin_open": True,
        "hostname": surroundings.HOSTNAME,
        "environment": surroundings.ENVIRONMENT,
        "labels": {LABEL: str(os.getpid())},
        "host_config": host_config,
        "network_disabled": True,
    }


def _room(size: int, files: int) -> str:
    return f"rw,noexec,nosuid,nodev,size={size},nr_inodes={files},mode=1777"


def _open_on(host: str, core: int, asked: Asked) -> Pair:
    """A pair on one engine; raises CellLost."""
    from docker.errors import DockerException  # noqa: PLC0415

    client = connect(host)
    folder = f"ra3-{uuid.uuid4().hex[:12]}"
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=64k,nr_inodes=16,mode=1777"}
    cells: list[DockerCell] = []
    try:
        packages = choose(asked, check_image(client).get, f"in the image {IMAGE} at {host}: {_BUILD}")
        client.create_volume(folder, driver="local", driver_opts=options, labels={LABEL: str(os.getpid())})
        for listen in (True, False):
            cells.append(DockerCell(client, folder, listen))
        for cell, listen in zip(cells, (True, False), strict=True):
            cell.begin(listen, core, packages)
        judges, candidates = cells
        return paired(candidates, judges, lambda: _remove(client, folder), packages)
    except BaseException as error:
        for cell in cells:
            cell.close()
        _remove(client, folder)
        if not isinstance(error, DockerException | OSError | CellLost):
            raise
        raise CellLost(f"the engine at {host}: {error}") from error


def check_image(client: docker.APIClient) -> dict[str, Package]:
    """The packages in the engine's image; raises CellLost where it has none, or one with another fork server in it."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    inspect: Callable[[str], dict[str, Any]] = client.inspect_image
    try:
        labels = inspect(IMAGE)["Config"]["Labels"] or {}
    except ImageNotFound as error:
        raise CellLost(f"it has no image {IMAGE}: {_BUILD}") from error
    if labels.get(LABEL_OF_CONTENT) != fingerprint():
        raise CellLost(f"its image {IMAGE} is of another version: {_BUILD}")
    return from_label(labels[LABEL_OF_PACKAGES])


def _remove(client: docker.APIClient, folder: str) -> None:
    """Remove the meeting folder, once the engine has let go of its containers, and hang up."""
    from docker.errors import APIError, DockerException, NotFound  # noqa: PLC0415

    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            client.remove_volume(folder)
            break
        except NotFound:
            break
        except APIError:
            select.select([], [], [], 0.05)  # still in use by a container that is being removed
        except (DockerException, OSError):
            break
    client.close()


def opener(asked: Asked) -> Callable[[int], Pair]:
    """What opens a pair, neighbouring cores on different engines; where an engine fails, on the ones after it."""
    engines = hosts()

    def open_pair(core: int) -> Pair:
        core, first = divmod(core, len(engines))
        failures = []
        for host in engines[first:] + engines[:first]:
            try:
                return _open_on(host, core, asked)
            except CellLost as error:
                failures.append(str(error))
        raise CellLost("; ".join(failures))

    return open_pair
