"""Grouping again and again: what a user said stays, and people keep their numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.people.conftest import face, looks_of, unit

from visavis.people import persons, schema
from visavis.people.grouping import group_people, moments, open_questions
from visavis.people.store import Store

Album = Callable[..., list[int]]


def do(store: Store, step: Callable[..., Any], *rest: Any) -> Any:
    with store.write() as connection:
        return step(connection, *rest)


def rows(store: Store) -> dict[int, tuple[int | None, bool]]:
    """face: (person, by_user)"""
    where = schema.face.c
    with store.read() as connection:
        return {r[0]: (r[1], r[2]) for r in connection.execute(sa.select(where.id, where.person_id, where.by_user))}


def who(store: Store, faces: list[int]) -> set[int | None]:
    return {rows(store)[at][0] for at in faces}


@pytest.fixture
def add(store: Store, put: Callable) -> Album:
    """add(person, first, last): photos of a person in the album and grouped; the ids of the faces."""

    def add_(person: int, first: int, last: int, words: str = "") -> list[int]:
        before = set(rows(store))
        for number, vector in enumerate(looks_of(person, 12)[first:last], first):
            put(f"/{person}-{number}.jpg", face(vector, words=words))
        do(store, group_people)
        return sorted(set(rows(store)) - before)

    return add_


def test_unnamed_people_keep_their_number_when_photos_are_added(store: Store, add: Album) -> None:
    first, second = add(0, 0, 4), add(1, 0, 4)
    a, b = who(store, first), who(store, second)
    assert len(a) == len(b) == 1 and a != b and None not in a | b
    assert who(store, add(0, 4, 12)) == a
    assert (who(store, first), who(store, second)) == (a, b)


def test_a_named_person_gets_new_photos_of_them(store: Store, add: Album) -> None:
    faces = add(0, 0, 3)
    do(store, persons.name, f"#{who(store, faces).pop()}", "Ann")
    add(1, 0, 4)
    new = add(0, 3, 8)
    with store.read() as connection:
        ann = persons.find_person(connection, "Ann")
    assert ann.faces == 8 and who(store, new) == {ann.id}


def test_a_named_person_keeps_their_photos_when_the_named_face_goes(store: Store, add: Album) -> None:
    faces = add(0, 0, 1)
    do(store, persons.add_person, "Ann", faces)
    new = add(0, 1, 6)
    (ann,) = who(store, faces)
    assert who(store, new) == {ann}
    do(store, persons.reject, faces)
    do(store, group_people)
    assert who(store, new) == {ann}


def test_a_merged_person_gets_later_photos_of_both(store: Store, add: Album) -> None:
    first, second = add(0, 0, 4), add(1, 0, 4)
    (a,), (b,) = who(store, first), who(store, second)
    do(store, persons.merge, f"#{a}", f"#{b}")
    assert who(store, first + second + add(0, 4, 7) + add(1, 4, 7)) == {a}


def test_a_split_never_comes_back(store: Store, add: Album) -> None:
    faces = add(0, 0, 6)
    (a,) = who(store, faces)
    do(store, persons.split, f"#{a}", faces[:2])
    (b,) = who(store, faces[:2])
    add(0, 6, 12)
    assert who(store, faces[:2]) == {b} and who(store, faces[2:]) == {a} and a != b


def test_an_automatic_run_never_changes_what_a_user_said(store: Store, add: Album) -> None:
    first, second = add(0, 0, 5), add(1, 0, 5)
    do(store, persons.add_person, "Wrong", [first[0], second[0]])
    do(store, persons.split, f"#{rows(store)[first[1]][0]}", first[1:3], "Ann")
    said = {face: row for face, row in rows(store).items() if row[1]}
    assert len(said) >= 5
    add(0, 5, 9)
    add(2, 0, 4)
    assert {face: rows(store)[face] for face in said} == said


def test_rejected_faces_are_in_no_group(store: Store, add: Album) -> None:
    faces = add(0, 0, 5)
    do(store, persons.reject, faces[:2])
    add(0, 5, 8)
    assert who(store, faces[:2]) == {None} and None not in who(store, faces[2:])


@pytest.mark.parametrize("words", ["", "small"])
def test_people_who_differ_are_never_joined_or_asked_about(store: Store, put: Callable, add: Album, words: str) -> None:
    """Also where the first face of one of them is poor."""
    vectors = looks_of(0, 10)
    put("/poor.jpg", face(vectors[0], words=words))
    first = add(0, 1, 4)
    (a,) = who(store, first)
    do(store, persons.split, f"#{a}", first[:1])  # the same face, said to be two people
    (b,) = who(store, first[:1])
    with store.write() as connection:  # as if nobody had said whose they are
        connection.execute(sa.update(schema.face).values(by_user=False))
    do(store, persons.differ, f"#{a}", f"#{b}")
    add(0, 4, 10)
    assert len(who(store, first[:2])) == 2
    with store.read() as connection:
        asked = [{question.first, question.second} for question in open_questions(connection)]
    assert who(store, first[:2]) not in asked


@pytest.mark.parametrize(("person", "low", "high"), [(0, 1e-4, 4e-3), (12, 1e-2, 4e-2)])
def test_whether_two_may_be_one_is_asked_with_the_rate_that_fits_their_age(
    store: Store, put: Callable, person: int, low: float, high: float
) -> None:
    """Person 12 may be a child: strangers among children score well ten times as often."""
    looks, other = looks_of(person, 8), looks_of(person + 1, 1)[0]
    first = looks_of(person, 1)[0]
    across = unit(other - (other @ first) * first)
    angle = np.radians(11 if person else 10.5)
    vectors = unit(np.concatenate([looks[:4], looks[4:] - first + np.cos(angle) * first + np.sin(angle) * across]))
    for number, vector in enumerate(vectors):
        put(f"/{number}.jpg", face(vector))
    do(store, group_people)
    with store.read() as connection:
        (question,) = open_questions(connection)
    assert {question.first, question.second} == who(store, sorted(rows(store)))
    assert low < question.rate < high


def test_a_burst_and_the_two_files_of_a_camera_are_one_moment(store: Store, put: Callable) -> None:
    start = datetime(2024, 5, 1, 12)
    paths = {
        "/a/1.jpg": start,
        "/a/2.jpg": start + timedelta(seconds=3),
        "/a/3.jpg": start + timedelta(seconds=10),
        "/a/2.cr2": None,
        "/a/4.jpg": None,
        "/a/4.nef": None,
        "/b/4.jpg": None,
    }
    for path, taken in paths.items():
        put(path, face(looks_of(0, 1)[0]), taken=taken)
    with store.read() as connection:
        ids = {row[0]: row[1] for row in connection.execute(sa.select(schema.file.c.path, schema.file.c.photo_id))}
        found = moments(connection, np.array([ids[path] for path in paths]))
    number = dict(zip(paths, found.tolist(), strict=True))
    assert number["/a/1.jpg"] == number["/a/2.jpg"] == number["/a/2.cr2"]
    assert number["/a/4.jpg"] == number["/a/4.nef"]
    assert len(set(number.values())) == 4


def test_an_empty_album_has_no_people_and_no_questions(store: Store) -> None:
    assert do(store, group_people) == []
    with store.read() as connection:
        assert persons.people(connection) == [] and open_questions(connection) == []
