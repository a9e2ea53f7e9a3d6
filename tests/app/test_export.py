"""Who is where, for other programs: names are anybody's text, photos are never touched."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.people.conftest import face, looks_of

from visavis.app import export
from visavis.media.regions import read_regions
from visavis.people import persons, photos
from visavis.people.photos import FileFacts, add_known, add_photo
from visavis.people.record import PhotoRecord
from visavis.people.store import Store

NAMES = ("../../x", "CON", "👩‍👧 Zoë", "=1+1", "..", "con")


@pytest.fixture
def album(tmp_path: Path, small: dict[str, Path]) -> Iterator[Store]:
    """A person of each name with a photo each, of two files each; a face without a name on another photo."""
    store = Store(tmp_path / "album.db")
    (tmp_path / "photos").mkdir()
    for at, vector in enumerate(looks_of(1, len(NAMES) + 1)):
        path = tmp_path / "photos" / f"{at}.jpg"
        path.write_bytes(small["sky"].read_bytes() + bytes([at]))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with store.write() as connection:
            record = PhotoRecord(digest, None, 300, 200, None, (face(vector),))
            add_photo(connection, FileFacts.of(path), record)
            number = photos.face_on(connection, path, 1)
            if at < len(NAMES):
                add_known(connection, FileFacts(f"{path}.gone.jpg", 1, 1), digest)
                persons.add_person(connection, NAMES[at], [number])
            else:
                persons.add_person(connection, "Temp", [number])
                persons.split(connection, "Temp", [number])
    with store.write() as connection:
        photos.missing_below(connection, [str(tmp_path / "photos")], [])
        for at in range(len(NAMES)):  # another copy that is there
            path, copy = tmp_path / "photos" / f"{at}.jpg", tmp_path / "copies" / f"{at}.jpg"
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
            add_known(connection, FileFacts.of(copy), hashlib.sha256(copy.read_bytes()).hexdigest())
    yield store
    store.close()


def write(store: Store, out: Path, kind: export.Kind) -> int:
    with store.read() as connection:
        return export.write(connection, out, kind)


def test_json_has_each_face_once_for_each_file_that_is_there(album: Store, tmp_path: Path) -> None:
    count = write(album, tmp_path / "out.json", "json")
    document = json.loads((tmp_path / "out.json").read_text("utf-8"))
    rows = [(row["face"], row["path"]) for row in document["faces"]]
    assert document["schema"] == "visavis.album/1"
    assert len(rows) == len(set(rows)) == count == 2 * len(NAMES) + 1
    assert all(os.path.exists(path) for _, path in rows)
    assert {row["name"] for row in document["faces"]} == {*NAMES, None}


def test_no_cell_of_the_csv_is_a_formula(album: Store, tmp_path: Path) -> None:
    bad = ("=1+1", "+1", "-1", "@SUM(A1)")
    with album.write() as connection:
        for name in bad[1:]:
            persons.add_person(connection, name, [])
        for name, called in zip(bad[1:], ("../../x", "CON", ".."), strict=True):
            persons.merge(connection, name, called)
    write(album, tmp_path / "out.csv", "csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {f"'{name}" for name in bad} <= {row["name"] for row in rows}
    assert len(rows) == 2 * len(NAMES) + 1
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())


def test_links_stay_below_the_folder_and_lead_to_the_photos(album: Store, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er" / "out"
    before = {path for path in tmp_path.rglob("*") if not path.name.startswith("album.db")}
    count = write(album, out, "links")
    links = [path for path in tmp_path.rglob("*") if path.is_symlink()]
    made = {path for path in tmp_path.rglob("*") if not path.name.startswith("album.db")} - before
    assert len(links) == count == 2 * len(NAMES) + 1
    assert all(link.parent.parent == out and link.resolve().is_file() for link in links)
    assert all(path == out or out in path.parents or path in out.parents for path in made)
    folders = [path.name for path in out.iterdir()]
    assert len({name.casefold() for name in folders}) == len(NAMES) + 1
    assert not {"con", "..", "."} & {name.casefold() for name in folders} and "👩‍👧 Zoë" in folders
    assert write(album, out, "links") == count, "again over the older links"


def test_sidecars_hold_names_only_and_leave_the_photos(album: Store, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    assert write(album, tmp_path / "unused", "xmp") == 2 * len(NAMES)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == before
    assert not (tmp_path / "unused").exists()
    for at, name in enumerate(NAMES):
        (region,) = read_regions(tmp_path / "photos" / f"{at}.jpg")
        assert region.name == name
        assert region.box == pytest.approx((0.1, 0.2, 0.25, 0.5), abs=1e-5)
    assert read_regions(tmp_path / "photos" / f"{len(NAMES)}.jpg") == []
    assert len(list(tmp_path.rglob("*.xmp"))) == 2 * len(NAMES)
