"""Rows from folders, parquet and tars, and what is said of sets that are not as they should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.training.made_sets import folder_of, parquet_of, person_in, tar_of

from visavis.core.errors import InputError
from visavis.training.cache import key_of
from visavis.training.rows import Broken, Row, rows, source

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("home")
Photo = Callable[..., bytes]


def read(place: Path | str, labels: tuple[str, ...] = ()) -> tuple[list[Row], Broken]:
    broken = Broken()
    return list(rows(source(place), broken, labels)), broken


def test_one_set_in_three_forms_gives_the_same_rows(tmp_path: Path, photo: Photo) -> None:
    made = [{"image": photo(number=i), "person": f"p{i % 3}", "age": 20 + i} for i in range(7)]
    folder = folder_of(tmp_path / "folder", {f"{row['person']}/{row['age']}.jpg": row["image"] for row in made})
    forms = [folder, parquet_of(tmp_path / "set.parquet", made), tar_of(tmp_path / "set.tar", made)]
    found = []
    for form in forms:
        all_rows, broken = read(form)
        assert broken.total == 0 and broken.sentence() == ""
        assert all(row.key == key_of(row.image) for row in all_rows)
        found.append({(row.key, row.person, row.split) for row in all_rows})
    assert len(found[0]) == 7 and found[0] == found[1] == found[2]
    assert [row.labels["age"] for row in read(forms[1], ("age",))[0]] == list(range(20, 27))
    assert [row.labels["age"] for row in read(forms[2], ("age",))[0]] == list(range(20, 27))


def test_a_folder_of_parquet_files_is_read_in_order_of_names(tmp_path: Path, photo: Photo) -> None:
    for part in (1, 0):
        parquet_of(tmp_path / "set" / f"{part}.parquet", [{"image": photo(number=part * 5 + i)} for i in range(5)])
    assert [row.key for row in read(tmp_path / "set")[0]] == [key_of(photo(number=i)) for i in range(10)]


def test_names_that_a_pattern_would_read_otherwise(tmp_path: Path, photo: Photo) -> None:
    assert len(read(parquet_of(tmp_path / "a [1-2]*?" / "set[0].parquet", [{"image": photo()}]))[0]) == 1


def test_pictures_as_the_hub_writes_them(tmp_path: Path, photo: Photo) -> None:
    """An image column of `datasets` is a struct of bytes and path; it is not decoded and encoded again."""
    import datasets

    made = datasets.Dataset.from_dict(
        {"image": [{"bytes": photo(), "path": None}]}, features=datasets.Features({"image": datasets.Image()})
    )
    made.to_parquet(str(tmp_path / "hub.parquet"))
    assert [row.key for row in read(tmp_path / "hub.parquet")[0]] == [key_of(photo())]


def test_photos_without_a_person_are_persons_of_their_own(tmp_path: Path, photo: Photo) -> None:
    made = [{"image": photo(number=i), "person": person} for i, person in enumerate(["ann", None, "", "ann"])]
    persons = [row.person for row in read(parquet_of(tmp_path / "set.parquet", made))[0]]
    assert persons[0] == persons[3] == "ann" and len(set(persons)) == 3


def test_person_zero_is_a_person(tmp_path: Path, photo: Photo) -> None:
    made = [{"image": photo(number=i), "person": 0} for i in range(2)]
    assert {row.person for row in read(parquet_of(tmp_path / "set.parquet", made))[0]} == {"0"}


@pytest.mark.parametrize("write", [parquet_of, tar_of])
def test_a_column_split_is_kept(write: Any, tmp_path: Path, photo: Photo) -> None:
    made = [{"image": photo(number=i), "split": split} for i, split in enumerate(("train", "val", "test", "train"))]
    path = tmp_path / f"set.{'tar' if write is tar_of else 'parquet'}"
    assert [row.split for row in read(write(path, made))[0]] == ["train", "val", "test", "train"]


def test_a_row_without_a_split_has_that_of_its_person(tmp_path: Path, photo: Photo) -> None:
    names = [person_in("val"), person_in("test"), person_in("train")]
    made = [{"image": photo(number=i), "person": name, "split": None} for i, name in enumerate(names)]
    assert [row.split for row in read(parquet_of(tmp_path / "set.parquet", made))[0]] == ["val", "test", "train"]


def test_another_word_for_a_split_is_refused(tmp_path: Path, photo: Photo) -> None:
    path = parquet_of(tmp_path / "set.parquet", [{"image": photo(), "split": "validation"}])
    with pytest.raises(InputError, match=r"'validation'; it takes train, val or test\."):
        read(path)


@pytest.mark.parametrize("picture", [None, b""])
def test_a_row_without_a_picture_is_named(picture: bytes | None, tmp_path: Path, photo: Photo) -> None:
    path = parquet_of(tmp_path / "set.parquet", [{"image": photo()}, {"image": picture}, {"image": photo(number=1)}])
    found, broken = read(path)
    assert len(found) == 2
    assert broken.sentence() == "1 rows skipped: set.parquet:1 (no picture)"


def test_only_the_first_broken_rows_are_named() -> None:
    broken = Broken()
    for number in range(12):
        broken.add(f"photo{number}", "no picture")
    assert broken.total == 12 and broken.sentence().endswith("photo4 (no picture) and 7 more")


def test_what_a_folder_holds_beside_photos_is_counted(tmp_path: Path, photo: Photo) -> None:
    folder = folder_of(
        tmp_path / "set", {"a.jpg": photo(), "b/c.jpg": photo(number=1), "notes.txt": b"-", "d.jpg": b""}
    )
    found, broken = read(folder)
    assert {row.name for row in found} >= {"a.jpg", "b/c.jpg"}
    assert [row.person for row in found if row.name == "b/c.jpg"] == ["b"]
    assert broken.reasons and all("notes.txt" in name or "d.jpg" in name for name in broken.names)


@pytest.mark.parametrize("cut", [0.5, 0.98, 0.0])
@pytest.mark.parametrize("write", [parquet_of, tar_of])
def test_a_truncated_file_is_named_in_one_sentence(write: Any, cut: float, tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / f"set.{'tar' if write is tar_of else 'parquet'}"
    data = write(path, [{"image": photo(number=i)} for i in range(12)]).read_bytes()
    path.write_bytes(data[: int(len(data) * cut)] if write is parquet_of else data[: int(len(data) * cut * 0.7)])
    with pytest.raises(InputError, match=r"set\.(parquet|tar) cannot be read as"):
        read(path)


def test_what_is_no_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "set.parquet").write_bytes(b"hello" * 1000)
    with pytest.raises(InputError, match=r"set\.parquet cannot be read as parquet"):
        read(tmp_path / "set.parquet")


def test_a_missing_label_column_is_named_with_those_there_are(tmp_path: Path, photo: Photo) -> None:
    path = parquet_of(tmp_path / "set.parquet", [{"image": photo(), "gender": "Male"}])
    with pytest.raises(InputError, match="no column 'age'; it has gender, image"):
        read(path, ("gender", "age"))


def test_a_file_without_pictures(tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "set.parquet", [{"photo": b"123", "age": 3}])
    with pytest.raises(InputError, match="no column 'image' with pictures; it has photo, age"):
        read(path)


def test_no_such_set() -> None:
    with pytest.raises(InputError, match="known are fairface, identity"):
        source("nothing-of-this-name")


def test_a_known_set_says_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISAVIS_DATA", str(tmp_path))
    with pytest.raises(InputError, match="set VISAVIS_DATA to the folder that holds fairface/"):
        source("fairface")
    (tmp_path / "fairface").mkdir()
    with pytest.raises(InputError, match=r"holds no fairface_\*\.parquet"):
        source("fairface")


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"nothing"}])
def test_a_folder_without_photos(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="holds no photos"):
        source(folder_of(tmp_path / "set", files))


def test_a_folder_of_one_photo(tmp_path: Path, photo: Photo) -> None:
    (row,), broken = read(folder_of(tmp_path / "set", {"one.jpg": photo()}))
    assert (row.name, row.person, broken.total) == ("one.jpg", row.key.hex(), 0)
