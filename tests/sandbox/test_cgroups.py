"""Where the accounts of memory go, on either version of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.backends import cgroups

FIRST = "9:name=systemd:/\n8:pids:/jobs\n4:memory:/jobs/a\n0::/\n"
SECOND = "0::/user.slice/run.scope\n"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    return tmp_path


def test_on_the_first_version_ours_stand_under_the_groups_we_are_in(mount: Path) -> None:
    assert cgroups.parents(cgroups.own_groups(FIRST)) == {
        "memory": mount / "memory/jobs/a",
        "pids": mount / "pids/jobs",
    }


def test_on_the_second_version_ours_stand_beside_the_group_we_are_in(mount: Path) -> None:
    (mount / "user.slice").mkdir()
    control = mount / "user.slice" / "cgroup.subtree_control"
    control.write_text("memory pids")
    assert cgroups.parents(cgroups.own_groups(SECOND)) == dict.fromkeys(("memory", "pids"), mount / "user.slice")
    assert control.read_text() == "memory pids"


def test_on_the_second_version_missing_controllers_are_asked_for(mount: Path) -> None:
    (mount / "user.slice").mkdir()
    control = mount / "user.slice" / "cgroup.subtree_control"
    control.write_text("cpu")
    cgroups.parents(cgroups.own_groups(SECOND))
    assert control.read_text() == "+memory +pids"


def test_on_the_second_version_one_folder_holds_every_limit(tmp_path: Path) -> None:
    account = cgroups.Account({"memory": tmp_path, "pids": tmp_path})
    account.limit(1 << 20)
    account.add(77)
    told = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert told == {"memory.max": "1048576", "memory.swap.max": "0", "pids.max": "256", "cgroup.procs": "77"}
    assert account.oom_file == str(tmp_path / "memory.events")
