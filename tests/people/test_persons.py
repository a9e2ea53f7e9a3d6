"""What users say about people, and that undo takes each step back to the very state before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from tests.people.conftest import face, looks_of

from visavis.core.errors import InputError
from visavis.media.regions import Region
from visavis.people import persons, schema
from visavis.people.grouping import group_people
from visavis.people.journal import undo
from visavis.people.photos import add_suggestions
from visavis.people.store import Store

State = dict[str, list[tuple[Any, ...]]]
TABLES = (schema.person, schema.face, schema.different, schema.suggestion, schema.about, schema.journal)


def do(store: Store, step: Callable[..., Any], *rest: Any) -> Any:
    with store.write() as connection:
        return step(connection, *rest)


def state(store: Store) -> State:
    """All rows, without what tells that people must be grouped anew and counts the transactions."""
    with store.read() as connection:
        dump = {}
        for table in TABLES:
            columns = [column for column in table.c if column.name != "vector"]
            rows = [tuple(row) for row in connection.execute(sa.select(*columns))]
            dump[table.name] = sorted((row for row in rows if row[0] not in ("grouped", "changes")), key=repr)
        return dump


def person_of(store: Store) -> dict[int, int | None]:
    with store.read() as connection:
        return {row[0]: row[1] for row in connection.execute(sa.select(schema.face.c.id, schema.face.c.person_id))}


@pytest.fixture
def album(store: Store, put: Callable) -> Store:
    """Four unnamed people with four photos each; people and faces are numbered from 1."""
    for who in range(4):
        for number, vector in enumerate(looks_of(who, 4)):
            put(f"/{who}-{number}.jpg", face(vector))
    do(store, group_people)
    assert sorted(set(person_of(store).values())) == [1, 2, 3, 4]
    do(store, add_suggestions, "/0-0.jpg", [Region("Ann", (0.1, 0.2, 0.25, 0.5))])
    return store


STEPS: dict[str, tuple[Any, ...]] = {
    "name": (persons.name, "#1", "Ann"),
    "merge": (persons.merge, "#1", "#2"),
    "split to a new one": (persons.split, "#1", [1, 2]),
    "split to a name": (persons.split, "#1", [1], "Zoe"),
    "split all": (persons.split, "#1", [1, 2, 3, 4], "Zoe"),
    "reject": (persons.reject, [1, 5]),
    "reject all": (persons.reject, [1, 2, 3, 4]),
    "differ": (persons.differ, "#1", "#2"),
    "person": (persons.add_person, "Zoe", [1, 9], "a letter", date(2030, 1, 2)),
    "person of all": (persons.add_person, "Zoe", [1, 2, 3, 4]),
}


@pytest.mark.parametrize("regroup", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_undo_restores_the_state_before_a_step(album: Store, step: str, regroup: bool) -> None:
    before = state(album)
    do(album, *STEPS[step])
    assert state(album) != before
    if regroup:
        do(album, group_people)
    do(album, undo)
    if regroup:  # faces that nobody named may have joined a person who is gone again
        do(album, group_people)
    assert state(album) == before


def test_several_steps_are_undone_in_turn(album: Store) -> None:
    steps: list[tuple[Any, ...]] = [
        (persons.name, "#1", "Ann"),
        (persons.differ, "Ann", "#2"),
        (persons.merge, "Ann", "#2"),
        (persons.add_person, "Ann", [9], "yes", date(2031, 1, 1)),
        (persons.split, "Ann", [1, 5], "Bob"),
        (persons.merge, "Bob", "Ann"),
        (persons.reject, [1, 13]),
        (persons.name, "Bob", "Cid"),
    ]
    states = []
    for step in steps:
        states.append(state(album))
        do(album, *step)
    for before in reversed(states):
        do(album, undo)
        assert state(album) == before
    with pytest.raises(InputError, match="nothing to undo"):
        do(album, undo)
    do(album, persons.name, "#1", "Ann")  # and on again
    assert state(album) != states[0]


def test_undo_asks_for_a_new_grouping(album: Store) -> None:
    """A face that joined the person whom a step had made belongs somewhere again."""
    do(album, persons.add_person, "Zoe", [1])
    do(album, group_people)
    assert len({person_of(album)[face] for face in (1, 2, 3, 4)}) == 1
    do(album, undo)
    with album.read() as connection:
        assert connection.scalar(sa.select(schema.about.c.value).where(schema.about.c.key == "grouped")) is None


def test_undo_goes_on_where_a_photo_went_away(album: Store) -> None:
    do(album, persons.differ, "#1", "#2")
    do(album, persons.merge, "#1", "#2")
    with album.write() as connection:
        connection.execute(sa.delete(schema.photo).where(schema.photo.c.id == 1))
    do(album, undo)
    assert {person_of(album)[face] for face in (5, 6, 7, 8)} == {2}
    do(album, undo)


def test_steps_that_make_no_sense_are_refused_and_change_nothing(album: Store) -> None:
    do(album, persons.name, "#1", "Ann")
    before = state(album)
    for step in (
        (persons.name, "#2", "Ann"),
        (persons.name, "nobody", "Bob"),
        (persons.name, "#99", "Bob"),
        (persons.merge, "Ann", "Ann"),
        (persons.merge, "Ann", "#1"),
        (persons.merge, "Ann", "nobody"),
        (persons.differ, "Ann", "#1"),
        (persons.split, "Ann", [5]),
        (persons.split, "Ann", []),
        (persons.reject, []),
        (persons.reject, [1, 999]),
    ):
        with pytest.raises(InputError) as error:
            do(album, *step)
        assert "\n" not in str(error.value)
        assert state(album) == before


@pytest.mark.parametrize("name", ["../../x", "CON", "=1+1", "n" * 200, "👩‍👩‍👧 Zoë", "a'; DROP TABLE face; --", "%_"])
def test_any_text_is_a_name(album: Store, name: str) -> None:
    do(album, persons.name, "#1", name)
    with album.read() as connection:
        assert persons.find_person(connection, name).id == 1


@pytest.mark.parametrize("name", ["n" * 201, "n" * 240, "#5", "", "  ", "\x00\x1b\n", "\ud800"])
def test_what_is_no_name_is_refused(album: Store, name: str) -> None:
    with pytest.raises(InputError, match="1 to 200 characters"):
        do(album, persons.name, "#1", name)


def test_control_characters_are_left_out_of_a_name(album: Store) -> None:
    do(album, persons.name, "#1", " A\x1b[31mnn\x00\n ")
    with album.read() as connection:
        assert persons.find_person(connection, "#1").name == "A[31mnn"


def test_a_name_is_found_in_either_spelling_of_an_accent(album: Store) -> None:
    do(album, persons.name, "#1", "Zoe\u0308")
    with album.read() as connection:
        assert persons.find_person(connection, "Zo\u00eb").id == persons.find_person(connection, "Zoe\u0308").id == 1


def test_a_number_is_never_given_twice(album: Store, put: Callable) -> None:
    seen = {1, 2, 3, 4}
    for step in ((persons.merge, "#3", "#4"), (persons.split, "#1", [1]), (persons.add_person, "Zoe", [2])):
        do(album, *step)
        do(album, undo)
    do(album, persons.merge, "#3", "#4")
    do(album, group_people)
    for vector in looks_of(9, 4):
        put(f"/new-{vector[0]}.jpg", face(vector))
    do(album, group_people)
    new = {person for person in person_of(album).values() if person} - seen
    assert len(new) == 1 and min(new) > 6, "4 was #4's; 5 and 6 were given and taken back"


def test_a_merge_keeps_the_name_that_there_is(album: Store) -> None:
    do(album, persons.name, "#2", "Ann")
    do(album, persons.merge, "#1", "Ann")
    with album.read() as connection:
        assert persons.find_person(connection, "Ann").faces == 8


def test_a_new_last_day_leaves_the_consent(album: Store) -> None:
    do(album, persons.add_person, "Zoe", [], "a letter", date(2030, 1, 1))
    do(album, persons.add_person, "Zoe", [], None, date(2031, 1, 1))
    with album.read() as connection:
        found = persons.find_person(connection, "Zoe")
    assert (found.consent, found.until) == ("a letter", date(2031, 1, 1))


def test_a_face_that_is_named_twice_counts_once(album: Store) -> None:
    assert do(album, persons.reject, [5, 5]).startswith("1 ")
    assert do(album, persons.split, "#1", [1, 1], "Zoe").startswith("1 face ")


def test_signs_that_turn_a_line_are_no_part_of_a_name() -> None:
    assert persons.clean_name("An\u202ea\u2066") == "Ana"
    assert persons.clean_name("👩‍🚀 Mae") == "👩‍🚀 Mae"
