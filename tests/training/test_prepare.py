"""Looking at a set once: what is kept, what is never looked at, and what happens when it is interrupted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training.made_sets import folder_of, parquet_of, person_in

from visavis.core.errors import InputError
from visavis.faces import analyse
from visavis.media.photo import decode_photo
from visavis.training import prepare as module
from visavis.training.cache import Column, key_of
from visavis.training.prepare import Prepared, column, padding, prepare
from visavis.training.rows import source

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("home")
Photo = Callable[..., bytes]
COLUMNS = ("portrait", "recognise", "vector_a")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are looked at."""
    names: list[str] = []
    real = module.looks

    def counted(batches: Iterable[list[Any]], columns: Any) -> Iterator[Any]:
        for batch, look in real(batches, columns):
            names.extend(row.name for row in batch)
            yield batch, look

    monkeypatch.setattr(module, "looks", counted)
    return names


def people(photo: Photo, test: int = 2) -> list[dict[str, Any]]:
    """Photos of a person of each split; those of test last."""
    named = [
        ("train", "obama", 0),
        ("train", "obama2", 0),
        ("val", "biden", 0),
        *[("test", "obama3", i) for i in range(test)],
    ]
    return [{"image": photo(name, number), "person": person_in(split)} for split, name, number in named]


def all_keys() -> set[bytes]:
    """Those of every column in the training cache, by its files."""
    found = set()
    for file in (column("facts").folder.parent).glob("*/keys.bin"):
        data = file.read_bytes()
        found |= {data[i : i + 32] for i in range(0, len(data), 32)}
    return found


def test_what_is_kept_is_what_looking_gives(tmp_path: Path, photo: Photo) -> None:
    rows = people(photo)
    prepared = prepare(source(parquet_of(tmp_path / "set.parquet", rows)), COLUMNS)
    assert prepared.keys == [key_of(row["image"]) for row in rows[:3]]
    assert prepared.splits.tolist() == ["train", "train", "val"]
    assert len(prepared.part("val")) == 1 and prepared.without_face == 0
    for i, row in enumerate(rows[:3]):
        face = analyse.find_faces(decode_photo(row["image"]))[0]
        for name, value in (
            ("portrait", face.crop("portrait").pixels),
            ("recognise", face.crop("recognise").pixels),
            ("vector_a", face.embedding),
        ):
            kept = column(name)
            np.testing.assert_allclose(kept.take(kept.rows(prepared.keys[i : i + 1]))[0], value, atol=1e-5)
        facts = prepared.facts[i]
        np.testing.assert_allclose(facts["mesh"], face.mesh, atol=1e-4)
        assert facts["size"].tolist() == [face.photo.width, face.photo.height]
        assert facts["padding"] == pytest.approx(padding(face))


def test_a_second_call_looks_at_nothing(tmp_path: Path, photo: Photo, looked: list[str]) -> None:
    src = source(parquet_of(tmp_path / "set.parquet", [*people(photo), {"image": photo("sky"), "person": "sky"}]))
    first = prepare(src, ("portrait",))
    assert len(looked) == 4
    looked.clear()
    start = time.monotonic()
    second = prepare(src, ("portrait",))
    assert looked == [] and time.monotonic() - start < 2
    assert second.keys == first.keys and second.without_face == first.without_face == 1
    assert np.array_equal(second.facts, first.facts)


def test_a_new_column_is_filled_beside_the_old(tmp_path: Path, photo: Photo, looked: list[str]) -> None:
    src = source(parquet_of(tmp_path / "set.parquet", [*people(photo), {"image": photo("sky"), "person": "sky"}]))
    prepare(src, ())
    looked.clear()
    prepared = prepare(src, ("recognise",))
    assert len(looked) == 3, "the photo without a face is not looked at again"
    assert (column("recognise").rows(prepared.keys) >= 0).all()


def test_rows_that_are_no_photos_and_photos_without_a_face_are_counted(tmp_path: Path, photo: Photo) -> None:
    train = person_in("train")
    images = [photo(), b"no photo", photo("biden")[:3000], photo("sky"), photo()]
    rows = [{"image": image, "person": train} for image in images]
    prepared = prepare(source(parquet_of(tmp_path / "set.parquet", rows)), ())
    assert prepared.keys == [key_of(photo())], "the same photo counts once"
    assert (prepared.without_face, prepared.broken.total) == (1, 2)
    assert "set.parquet:1" in prepared.broken.sentence() and "set.parquet:2" in prepared.broken.sentence()


@pytest.mark.parametrize("first", ["test", "train"])
def test_a_photo_of_test_is_in_no_column(first: str, tmp_path: Path, photo: Photo) -> None:
    """Not even where the set shows it as another person's too, before or after."""
    rows = people(photo)
    again = {"image": rows[-1]["image"], "person": person_in("train", 1)}
    rows = [*rows, again] if first == "test" else [again, *rows]
    prepared = prepare(source(parquet_of(tmp_path / "set.parquet", rows)), COLUMNS)
    assert set(prepared.keys) == all_keys() == {key_of(row["image"]) for row in people(photo)[:3]}
    assert "the same photo stands in test" in prepared.broken.sentence()


def test_no_test_person_of_identity_is_in_any_column(
    data_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    parts = json.loads((data_sets / "identity" / "split.json").read_text())
    some = pq.read_table(data_sets / "identity" / "celeba_identity.parquet").slice(0, 200).to_pylist()
    test = [row for row in some if row["name"] in parts["test"]][:12]
    train = [row for row in some if row["name"] in parts["train"]][:6]
    assert (len(test), len(train)) == (12, 6)
    parquet_of(tmp_path / "data" / "identity" / "celeba_identity.parquet", [*test[:6], *train, *test[6:]])
    (tmp_path / "data" / "identity" / "split.json").write_text(json.dumps(parts))
    monkeypatch.setenv("VISAVIS_DATA", str(tmp_path / "data"))
    prepared = prepare(source("identity"), COLUMNS)
    assert not all_keys() & {key_of(row["image"]) for row in test}
    assert all_keys() == {key_of(row["image"]) for row in train}
    assert set(prepared.persons) <= set(parts["train"])


@pytest.mark.parametrize("splits", [("train", "test"), ("val", "train")])
def test_a_person_in_two_splits_is_named_before_anything_is_done(
    splits: tuple[str, str], tmp_path: Path, photo: Photo
) -> None:
    rows = [{"image": photo(number=i), "person": "ann", "split": split} for i, split in enumerate(splits)]
    with pytest.raises(InputError, match=f"ann stands in {splits[0]} and in {splits[1]}; a person belongs to one"):
        prepare(source(parquet_of(tmp_path / "set.parquet", rows)), ())
    assert all_keys() == set()


def test_no_face_anywhere(tmp_path: Path, photo: Photo) -> None:
    rows = [{"image": photo("sky"), "person": person_in("train")}, {"image": b"x", "person": person_in("val")}]
    with pytest.raises(InputError, match=r"no photo for training on which a face was found\. 1 rows skipped"):
        prepare(source(parquet_of(tmp_path / "set.parquet", rows)), ("portrait",))


def test_only_test_people(tmp_path: Path, photo: Photo) -> None:
    folder = folder_of(tmp_path / "set", {f"{person_in('test')}/a.jpg": photo()})
    with pytest.raises(InputError, match="set has no photo for training"):
        prepare(source(folder), ("portrait",))
    assert all_keys() == set()


def test_an_interrupted_call_goes_on_where_it_was(
    tmp_path: Path, photo: Photo, looked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    rows = [{"image": photo(number=i), "person": person_in("train")} for i in range(6)]
    src = source(parquet_of(tmp_path / "set.parquet", rows))
    real = Column.add

    def interrupted(self: Column, keys: list[bytes], records: Any) -> None:
        # After the facts of the second batch, before its portraits.
        if self.name == "portrait" and len(self) >= 2:
            raise KeyboardInterrupt
        real(self, keys, records)

    with monkeypatch.context() as patch:
        patch.setattr(Column, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(src, ("portrait",))
    assert (len(column("facts")), len(column("portrait"))) == (4, 2)
    looked.clear()
    prepared: Prepared = prepare(src, ("portrait",))
    assert len(looked) == 4, "what was whole is not looked at again"
    assert len(prepared) == len(column("facts")) == len(column("portrait")) == 6
    assert (column("portrait").rows(prepared.keys) >= 0).all()
