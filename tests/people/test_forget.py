from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from tests.people.conftest import face, looks_of

from visavis.core.errors import InputError
from visavis.people import persons, schema
from visavis.people.forget import bytes_in, forget, owned_files
from visavis.people.grouping import group_people
from visavis.people.journal import undo
from visavis.people.store import COPY, Store

BO = looks_of(1, 4)
_numbers = itertools.count(200)


@pytest.fixture
def ana() -> np.ndarray:
    """float32 [4, 128]: of nobody who is in another album of the same server."""
    return looks_of(next(_numbers), 4)


@pytest.fixture
def album(store: Store, put: Callable[..., object], ana: np.ndarray) -> Store:
    """Ana on photos 0 to 3, Bo on 3 (with her) to 6; both named."""
    for number in range(3):
        put(f"/p/{number}.jpg", face(ana[number]))
    put("/p/3.jpg", face(ana[3], 1, 0.1), face(BO[0], 2, 0.6))
    for number in range(1, 4):
        put(f"/p/{number + 3}.jpg", face(BO[number]))
    with store.write() as connection:
        group_people(connection)
        for name in ("Ana", "Bo"):
            photo = "/p/0.jpg" if name == "Ana" else "/p/6.jpg"
            person = connection.scalar(
                sa.select(schema.face.c.person_id)
                .join(schema.file, schema.file.c.photo_id == schema.face.c.photo_id)
                .where(schema.file.c.path == photo)
            )
            persons.name(connection, f"#{person}", name)
    return store


def traces(ana: np.ndarray) -> list[bytes]:
    return [vector.tobytes()[at : at + 64] for vector in ana for at in (0, 200, 448)]


def files(store: Store) -> list[Path]:
    return owned_files(store)


def test_no_byte_of_the_person_is_left(album: Store, ana: np.ndarray) -> None:
    if album.postgres:
        with album.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("CHECKPOINT"))
    assert sum(bytes_in(path, traces(ana)) for path in files(album)) >= len(traces(ana)), (
        "nothing was there to be found"
    )
    receipt = forget(album, "Ana")
    assert receipt.faces == 4 and receipt.photos == 4
    assert receipt.bytes_found == 0 and receipt.still_found == ()
    assert sum(bytes_in(path, traces(ana)) for path in files(album)) == 0
    assert files(album), "no file of the album was read"


def test_others_on_the_same_photo_stay(album: Store) -> None:
    forget(album, "Ana")
    with album.read() as connection:
        (left,) = persons.people(connection)
    assert (left.name, left.faces, left.photos) == ("Bo", 4, 4)


def test_it_cannot_be_undone(album: Store) -> None:
    """Steps about the person leave the journal; those about others stay."""
    forget(album, "Ana")
    with album.write() as connection:
        assert undo(connection).endswith("Bo")
        with pytest.raises(InputError, match="nothing to undo"):
            undo(connection)
        text = " ".join(str(row) for row in connection.execute(sa.select(schema.journal)).all())
    assert "Ana" not in text


def test_the_name_is_in_no_file(album: Store) -> None:
    with album.write() as connection:
        persons.name(connection, "Ana", "Anastasia Quagliarella")
    forget(album, "Anastasia Quagliarella")
    # A PostgreSQL server writes statements to its log where it is told to; that file is the operator's.
    kept = [path for path in files(album) if path.name != "log"]
    assert sum(bytes_in(path, [b"Anastasia Quagliarella"]) for path in kept) == 0


def test_the_same_photo_does_not_bring_them_back(album: Store, put: Callable[..., object], ana: np.ndarray) -> None:
    forget(album, "Ana")
    again = put("/p/3.jpg", face(ana[3], 1, 0.1), face(BO[0], 2, 0.6))
    assert (again.faces, again.left_out) == (1, 1)
    asked = put("/p/3.jpg", face(ana[3], 1, 0.1), face(BO[0], 2, 0.6), bring_back=True)
    assert (asked.faces, asked.left_out) == (2, 0)


def test_a_new_photo_makes_a_new_face_without_a_name(album: Store, put: Callable[..., object], ana: np.ndarray) -> None:
    forget(album, "Ana")
    put("/p/new.jpg", face(ana[0]))
    with album.write() as connection:
        group_people(connection)
        assert sorted(p.name or "" for p in persons.people(connection)) == ["", "Bo"]


def test_the_receipt_says_what_it_must_and_holds_no_face(album: Store) -> None:
    receipt = forget(album, "Ana")
    path = Path(receipt.file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = json.loads(path.read_text())
    assert text["schema"] == "visavis.receipt/1"
    assert text["bytes_found"] == 0 and len(text["kept"]) == 4
    assert {row["sha256"] for row in text["kept"]} == {
        hashlib.sha256(f"/p/{number}.jpg".encode()).hexdigest() for number in range(4)
    }
    assert any("backups" in line for line in text["out_of_reach"])
    assert "new photo" in text["note"]
    assert "Ana" not in path.read_text()


def test_nobody_of_that_name(album: Store) -> None:
    with pytest.raises(InputError, match="Nobody"):
        forget(album, "Eve")


def test_an_album_that_is_open_elsewhere_is_not_touched(album: Store) -> None:
    if album.path is None:
        pytest.skip("SQLite only: a server's other readers see no old rows after its VACUUM")
    with contextlib.closing(sqlite3.connect(album.path)) as other:
        other.execute("SELECT count(*) FROM face").fetchone()
        with pytest.raises(InputError, match="open"):
            forget(album, "Ana")
    with album.read() as connection:
        assert len(persons.people(connection)) == 2
    assert forget(album, "Ana").bytes_found == 0


def test_copies_made_before_a_migration_go(album: Store, ana: np.ndarray) -> None:
    if album.path is None:
        pytest.skip("SQLite only: a server's backups are its operator's")
    copy = album.path.with_name(f"{album.path.name}{COPY}0000")
    with contextlib.closing(sqlite3.connect(album.path)) as old, contextlib.closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    assert bytes_in(copy, traces(ana))
    receipt = forget(album, "Ana")
    assert not copy.exists() and receipt.bytes_found == 0
