"""`visavis data look`: what it says of a set, what it draws, and that it leaves test alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.training.made_sets import folder_of, parquet_of, person_in

from visavis.app.cli import run
from visavis.core.errors import InputError
from visavis.training import looked
from visavis.training.cache import key_of
from visavis.training.looked import DOUBLE, closest, look_at
from visavis.training.prepare import column
from visavis.training.splits import share

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("home")
Photo = Callable[..., bytes]


def rows_of(photo: Photo) -> list[dict[str, Any]]:
    """The person of test is on a photo of training too, under another name and in another file."""
    named = [
        ("train", "obama", 0),
        ("val", "biden", 0),
        ("test", "obama", 1),
        ("train", "sky", 0),
        ("train", "biden", 1),
    ]
    return [
        {"image": photo(name, number), "person": person_in(split, i), "sex": "m", "row": i}
        for i, (split, name, number) in enumerate(named)
    ]


def test_what_is_said_and_drawn(tmp_path: Path, photo: Photo) -> None:
    rows = [*rows_of(photo), {"image": b"", "person": "x", "sex": "f", "row": 9}]
    rows += [{"image": rows[0]["image"], "person": rows[0]["person"], "sex": "m", "row": 10}]
    path = parquet_of(tmp_path / "mine.parquet", rows)
    lines = list(look_at(str(path), tmp_path / "out", True))
    text = "\n".join(lines)
    for line in (
        "mine: 6 photos",
        "train: 4 photos of 3 persons",
        "val: 1 photos of 1 persons",
        "test: 1 photos of 1 persons",
        "sex: m 6",
        "the same photo again: 1, 0 of them in another split (test keeps those)",
        "no face: 1 of 4 photos outside of test",
        "1 rows skipped: mine.parquet:5 (no picture)",
        f"doubles: 2 pairs of different persons above {DOUBLE} by A, 2 of them in two splits",
    ):
        assert line in lines, text
    assert Image.open(tmp_path / "out" / "mine.png").size == (3 * 128, 128)
    assert Image.open(tmp_path / "out" / "mine-doubles.png").width > 2 * 128
    found = [line for line in lines if line.startswith("  ")]
    assert any(rows[2]["person"][:12] in line and rows[0]["person"][:12] in line for line in found)
    stored = column("vector_a").keys()
    assert key_of(rows[0]["image"]) in stored and key_of(rows[2]["image"]) not in stored
    assert key_of(rows[2]["image"]) not in column("facts").keys()  # noqa: SIM118


def test_without_doubles_no_vector_is_made(
    tmp_path: Path, photo: Photo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet_of(tmp_path / "mine.parquet", rows_of(photo))
    assert run(["data", "look", str(path), "--out", str(tmp_path / "out"), "--no-doubles"]) == 0
    assert "3 faces: " in capsys.readouterr().out
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.png"]
    assert len(column("vector_a")) == 0


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_folder_of_one_photo(split: str, tmp_path: Path, photo: Photo) -> None:
    one = next(photo(number=i) for i in range(1000) if share(key_of(photo(number=i)).hex()) == split)
    lines = list(look_at(str(folder_of(tmp_path / "set", {"a.jpg": one})), tmp_path / "out", True))
    assert f"{split}: 1 photos of 1 persons" in lines
    if split == "train":
        assert f"doubles: 0 pairs of different persons above {DOUBLE} by A, 0 of them in two splits" in lines
    else:
        assert lines[-1].startswith("No photo is for training") and not (tmp_path / "out").exists()


def test_no_face_anywhere(tmp_path: Path, photo: Photo) -> None:
    folder = folder_of(tmp_path / "set", {f"{person_in('train')}/sky.jpg": photo("sky")})
    with pytest.raises(InputError, match="set has no photo for training on which a face was found"):
        list(look_at(str(folder), tmp_path / "out", True))


def test_an_empty_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    assert run(["data", "look", str(tmp_path / "set")]) == 2
    err = capsys.readouterr().err
    assert "holds no photos" in err and "Traceback" not in err


def test_pairs_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked, "CHUNK", 7)
    monkeypatch.setattr(looked, "PAIRS", 12)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    persons = np.array([f"p{i // 2}" for i in range(40)])
    splits = np.array(["train", "train", "val", "val", "test", "test", "train", "train"] * 5)
    scores = vectors @ vectors.T
    valid = [
        (float(scores[i, j]), i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if persons[i] != persons[j] and (splits[i] != splits[j] or splits[i] == "train")
    ]
    one: dict[tuple[str, str], tuple[float, int, int]] = {}
    for pair in sorted(valid, reverse=True):
        one.setdefault((min(persons[pair[1]], persons[pair[2]]), max(persons[pair[1]], persons[pair[2]])), pair)
    pairs, above, across = closest(persons, splits, vectors)
    assert [pair[1:] for pair in pairs] == [pair[1:] for pair in list(one.values())[:12]]
    high = [pair for pair in valid if pair[0] > DOUBLE]
    assert (above, across) == (len(high), sum(splits[i] != splits[j] for _, i, j in high)) and across > 0
