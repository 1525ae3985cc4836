"""``ra3 sandbox``: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ra3tui.cli.sandbox import app
from sandbox.backends import packages

RUN = CliRunner()


def test_check_tries_every_backend_and_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    done = RUN.invoke(app, ["check", "--json"])
    told = {trial["backend"]: trial for trial in json.loads(done.stdout)["backends"]}
    assert done.exit_code == 0
    assert told["namespaces"]["works"]
    assert "seccomp" in told["namespaces"]["layers"]
    assert not told["docker"]["works"]
    assert "DOCKER_HOST" in told["docker"]["trouble"]


def test_exec_gives_the_programs_output_and_its_end(tmp_path: Path) -> None:
    program, stdin = tmp_path / "program.py", tmp_path / "stdin"
    program.write_text("print(int(input()) * 2)")
    stdin.write_text("21\n")
    done = RUN.invoke(app, ["exec", str(program), "--stdin", str(stdin), "--backend", "namespaces"])
    assert (done.exit_code, done.stdout) == (0, "42\n")
    assert "passed" in done.stderr


def test_exec_of_a_program_that_fails_ends_with_one(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise KeyError('lost')")
    done = RUN.invoke(app, ["exec", str(program), "--backend", "namespaces", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["verdict"] == "runtime_error"


@pytest.mark.medium
def test_the_image_holds_what_runs_here(docker_host: str) -> None:
    done = RUN.invoke(app, ["build", "--from-host", "--json"])
    assert done.exit_code == 0, done.output
    assert docker_host in json.loads(done.stdout)["engines"]


def test_what_setuptools_has_for_itself_is_no_package_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("_vendor", "installed"):
        info = tmp_path / folder / f"of_{folder.strip('_')}-1.0.dist-info"
        info.mkdir(parents=True)
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    packages._places.cache_clear()
    found = set(packages._places())
    packages._places.cache_clear()
    assert "of-installed" in found
    assert "of-vendor" not in found
