"""What users say about people: names, merges, splits, rejects, consent. Every step can be undone."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import sqlalchemy as sa

from visavis.core.errors import InputError
from visavis.people import schema
from visavis.people.journal import Step
from visavis.people.photos import touch

LONGEST = 200
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"


@dataclass(frozen=True)
class Person:
    """id: the number that #ID means; name: None where nobody named them; faces, photos: how many;
    consent, until: what they agreed to, and to which day; album: where they are known, a path or URL."""

    id: int
    name: str | None
    faces: int
    photos: int
    consent: str | None = None
    until: date | None = None
    album: str = field(default="", repr=False, compare=False)

    @property
    def called(self) -> str:
        return self.name or f"#{self.id}"


def people(connection: sa.Connection) -> list[Person]:
    """All people, those on most photos first."""
    face, person = schema.face.c, schema.person.c
    counted = sa.func.count(face.id), sa.func.count(sa.distinct(face.photo_id))
    rows = connection.execute(
        sa.select(person.id, person.name, *counted, person.consent, person.until)
        .select_from(schema.person)
        .join(schema.face, sa.and_(face.person_id == person.id, ~face.rejected), isouter=True)
        .group_by(person.id)
    )
    return sorted((Person(*row) for row in rows), key=lambda p: (-p.photos, p.name or "\uffff", p.id))


def find_person(connection: sa.Connection, called: str) -> Person:
    """By name, or #ID; raises InputError where there is nobody."""
    plain = unicodedata.normalize("NFC", called)  # as names are kept
    found = [p for p in people(connection) if plain == f"#{p.id}" or (p.name is not None and p.name == plain)]
    if not found:
        raise InputError(f"Nobody in this album is called {called!r}.")
    return found[0]


def clean_name(name: str) -> str:
    """A name in one spelling, without outer spaces, control characters and signs that turn a line's direction;
    raises InputError."""
    text = unicodedata.normalize("NFC", name)
    plain = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING).strip()
    if not plain or plain.startswith("#") or len(plain) > LONGEST:
        raise InputError(f"A name has 1 to {LONGEST} characters and does not begin with #.")
    return plain


def name(connection: sa.Connection, called: str, new: str) -> str:
    """Names a person; all faces that they have now are theirs by the user's word."""
    found, new = find_person(connection, called), clean_name(new)
    _free(connection, new, found.id)
    step = Step(connection, f"name {found.called} {new}")
    step.before("person", [found.id])
    _claim(connection, step, found.id, faces_of(connection, found.id))
    connection.execute(sa.update(schema.person).where(schema.person.c.id == found.id).values(name=new))
    step.done()
    return f"{found.called} is {new} now: {_said(found)}."


def merge(connection: sa.Connection, kept: str, other: str) -> str:
    """`other` becomes part of `kept`."""
    a, b = find_person(connection, kept), find_person(connection, other)
    if a.id == b.id:
        raise InputError(f"{a.called} cannot be merged with itself.")
    if a.name is None and b.name is not None:
        a, b = b, a
    step = Step(connection, f"merge {a.called} {b.called}")
    step.before("person", [a.id, b.id])
    moving = faces_of(connection, b.id)
    step.before("different", _between(connection, a.id, b.id))
    for first, second in _between(connection, a.id, b.id):
        where = schema.different.c
        connection.execute(sa.delete(schema.different).where(where.first == first, where.second == second))
    _claim(connection, step, a.id, [*faces_of(connection, a.id), *moving])
    connection.execute(sa.delete(schema.person).where(schema.person.c.id == b.id))
    step.done()
    return f"{_said(b)} of {b.called} moved to {a.called}."


def differ(connection: sa.Connection, first: str, second: str) -> str:
    """These two are different people: never joined, never asked about again."""
    a, b = find_person(connection, first), find_person(connection, second)
    if a.id == b.id:
        raise InputError(f"{a.called} cannot differ from itself; a split takes faces out.")
    step = Step(connection, f"differ {a.called} {b.called}")
    pair = _clearest(connection, a.id) + _clearest(connection, b.id)
    if len(pair) < 2:
        raise InputError(f"{(a if not a.faces else b).called} has no face in this album.")
    key = (min(pair), max(pair))
    step.before("different", [key])
    connection.execute(
        sa.delete(schema.different).where(schema.different.c.first == key[0], schema.different.c.second == key[1])
    )
    connection.execute(sa.insert(schema.different).values(first=key[0], second=key[1]))
    touch(connection)
    step.done()
    return f"{a.called} and {b.called} are kept apart."


def split(connection: sa.Connection, called: str, faces: Sequence[int], new: str | None = None) -> str:
    """Takes faces (their ids) out of a person, to somebody new or, by name, to somebody known."""
    found = find_person(connection, called)
    theirs, faces = faces_of(connection, found.id), list(dict.fromkeys(faces))
    strange = [face for face in faces if face not in theirs]
    if strange or not faces:
        raise InputError(f"Face {strange[0] if strange else '?'} is not one of {found.called}'s.")
    step = Step(connection, f"split {found.called}")
    _claim(connection, step, found.id, [face for face in theirs if face not in faces])
    target = _person_named(connection, step, new)
    _claim(connection, step, target, faces)
    step.done()
    return f"{counted(len(faces), 'face')} of {found.called} moved to {new or f'#{target}'}."


def reject(connection: sa.Connection, faces: Sequence[int]) -> str:
    """These are no faces: they belong to nobody and are not searched."""
    faces = list(dict.fromkeys(faces))
    known = set(connection.scalars(sa.select(schema.face.c.id).where(schema.face.c.id.in_(faces))))
    if not faces or set(faces) - known:
        raise InputError(f"There is no face {next(iter(set(faces) - known), '?')} in this album.")
    step = Step(connection, f"reject {' '.join(map(str, faces))}")
    step.before("face", faces)
    connection.execute(
        sa.update(schema.face).where(schema.face.c.id.in_(faces)).values(rejected=True, person_id=None, by_user=False)
    )
    touch(connection)
    step.done()
    return f"{len(faces)} rejected."


def add_person(
    connection: sa.Connection, new: str, faces: Sequence[int], consent: str | None = None, until: date | None = None
) -> str:
    """A person by name with these faces; one who is known gets them as well, and the new consent."""
    new = clean_name(new)
    step = Step(connection, f"person {new}")
    target = _person_named(connection, step, new)
    step.before("person", [target])
    if consent is not None or until is not None:
        agreed = {"until": until} if consent is None else {"consent": consent, "until": until}
        connection.execute(sa.update(schema.person).where(schema.person.c.id == target).values(agreed))
    _claim(connection, step, target, faces)
    step.done()
    return f"{new}: {counted(len(faces), 'face')}."


def suggestions(connection: sa.Connection) -> dict[int, list[str]]:
    """Names that other programs gave to the faces of each person, most often written first."""
    person, name = schema.face.c.person_id, schema.suggestion.c.name
    rows = connection.execute(
        sa.select(person, name)
        .join(schema.face, schema.face.c.id == schema.suggestion.c.face_id)
        .where(person.is_not(None))
        .group_by(person, name)
        .order_by(person, sa.func.count().desc(), name)
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row[1])
    return found


def faces_of(connection: sa.Connection, person: int) -> list[int]:
    where = schema.face.c
    return list(connection.scalars(sa.select(where.id).where(where.person_id == person).order_by(where.id)))


def best_photos(connection: sa.Connection, person: int, most: int) -> list[tuple[str, int]]:
    """Paths of photos of a person that are there, with the number of their face on each, the best faces first."""
    face, file = schema.face.c, schema.file.c
    rows = connection.execute(
        sa.select(file.path, face.number)
        .join(schema.face, face.photo_id == file.photo_id)
        .where(face.person_id == person, ~face.rejected, ~file.missing, face.seconds.is_(None))
        .order_by(face.words != "", -face.eyes_px, file.path)
    )
    return [(row[0], row[1]) for row in rows][:most]


def _clearest(connection: sa.Connection, person: int) -> list[int]:
    """The face that stands for a person: one that is poor for comparing takes no part in grouping."""
    where = schema.face.c
    query = sa.select(where.id).where(where.person_id == person).order_by(where.words != "", where.id).limit(1)
    return list(connection.scalars(query))


def _claim(connection: sa.Connection, step: Step, person: int, faces: Sequence[int]) -> None:
    step.before("face", faces)
    where = schema.face.c
    for start in range(0, len(faces), 500):
        part = faces[start : start + 500]
        connection.execute(
            sa.update(schema.face).where(where.id.in_(part)).values(person_id=person, by_user=True, rejected=False)
        )
    touch(connection)


def _person_named(connection: sa.Connection, step: Step, new: str | None) -> int:
    if new is not None:
        new = clean_name(new)
        known = connection.scalar(sa.select(schema.person.c.id).where(schema.person.c.name == new))
        if known is not None:
            return int(known)
    made = connection.execute(sa.insert(schema.person).values(name=new)).inserted_primary_key
    target = int(made[0]) if made else 0
    step.made("person", target)
    return target


def _free(connection: sa.Connection, new: str, own: int) -> None:
    taken = connection.scalar(sa.select(schema.person.c.id).where(schema.person.c.name == new))
    if taken is not None and taken != own:
        raise InputError(f"Somebody is called {new!r} already; a merge joins two people.")


def _between(connection: sa.Connection, a: int, b: int) -> list[tuple[int, int]]:
    """What was said to be different about faces of these two."""
    first, second = schema.face.alias(), schema.face.alias()
    rows = connection.execute(
        sa.select(schema.different.c.first, schema.different.c.second)
        .join(first, first.c.id == schema.different.c.first)
        .join(second, second.c.id == schema.different.c.second)
        .where(first.c.person_id.in_((a, b)), second.c.person_id.in_((a, b)))
    )
    return [(row[0], row[1]) for row in rows]


def _said(person: Person) -> str:
    return f"{counted(person.faces, 'face')} on {counted(person.photos, 'photo')}"


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
