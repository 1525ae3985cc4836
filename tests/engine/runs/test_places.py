"""Checkpoints that are not as they were written: each kind of damage is noticed, and the one before it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from engine.runs.places import Place, newest, newest_sound, saved, seal, set_aside


def written(folder: Path, step: int, *, ended: bool = False, position: int = 0) -> Path:
    """A checkpoint as the engine writes one, with a few bytes for weights."""
    path = folder / (f"{step:06d}-ntp" + ("" if ended else "-partial"))
    (path / "adapter").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (path / "adapter" / "adapter_model.safetensors").write_bytes(b"B" * 100)
    if not ended:
        (path / "stage.pt").write_bytes(b"state" * 100)
    place = Place(step, position, "ntp", ended, "base", {"wall": 1.5})
    (path / "place.json").write_text(json.dumps(asdict(place)))
    seal(path)
    return path


def flipped(path: Path) -> None:
    """One bit of it is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights cut short": (lambda path: cut(path / "model.safetensors"), "its model.safetensors is not as it was"),
    "a bit of the weights": (lambda path: flipped(path / "model.safetensors"), "its model.safetensors is not as"),
    "no weights": (lambda path: (path / "model.safetensors").unlink(), "its model.safetensors is missing"),
    "another adapter": (lambda path: flipped(path / "adapter" / "adapter_model.safetensors"), "adapter/adapter_model"),
    "state cut short": (lambda path: cut(path / "stage.pt"), "its stage.pt is not as it was written"),
    "no state": (lambda path: (path / "stage.pt").unlink(), "its stage.pt is missing"),
    "no place": (lambda path: (path / "place.json").unlink(), "its place.json is missing or garbled"),
    "a place that is no JSON": (lambda path: cut(path / "place.json"), "its place.json is missing or garbled"),
    "a place that is a list": (lambda path: (path / "place.json").write_text("[]"), "place.json is missing or garbled"),
    "a place of other types": (
        lambda path: (path / "place.json").write_text((path / "place.json").read_text().replace("20", '"x"')),
        "its place.json is missing or garbled",
    ),
    "another place": (
        lambda path: (path / "place.json").write_text((path / "place.json").read_text().replace("20", "21")),
        "its place.json is not as it was written",
    ),
    "garbled sums": (lambda path: cut(path / "files.json"), "its files.json is garbled"),
    "sums that are a list": (lambda path: (path / "files.json").write_text("[3]"), "its files.json is garbled"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(kind: str, tmp_path: Path) -> None:
    harm, words = DAMAGE[kind]
    before, damaged = written(tmp_path, 10), written(tmp_path, 20)
    harm(damaged)
    sound, passed_over = newest_sound(tmp_path)
    assert sound is not None
    assert (sound[0], sound[1].step) == (before, 10)
    assert list(passed_over) == [damaged]
    assert words in passed_over[damaged]


def test_the_newest_is_taken_where_all_are_whole(tmp_path: Path) -> None:
    written(tmp_path, 10)
    last = written(tmp_path, 20, ended=True)
    sound, passed_over = newest_sound(tmp_path)
    assert sound == newest(tmp_path)
    assert sound is not None
    assert (sound[0], passed_over) == (last, {})


def test_where_none_is_whole_each_says_why(tmp_path: Path) -> None:
    for step in (10, 20):
        cut(written(tmp_path, step) / "stage.pt")
    sound, passed_over = newest_sound(tmp_path)
    assert sound is None
    assert len(passed_over) == 2
    assert newest_sound(tmp_path / "nowhere") == (None, {})


def test_up_to_a_step_those_behind_it_are_not_looked_at(tmp_path: Path) -> None:
    first, last = written(tmp_path, 10), written(tmp_path, 30)
    cut(last / "stage.pt")
    (written(tmp_path, 40) / "place.json").unlink()
    sound, passed_over = newest_sound(tmp_path, 20)
    assert sound is not None
    assert (sound[0], passed_over) == (first, {})
    assert set(newest_sound(tmp_path, 30)[1]) == {last}


def test_one_of_an_earlier_version_is_taken_as_it_is_unless_its_stage_would_begin_anew(tmp_path: Path) -> None:
    path = written(tmp_path, 10)
    (path / "files.json").unlink()
    assert newest_sound(tmp_path)[0] is not None
    (path / "stage.pt").unlink()
    assert newest_sound(tmp_path) == (None, {path: "its stage.pt is missing"})
    ended = written(tmp_path, 20, ended=True)
    (ended / "files.json").unlink()
    sound = newest_sound(tmp_path)[0]
    assert sound is not None
    assert sound[0] == ended


def test_what_is_set_aside_is_no_checkpoint_any_more_and_may_be_so_again(tmp_path: Path) -> None:
    for _ in range(2):
        aside = set_aside(written(tmp_path, 10))
        assert (aside.name, aside.is_dir()) == ("damaged-000010-ntp-partial", True)
        assert saved(tmp_path) == []
        assert newest_sound(tmp_path) == (None, {})
