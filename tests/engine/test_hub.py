"""Files of data sets on the hub: its real client asks a server that speaks as much of its protocol as it needs."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from engine.corpora.comments import check_file
from engine.corpora.sources import CorpusError, find_source
from engine.errors import UsageFault
from engine.hub import HubFault, _parsed, _why_not_here, inside, is_on_hub, local_path
from engine.runs.inputs import with_absolute_paths
from engine.suites.loading import load_suite
from engine.suites.problem import SuiteError
from tests.engine.small import small_recipe

Told = dict[str, str | list[object]]
"""By spec: what a suite or corpus came to, or why it could not be had."""
NEWEST, OLDER = "a" * 40, "b" * 40


def jsonl(*rows: dict[str, object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def own(count: int) -> bytes:
    return jsonl(*({"prompt": f"# {i}\n", "test_list": ["assert f() == 1"]} for i in range(count)))


def contest(question: str) -> bytes:
    case = json.dumps([{"input": "1\n", "output": "1\n", "testtype": "stdin"}])
    row: dict[str, object] = {"question_title": question, "question_content": "Say it.", "question_id": question}
    row |= {"contest_id": "1", "contest_date": "2024-08-01T00:00:00", "starter_code": "", "difficulty": "easy"}
    row |= {"platform": "atcoder", "public_test_cases": case, "private_test_cases": "[]", "metadata": "{}"}
    return jsonl(row)


CODE = jsonl({"id": "one", "code": "def f(x):\n    y = x\n    z = y\n    return z"})
FILES = {
    ("we/own", NEWEST, "data/own.jsonl"): own(3),
    ("we/own", OLDER, "data/own.jsonl"): own(2),
    ("we/own", NEWEST, "own.jsonl.gz"): gzip.compress(own(4), mtime=0),
    ("we/own", NEWEST, "code.jsonl"): CODE,
    ("we/contests", NEWEST, "test.jsonl"): contest("a"),
    ("we/contests", NEWEST, "test2.jsonl"): contest("b"),
    ("we/contests", NEWEST, "test3.jsonl"): contest("c"),
}
REVISIONS = {"main": NEWEST, "v1": OLDER, NEWEST: NEWEST, OLDER: OLDER}


class Hub(BaseHTTPRequestHandler):
    """Answers to ``/datasets/OWNER/NAME/resolve/REVISION/PATH``."""

    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        if not self.path.startswith("/datasets/"):  # what the client asks for itself
            self.send_error(404)
            return
        self.asked.append(f"{self.command} {self.path}")
        _, _, owner, name, _, revision, path = self.path.split("/", 6)
        commit = REVISIONS.get(revision)
        content = FILES.get((f"{owner}/{name}", commit or "", path))
        fault = None
        if name == "gated":
            fault = 403, "GatedRepo"
        elif not any(repo == f"{owner}/{name}" for repo, _, _ in FILES):
            fault = 404, "RepoNotFound"
        elif commit is None:
            fault = 404, "RevisionNotFound"
        elif content is None:
            fault = 404, "EntryNotFound"
        self.send_response(fault[0] if fault else 200)
        if fault:
            self.send_header("X-Error-Code", fault[1])
        content = content or b""
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


ASK = """
import json, sys
from engine.corpora.comments import check_file
from engine.corpora.sources import load_corpus
from engine.errors import UsageFault
from engine.suites.loading import load_suite
told = {}
for spec in sys.argv[1:]:
    try:
        if spec.startswith("corpus "):
            corpus = load_corpus("jsonl", spec.removeprefix("corpus "))
            told[spec] = [trace.id for trace in corpus.traces]
        else:
            suite = load_suite(spec)
            told[spec] = [suite.name, len(suite.problems), suite.digest]
    except UsageFault as fault:
        told[spec] = str(fault)
print(json.dumps(told))
"""


@dataclass
class Client:
    """Programs of their own: what the hub's client is told by the environment it reads when it is imported."""

    endpoint: str
    cache: Path

    def run(self, *command: str, offline: bool, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        own = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(cache or self.cache), "HF_HUB_OFFLINE": str(int(offline))}
        return subprocess.run(
            [sys.executable, *command], check=False, env=kept | own, capture_output=True, text=True, timeout=120
        )

    def ask(self, *specs: str, offline: bool = False, cache: Path | None = None) -> Told:
        done = self.run("-c", ASK, *specs, offline=offline, cache=cache)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        told: Told = json.loads(done.stdout)
        return told


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Client(f"http://127.0.0.1:{server.server_port}", tmp_path_factory.mktemp("hub"))
        server.shutdown()
        thread.join()


OWN, GZIPPED, V1 = (
    "jsonl:hub:we/own/data/own.jsonl",
    "jsonl:hub:we/own/own.jsonl.gz",
    "jsonl:hub:we/own/data/own.jsonl@v1",
)
CONTESTS, CORPUS = "livecodebench-v2_v3:hub:we/contests", "corpus hub:we/own/code.jsonl"
THERE = (OWN, GZIPPED, V1, CONTESTS, CORPUS)
LACKING = {
    "jsonl:hub:we/own/none.jsonl": "the data set has no such file; {}/datasets/we/own/tree/main lists them",
    "jsonl:hub:we/none/own.jsonl": "there is no data set {}/datasets/we/none, or not for you; check the name",
    "jsonl:hub:we/gated/own.jsonl": "is gated; accept its terms at {}/datasets/we/gated, and log in by `hf auth login`",
    "jsonl:hub:we/own/data/own.jsonl@v9": "the data set has no revision 'v9'; {}/datasets/we/own/commits/main",
    "corpus hub:we/own/none.jsonl": "corpus.path: hub:we/own/none.jsonl: the data set has no such file",
    "livecodebench-v3_v4:hub:we/contests@main": "hub:we/contests/test4.jsonl@main: the data set has no such file",
}


@pytest.fixture(scope="module")
def fetched(client: Client) -> Told:
    return client.ask(*THERE, *LACKING)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.medium
def test_a_suite_from_the_hub_is_known_by_the_bytes_of_its_file(fetched: Told, tmp_path: Path) -> None:
    digest = sha(own(3))
    assert fetched[OWN] == [f"jsonl:own.jsonl#{digest[:6]}", 3, digest]
    (tmp_path / "own.jsonl").write_bytes(own(3))
    local = load_suite(f"jsonl:{tmp_path / 'own.jsonl'}")
    assert [local.name, len(local.problems), local.digest] == fetched[OWN]
    zipped = FILES["we/own", NEWEST, "own.jsonl.gz"]
    assert fetched[GZIPPED] == [f"jsonl:own.jsonl.gz#{sha(zipped)[:6]}", 4, sha(zipped)]
    assert fetched[V1] == [f"jsonl:own.jsonl#{sha(own(2))[:6]}", 2, sha(own(2))]


@pytest.mark.medium
def test_the_versions_of_livecodebench_are_files_of_a_data_set(fetched: Told) -> None:
    digest = sha((sha(contest("b")) + sha(contest("c"))).encode())
    assert fetched[CONTESTS] == [f"livecodebench-v2_v3:contests#{digest[:6]}", 2, digest]


@pytest.mark.medium
def test_a_corpus_may_be_on_the_hub_too(fetched: Told) -> None:
    assert fetched[CORPUS] == ["one"]


@pytest.mark.medium
@pytest.mark.parametrize("spec", LACKING)
def test_what_the_hub_does_not_have_is_one_line(spec: str, fetched: Told, client: Client) -> None:
    told = fetched[spec]
    assert isinstance(told, str)
    assert LACKING[spec].format(client.endpoint) in told
    assert "\n" not in told
    assert "hub:we/" in told


@pytest.mark.medium
def test_offline_what_is_in_the_cache_is_read_and_nothing_is_asked(fetched: Told, client: Client) -> None:
    Hub.asked.clear()
    told = client.ask(*THERE, "jsonl:hub:we/own/other.jsonl", "jsonl:hub:we/own/data/own.jsonl@v2", offline=True)
    *_, other, revision = told.values()
    assert list(told.values())[: len(THERE)] == [fetched[spec] for spec in THERE]
    assert Hub.asked == []
    words = f"HF_HUB_OFFLINE is set, and the cache {client.cache}/hub has no copy; fetch it by `hf download"
    assert f"suite 'jsonl': hub:we/own/other.jsonl: {words} --repo-type dataset we/own other.jsonl`" in str(other)
    assert "--repo-type dataset --revision v2 we/own data/own.jsonl`" in str(revision)
    assert "\n" not in f"{other}{revision}"


@pytest.mark.medium
def test_of_a_commit_that_is_in_the_cache_nothing_is_asked(fetched: Told, client: Client) -> None:
    Hub.asked.clear()
    at_commit = f"{OWN}@{NEWEST}"
    assert client.ask(at_commit)[at_commit] == fetched[OWN]
    assert Hub.asked == []


@pytest.mark.medium
def test_without_it_no_run_is_made(client: Client, tmp_path: Path) -> None:
    """Exit code 2, as for any other spec that means nothing."""
    home, setting = tmp_path / "home", f"rlvr.suite={OWN}"
    asked = client.run(
        *("-m", "ra3tui.cli", "run", "smoke", setting, "--home", str(home)), offline=True, cache=tmp_path / "empty"
    )
    assert asked.returncode == 2
    assert "HF_HUB_OFFLINE is set" in asked.stderr
    assert len(asked.stderr.strip().splitlines()) == 1
    assert not list(home.glob("*/recipe.toml"))


@pytest.mark.parametrize(
    "name", ["hub:", "hub:we", "hub:we/own", "hub:we/own/", "hub:we/own/x@", "hub:we/own/x@a@b", "hub:/own/x"]
)
def test_what_names_no_file_is_told_before_anybody_is_asked(name: str) -> None:
    with pytest.raises(HubFault, match="names no file on the hub: write hub:OWNER/NAME/PATH/IN/REPO"):
        local_path(name)
    with pytest.raises(SuiteError, match=r"suite 'jsonl': .*names no file on the hub"):
        load_suite(f"jsonl:{name}")


def test_a_hub_that_cannot_be_reached_is_told_with_what_helps() -> None:
    """Its client tries for half a minute, so that the words alone are asked for here."""
    words = _why_not_here(_parsed("hub:we/own/x.jsonl"), offline=False)
    assert "cannot be reached, and the cache " in words
    assert "check the network, set HF_ENDPOINT to a mirror, or name a file of this machine" in words


def test_a_folder_of_code_is_not_to_be_had_from_the_hub() -> None:
    with pytest.raises(CorpusError, match="from the hub comes a file, but the corpus kind 'folder' reads a folder"):
        find_source("folder", "hub:we/own/code")


def test_a_file_in_a_data_set_keeps_the_revision() -> None:
    assert inside("hub:we/own", "x.jsonl") == "hub:we/own/x.jsonl"
    assert inside("hub:we/own/sub/@v1", "x.jsonl") == "hub:we/own/sub/x.jsonl@v1"
    assert is_on_hub("hub:we/own/x")
    assert not is_on_hub("./hub:we")


def test_a_path_of_this_machine_stays_one() -> None:
    assert local_path("~/x.jsonl") == Path("~/x.jsonl").expanduser()


def test_a_run_goes_on_with_the_names_it_was_planned_with(tmp_path: Path) -> None:
    values = {"corpus.kind": "jsonl", "corpus.path": "hub:we/own/code.jsonl@v1", "rlvr.suite": OWN}
    values |= {"eval.suites": (V1,), "ntp.comments_path": "hub:we/own/comments.jsonl"}
    recipe = with_absolute_paths(small_recipe(tmp_path).with_values(values))
    assert (recipe.corpus.path, recipe.rlvr.suite) == (values["corpus.path"], OWN)
    assert (recipe.eval.suites, recipe.ntp.comments_path) == ((V1,), values["ntp.comments_path"])


def test_comments_are_asked_for_by_the_same_names(tmp_path: Path) -> None:
    settings = small_recipe(tmp_path).ntp.model_copy(update={"comments": "file", "comments_path": "hub:we/comments"})
    with pytest.raises(UsageFault, match=r"ntp\.comments_path: 'hub:we/comments' names no file on the hub"):
        check_file(settings)
