"""Grouping the faces of an album into people: what a user said stays, unnamed people keep their number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from visavis.faces.score import calibration
from visavis.people import cluster, schema
from visavis.people.loaded import Loaded, load

BURST_SECONDS = 3
GROUPED = "grouped"


@dataclass(frozen=True)
class Question:
    """May these two people be one? rate: how often two strangers' groups score this, at most."""

    first: int
    second: int
    rate: float


def group_people(connection: sa.Connection) -> list[Question]:
    """Gives every face that nobody named to a person, new or known; questions about people who may be one."""
    faces = load(connection)
    found = cluster.group(_as_faces(connection, faces), calibration().cohort)
    people = _people(connection, faces, found.label)
    changed = [
        {"face": int(face), "to": None if to < 0 else int(to)}
        for face, to, was in zip(faces.id, people, faces.person, strict=True)
        if to != was
    ]
    if changed:
        where = schema.face.c
        connection.execute(
            sa.update(schema.face).where(where.id == sa.bindparam("face")).values(person_id=sa.bindparam("to")), changed
        )
    _drop_empty(connection)
    connection.execute(sa.delete(schema.about).where(schema.about.c.key == GROUPED))
    to = dict(zip(found.label.tolist(), people.tolist(), strict=True))
    ready = calibration()
    young = set(found.label[ready.may_be_child(faces.vectors)].tolist())
    asked = [
        Question(to[a], to[b], float((ready.children if {a, b} & young else ready.everyone).at(score)[0]))
        for a, b, score in found.ask
        if a in to and b in to
    ]
    connection.execute(
        sa.insert(schema.about).values(key=GROUPED, value=json.dumps([[q.first, q.second, q.rate] for q in asked]))
    )
    return asked


def open_questions(connection: sa.Connection) -> list[Question]:
    """The questions of the last grouping."""
    kept = connection.scalar(sa.select(schema.about.c.value).where(schema.about.c.key == GROUPED))
    return [Question(*row) for row in json.loads(kept or "[]")]


def is_grouped(connection: sa.Connection) -> bool:
    return connection.scalar(sa.select(schema.about.c.value).where(schema.about.c.key == GROUPED)) is not None


def _as_faces(connection: sa.Connection, faces: Loaded) -> cluster.Faces:
    row_of = {int(face): row for row, face in enumerate(faces.id)}
    pairs = connection.execute(sa.select(schema.different.c.first, schema.different.c.second))
    apart = [(row_of[a], row_of[b]) for a, b in pairs if a in row_of and b in row_of]
    return cluster.Faces(
        vectors=faces.vectors,
        statistics=faces.statistics,
        photo=_pictures(faces),
        moment=moments(connection, faces.photo),
        person=np.where(faces.by_user, faces.person, -1),
        good=~faces.poor,
        apart=apart,
    )


def _pictures(faces: Loaded) -> NDArray[np.int64]:
    """[N]: a number for each photo, and for each moment of a video: nobody is twice on one picture."""
    both = np.stack([faces.photo.astype(np.float64), faces.seconds], 1)
    return np.asarray(np.unique(both, axis=0, return_inverse=True)[1], np.int64).reshape(-1)


def moments(connection: sa.Connection, photos: NDArray[np.int64]) -> NDArray[np.int64]:
    """[N]: a number for each photo; the same for a burst, and for two files of one name (RAW and JPEG)."""
    number: dict[int, int] = {}
    stems: dict[str, int] = {}
    where = schema.photo.c
    rows = connection.execute(
        sa.select(where.id, where.taken, sa.func.min(schema.file.c.path))
        .join(schema.file, isouter=True)
        .group_by(where.id, where.taken)
        .order_by(where.taken.nulls_last(), where.id)
    ).all()
    before: tuple[datetime, int] | None = None
    for photo, taken, path in rows:
        number[photo] = photo
        if taken is not None:
            if before and (taken - before[0]).total_seconds() <= BURST_SECONDS:
                number[photo] = before[1]
            before = (taken, number[photo])
        if path:
            stem = str(Path(path).with_suffix(""))
            number[photo] = stems.setdefault(stem, number[photo])
    return np.array([number[photo] for photo in photos.tolist()], np.int64)


def _people(connection: sa.Connection, faces: Loaded, label: NDArray[np.int64]) -> NDArray[np.int64]:
    """[N]: the person of each face. A group is who a user named in it; else the person whom most of it were before, if
    no face is theirs by a user's word; else somebody new."""
    people = np.where(faces.by_user, faces.person, -1)
    members: dict[int, list[int]] = {}
    for row, at in enumerate(label.tolist()):
        if at >= 0:
            members.setdefault(at, []).append(row)
    free = set(connection.scalars(sa.select(schema.person.c.id))) - {int(p) for p in faces.person[faces.by_user]}
    # The largest groups choose first, so that a person who falls apart stays with the larger part.
    for rows in sorted(members.values(), key=lambda rows: (-len(rows), rows)):
        named = [int(people[row]) for row in rows if people[row] >= 0]
        person = named[0] if named else _once(faces, rows, free)
        free.discard(person)
        if person < 0:
            person = _new(connection)
        for row in rows:
            if people[row] < 0:
                people[row] = person
    return people


def _once(faces: Loaded, rows: Sequence[int], free: set[int]) -> int:
    were = Counter(int(faces.person[row]) for row in rows if int(faces.person[row]) in free)
    return min(were, key=lambda person: (-were[person], person)) if were else -1


def _new(connection: sa.Connection) -> int:
    made = connection.execute(sa.insert(schema.person).values(name=None)).inserted_primary_key
    return int(made[0]) if made else -1


def _drop_empty(connection: sa.Connection) -> None:
    """Unnamed people of whom no face is left; a named one stays, with no photo."""
    used = sa.select(schema.face.c.person_id).where(schema.face.c.person_id.is_not(None))
    connection.execute(sa.delete(schema.person).where(schema.person.c.name.is_(None), schema.person.c.id.not_in(used)))
