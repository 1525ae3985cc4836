"""Files of a person: read when they are files, told in one line when they are not."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from engine.text import BadLine, open_file, read_jsonl, read_text, storable


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    for path in (pipe(tmp_path / "pipe"), Path("/dev/zero")):
        for read in (open_file, read_text, lambda path: list(read_jsonl(path))):
            with pytest.raises(OSError, match="a pipe, a socket or a device, not a file") as error:
                read(path)
            assert error.value.filename == str(path)


def test_a_folder_is_told_as_the_system_tells_it(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)


def test_a_link_to_a_device_is_a_device(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a file"):
        list(read_jsonl(tmp_path / "link.jsonl"))


def test_text_has_the_newlines_of_python(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("a\r\nb\rπ".encode())
    assert read_text(path) == "a\nb\nπ"


@pytest.mark.parametrize("line", [r'{"code": "x\ud800"}', r'{"a": [{"\uDFFF": 1}]}', r'["\ud83d"]'])
def test_a_line_with_half_a_character_is_bad(tmp_path: Path, line: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": 1}\n' + line + "\n")
    (_, first), (number, bad) = read_jsonl(path)
    assert first == {"a": 1}
    assert isinstance(bad, BadLine)
    assert (number, bad.where) == (2, f"{path}:2")
    assert "half a character (the lone surrogate '\\ud" in bad.why


def test_both_halves_of_a_character_are_one(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(r'{"code": "\ud83d\ude00"}')
    assert list(read_jsonl(path)) == [(1, {"code": "\U0001f600"})]


def test_a_gzip_file_that_is_cut_off_or_damaged_cannot_be_read(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": "%s"}\n' % os.urandom(3000).hex().encode())
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(whole)
    assert len(list(read_jsonl(path))) == 1
    for broken in (whole[:-20], whole[:100] + bytes(200) + whole[300:], b"no gzip"):
        path.write_bytes(broken)
        with pytest.raises(OSError, match=r"cut off or damaged|Not a gzipped file|CRC"):
            list(read_jsonl(path))


def test_text_of_a_name_that_is_no_utf8_tells_its_bytes() -> None:
    assert storable(os.fsdecode(b"a\xffb")) == "a\\udcffb"
    assert storable("π\U0001f600\n") == "π\U0001f600\n"
