from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa
from tests.people.conftest import face, looks_of

from visavis.faces.score import FLOOR_COVERED, calibration
from visavis.people import schema
from visavis.people.grouping import group_people
from visavis.people.loaded import load
from visavis.people.search import Found, Query, find
from visavis.people.store import Store

PEOPLE, EACH = 12, 3


@pytest.fixture
def filled(store: Store, put: Callable[..., object]) -> Store:
    for person in range(PEOPLE):
        for number, vector in enumerate(looks_of(person, EACH + 1)[:EACH]):
            put(f"/photos/{person}-{number}.jpg", face(vector))
    with store.write() as connection:
        group_people(connection)
    return store


def asked(store: Store, vector: np.ndarray, *, covered: bool = False) -> Found:
    """As the album does it: in memory on SQLite, by the database's own search on PostgreSQL."""
    with store.read() as connection:
        faces = None if store.postgres else load(connection)
        return find(connection, Query(vector, covered), faces)


def test_who_is_in_the_album_is_found(filled: Store) -> None:
    for person in range(PEOPLE):
        found = asked(filled, looks_of(person, EACH + 1)[EACH])
        assert found.verdict == "found"
        best = found.hits[0]
        assert best.faces == EACH
        with filled.read() as connection:
            paths = connection.scalars(
                sa.select(schema.file.c.path)
                .join(schema.face, schema.face.c.photo_id == schema.file.c.photo_id)
                .where(schema.face.c.id == best.face)
            ).all()
        assert [path.startswith(f"/photos/{person}-") for path in paths] == [True]


def test_who_is_not_in_the_album_is_not_found(filled: Store) -> None:
    for person in range(100, 130):
        assert asked(filled, looks_of(person, 1)[0]).verdict != "found"


def test_expected_strangers_are_people_searched_times_the_rate(filled: Store) -> None:
    found = asked(filled, looks_of(3, EACH + 1)[EACH])
    assert found.searched == PEOPLE
    for hit in found.hits:
        assert hit.expected == pytest.approx(PEOPLE * hit.rate)
        assert hit.rate >= calibration().everyone.at(hit.score)[0] - 1e-12
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)


def test_a_larger_album_asks_for_more(filled: Store, put: Callable[..., object]) -> None:
    """The same face that is found among twelve people is a candidate only where it is expected by chance."""
    query = looks_of(0, 1, spread=0.05)[0]
    small = asked(filled, query)
    strangers = calibration().cohort.vectors
    for number in range(300):
        put(f"/strangers/{number}.jpg", face(strangers[5000 + number]))
    large = asked(filled, query)
    assert large.searched == PEOPLE + 300
    assert large.hits and small.hits[0].expected < large.hits[0].expected


def test_a_covered_face_is_never_told_a_low_rate(filled: Store) -> None:
    looks = [looks_of(person, EACH + 1)[EACH] for person in range(PEOPLE)]
    query = next(look for look in looks if asked(filled, look).hits[0].rate < FLOOR_COVERED)
    assert all(hit.rate >= FLOOR_COVERED for hit in asked(filled, query, covered=True).hits)


def test_both_ways_of_searching_agree(filled: Store) -> None:
    """In memory by the normalised score, in the database by plain distance and then the same score."""
    if not filled.postgres:
        pytest.skip("only PostgreSQL searches in the database")
    for person in range(0, PEOPLE, 3):
        query = Query(looks_of(person, EACH + 1)[EACH])
        with filled.read() as connection:
            here, there = find(connection, query, load(connection)), find(connection, query)
        assert [hit.person for hit in here.hits] == [hit.person for hit in there.hits]
        assert [hit.score for hit in here.hits] == pytest.approx([hit.score for hit in there.hits], abs=1e-4)


def test_rejected_faces_are_not_searched(filled: Store) -> None:
    query = looks_of(7, EACH + 1)[EACH]
    with filled.write() as connection:
        person = asked(filled, query).hits[0].person
        connection.execute(sa.update(schema.face).where(schema.face.c.person_id == person).values(rejected=True))
    found = asked(filled, query)
    assert found.verdict != "found"
    assert found.searched == PEOPLE - 1


def test_an_empty_album_finds_nobody(store: Store) -> None:
    found = asked(store, looks_of(0, 1)[0])
    assert (found.verdict, found.hits, found.searched) == ("nobody", (), 0)
