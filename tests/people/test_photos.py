"""Photos in an album: the same again, changed, moved, copied, gone, unreadable, looked at anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.people.conftest import face, looks_of

from visavis.core.errors import InputError
from visavis.media.regions import Region
from visavis.people import persons, photos, schema
from visavis.people.photos import FileFacts
from visavis.people.record import PhotoRecord
from visavis.people.store import Store

A, B = (face(vector, number, left) for number, vector, left in zip((1, 2), looks_of(1, 2), (0.1, 0.6), strict=True))


def do(store: Store, step: Callable[..., Any], *rest: Any) -> Any:
    with store.write() as connection:
        return step(connection, *rest)


def counts(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (schema.photo, schema.file, schema.face, schema.crop)
        }


def faces(store: Store) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(sa.select(schema.face).order_by(schema.face.c.id)).all())


def digest(store: Store, path: str) -> str:
    query = sa.select(schema.photo.c.sha256).join(schema.file).where(schema.file.c.path == path)
    with store.read() as connection:
        return str(connection.scalar(query))


def test_the_same_photo_again_changes_nothing(store: Store, put: Callable) -> None:
    assert put("/a.jpg", A, B).status == "added"
    before = counts(store)
    assert before == {"photo": 1, "file": 1, "face": 2, "crop": 2}
    put("/a.jpg", A, B)
    assert do(store, photos.add_known, FileFacts("/a.jpg", 1000, 2), digest(store, "/a.jpg")).status == "unchanged"
    assert counts(store) == before
    assert do(store, photos.is_unchanged, FileFacts("/a.jpg", 1000, 2))
    assert not do(store, photos.is_unchanged, FileFacts("/a.jpg", 1000, 3))


@pytest.mark.parametrize("content", ["changed", "/a.jpg"])
def test_what_was_said_holds_for_the_face_in_the_same_place(store: Store, put: Callable, content: str) -> None:
    """Of a file that changed, and of one that is only looked at again."""
    put("/a.jpg", A, B)
    put("/b.jpg", A)
    first, second, other = (row.id for row in faces(store))
    do(store, persons.add_person, "Ann", [first])
    do(store, persons.add_person, "Bob", [other])
    do(store, persons.differ, "Ann", "Bob")
    do(store, photos.add_suggestions, "/a.jpg", [Region("Annie", A.box)])
    do(store, persons.reject, [second])
    moved = replace(A, vector=B.vector, box=tuple(side + 0.01 for side in A.box), number=2)
    put("/a.jpg", replace(B, number=1), moved, content=content)
    assert counts(store) == {"photo": 2, "file": 2, "face": 3, "crop": 3}
    by_id = {row.id: row for row in faces(store)}
    assert set(by_id) == {first, second, other}
    assert by_id[first].by_user and by_id[first].number == 2 and by_id[second].rejected
    assert (by_id[first].vector == B.vector).all()
    with store.read() as connection:
        assert by_id[first].person_id == persons.find_person(connection, "Ann").id
        assert connection.execute(sa.select(schema.different)).all() == [(first, other)]
        assert connection.execute(sa.select(schema.suggestion)).all() == [(first, "Annie")]


def test_faces_that_are_gone_from_a_changed_photo_go(store: Store, put: Callable) -> None:
    put("/a.jpg", A, B)
    do(store, persons.add_person, "Ann", [faces(store)[0].id])
    old = faces(store)[0].id
    put("/a.jpg", replace(A, box=(0.4, 0.6, 0.5, 0.8)), content="changed")
    (row,) = faces(store)
    assert row.id != old and row.person_id is None and not row.by_user


def test_one_face_takes_over_what_was_said_not_two(store: Store, put: Callable) -> None:
    put("/a.jpg", A)
    do(store, persons.add_person, "Ann", [faces(store)[0].id])
    put("/a.jpg", A, replace(A, number=2), content="changed")
    assert [row.by_user for row in faces(store)] == [True, False]


def test_a_photo_that_moved_is_one_photo(store: Store, put: Callable, tmp_path: Path) -> None:
    old, new = str(tmp_path / "old.jpg"), tmp_path / "new.jpg"
    put(old, A)
    new.write_bytes(b"there")
    assert do(store, photos.add_known, FileFacts(str(new), 1000, 1), digest(store, old)).status == "moved"
    assert do(store, photos.missing_below, [str(tmp_path)], [str(new)]) == []
    assert counts(store) == {"photo": 1, "file": 1, "face": 1, "crop": 1}


def test_two_copies_are_one_photo(store: Store, put: Callable) -> None:
    put("/a.jpg", A)
    do(store, photos.add_known, FileFacts("/b.jpg", 1000, 1), digest(store, "/a.jpg"))
    assert counts(store) == {"photo": 1, "file": 2, "face": 1, "crop": 1}
    put("/a.jpg", B, content="changed")  # the other copy keeps its face
    assert counts(store) == {"photo": 2, "file": 2, "face": 2, "crop": 2}


def test_an_unreadable_file_is_remembered_by_content_and_recipe(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, record = FileFacts("/bad.jpg", 10, 1), PhotoRecord("b" * 64, problem="it is cut off")
    added = do(store, photos.add_photo, facts, record)
    assert (added.status, added.problem) == ("unreadable", "it is cut off")
    assert do(store, photos.is_unchanged, facts)
    assert do(store, photos.add_known, FileFacts("/copy.jpg", 10, 1), "b" * 64).status == "unreadable"
    monkeypatch.setattr(photos, "RECIPE", "next")
    assert not do(store, photos.is_unchanged, facts)
    assert do(store, photos.add_known, facts, "b" * 64) is None


def test_a_new_recipe_looks_again_and_keeps_names(store: Store, put: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    put("/a.jpg", A)
    do(store, persons.add_person, "Ann", [faces(store)[0].id])
    monkeypatch.setattr(photos, "RECIPE", "next")
    assert not do(store, photos.is_unchanged, FileFacts("/a.jpg", 1000, 1))
    put("/a.jpg", replace(A, vector=B.vector))
    assert do(store, photos.is_unchanged, FileFacts("/a.jpg", 1000, 1))
    with store.read() as connection:
        assert persons.find_person(connection, "Ann").faces == 1


def test_files_that_went_are_marked_and_named(store: Store, put: Callable, tmp_path: Path) -> None:
    inside, outside = str(tmp_path / "in" / "a.jpg"), str(tmp_path / "inside" / "b.jpg")
    put(inside, A)
    put(outside, B)
    folder = [str(tmp_path / "in")]
    assert do(store, photos.missing_below, folder, []) == [inside]
    assert do(store, photos.missing_below, folder, []) == [], "said once"
    assert not do(store, photos.is_unchanged, FileFacts(inside, 1000, 1))
    do(store, photos.add_known, FileFacts(inside, 1000, 1), digest(store, inside))
    assert do(store, photos.is_unchanged, FileFacts(inside, 1000, 1)), "it came back"


def test_a_forgotten_place_is_left_out_until_it_is_brought_back(store: Store, put: Callable) -> None:
    put("/a.jpg", B)
    place = dict(zip(("x1", "y1", "x2", "y2"), A.box, strict=True))
    do(store, lambda c: c.execute(sa.insert(schema.forgotten).values(sha256=digest(store, "/a.jpg"), **place)))
    again = put("/a.jpg", A, B)
    assert (again.faces, again.left_out) == (1, 1) and [row.x1 for row in faces(store)] == pytest.approx([0.6])
    again = put("/a.jpg", A, B, bring_back=True)
    assert (again.faces, again.left_out) == (2, 0)
    assert put("/a.jpg", A, B).left_out == 0


def test_a_suggested_name_goes_to_the_face_under_it_only(store: Store, put: Callable) -> None:
    put("/a.jpg", A, B)
    regions = [Region("Ann", tuple(s + 0.02 for s in B.box)), Region("Nobody", (0.3, 0.7, 0.4, 0.9))]  # type: ignore[arg-type]
    assert do(store, photos.add_suggestions, "/a.jpg", regions) == 1
    assert do(store, photos.add_suggestions, "/a.jpg", regions) == 1
    with store.read() as connection:
        assert connection.execute(sa.select(schema.suggestion)).all() == [(faces(store)[1].id, "Ann")]


def test_the_date_of_a_photo_and_the_number_of_a_face_are_kept(store: Store, put: Callable) -> None:
    taken = datetime(2020, 2, 29, 23, 59, 59)
    put("/a.jpg", A, B, taken=taken)
    with store.read() as connection:
        assert connection.scalar(sa.select(schema.photo.c.taken)) == taken
        assert photos.face_on(connection, "/a.jpg", 2) == faces(store)[1].id
        with pytest.raises(InputError, match="no face 3"):
            photos.face_on(connection, "/a.jpg", 3)


def test_a_copy_beside_the_original_is_called_copied(store: Store, put: Callable, tmp_path: Path) -> None:
    original, copy = tmp_path / "original.jpg", tmp_path / "copy.jpg"
    original.write_bytes(b"there")
    put(str(original), A)
    assert do(store, photos.add_known, FileFacts(str(copy), 1000, 1), digest(store, str(original))).status == "copied"
    assert counts(store) == {"photo": 1, "file": 2, "face": 1, "crop": 1}
