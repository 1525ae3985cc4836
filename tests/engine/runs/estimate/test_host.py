"""The memory that is left, by the control groups of either version."""

from __future__ import annotations

from pathlib import Path

import psutil

from engine.runs.estimate.host import _rooms, available_memory


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_tightest_group_above_a_process_counts_and_cached_files_are_as_good_as_free(tmp_path: Path) -> None:
    stat = "anon 5\ninactive_file 30\n"
    group(tmp_path / "a", memory__max="1000", memory__current="400", memory__stat=stat)
    group(tmp_path / "a" / "b", memory__max="max", memory__current="90", memory__stat=stat)
    (tmp_path / "membership").write_text("0::/a/b\n")
    assert list(_rooms(tmp_path / "membership", tmp_path)) == [630]


def test_the_first_version_is_read_too(tmp_path: Path) -> None:
    files = {"memory__limit_in_bytes": "500", "memory__usage_in_bytes": "100"}
    group(tmp_path / "memory" / "job", **files, memory__stat="total_inactive_file 7\n")
    (tmp_path / "membership").write_text("4:cpu,memory:/job\n3:pids:/job\n")
    assert list(_rooms(tmp_path / "membership", tmp_path)) == [407]


def test_a_machine_without_groups_has_what_the_kernel_says(tmp_path: Path) -> None:
    assert list(_rooms(tmp_path / "none", tmp_path)) == []
    assert 0 < available_memory() <= psutil.virtual_memory().total
