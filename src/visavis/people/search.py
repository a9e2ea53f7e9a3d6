"""Who in an album is on a photo, and how many strangers in an album of this size would score as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from visavis.core.types import Floats
from visavis.faces.score import FLOOR_COVERED, Calibration, calibration, scores
from visavis.people import schema
from visavis.people.loaded import Loaded

NEAREST = 100  # faces that are looked at closely
NEAREST_PLAIN = 500  # the same where the database ranks by plain distance
FOUND = 0.05  # expected strangers from which nobody is called found
SHOWN = 10


@dataclass(frozen=True)
class Hit:
    """person: id, or None for a face that is nobody's yet; face: their most alike face; score: the mean over the
    person's faces; rate: how often a stranger scores this; expected: strangers in this album who would."""

    person: int | None
    name: str | None
    face: int
    faces: int
    score: float
    rate: float
    expected: float

    @property
    def called(self) -> str:
        return self.name or (f"#{self.person}" if self.person else f"face {self.face}")


@dataclass(frozen=True)
class Found:
    """hits: best first; searched: people and single faces in the album."""

    hits: tuple[Hit, ...]
    searched: int

    @property
    def verdict(self) -> Literal["found", "candidates", "nobody"]:
        if not self.hits or self.hits[0].expected >= 1:
            return "nobody"
        return "found" if self.hits[0].expected <= FOUND else "candidates"


@dataclass(frozen=True, eq=False)
class Query:
    """A face that is looked for: vector float32 [128], covered: part of it cannot be seen."""

    vector: Floats
    covered: bool = False


def nearest(faces: Loaded, query: Floats, statistics: Floats, count: int = NEAREST) -> NDArray[np.intp]:
    """Rows of the most alike faces by the normalised score, best first: exact, one pass over all vectors."""
    alike = scores(query[None], faces.vectors, statistics, faces.statistics)[0]
    count = min(count, len(alike))
    best = np.argpartition(-alike, count - 1)[:count] if count else np.zeros(0, np.intp)
    return np.asarray(best[np.argsort(-alike[best], kind="stable")])


def find(connection: sa.Connection, query: Query, faces: Loaded | None = None, limit: float | None = 1.0) -> Found:
    """faces: the whole album in memory; without it the database itself names the nearest (pgvector).

    limit: expected strangers from which a hit is left out, None for the best ones whatever they score.
    """
    ready = calibration()
    statistics = ready.cohort.statistics(query.vector[None])
    if faces is None:
        near = _nearest_in_database(connection, query.vector)
    else:
        rows = nearest(faces, query.vector, statistics)
        near = list(zip(faces.id[rows].tolist(), faces.person[rows].tolist(), strict=True))
    people = list(dict.fromkeys(person for _, person in near if person >= 0))
    single = [face for face, person in near if person < 0]
    searched = _searched(connection) if faces is None else faces.searched
    faces_of = _candidates(connection, people, single)
    if not faces_of:
        return Found((), searched)
    ids, owners, vectors, theirs = faces_of
    alike = scores(query.vector[None], vectors, statistics, theirs)[0]
    groups = np.unique(np.where(owners < 0, -ids, owners), return_inverse=True)[1]
    # The mean, not the best: strangers reach a high mean over several photos no more often than a high score on one,
    # so the table of pairs stays an upper limit.
    means = np.bincount(groups, alike) / np.bincount(groups)
    hits = []
    for at in np.argsort(-means, kind="stable")[:SHOWN]:
        rows = np.flatnonzero(groups == at)
        rate = _rate(ready, float(means[at]), query, vectors[rows])
        if limit is None or searched * rate < limit:
            best = rows[alike[rows].argmax()]
            person = None if owners[best] < 0 else int(owners[best])
            hits.append(Hit(person, None, int(ids[best]), len(rows), float(means[at]), rate, searched * rate))
    return Found(tuple(_named(connection, hits)), searched)


def _rate(ready: Calibration, score: float, query: Query, vectors: Floats) -> float:
    children = ready.may_be_child(np.concatenate([query.vector[None], vectors])).any()
    rate = float((ready.children if children else ready.everyone).at(score)[0])
    return max(rate, FLOOR_COVERED) if query.covered else rate


def _nearest_in_database(connection: sa.Connection, query: Floats) -> list[tuple[int, int]]:
    where = schema.face.c
    rows = connection.execute(
        sa.select(where.id, sa.func.coalesce(where.person_id, -1))
        .where(~where.rejected)
        .order_by(where.vector.op("<->")(query))
        .limit(NEAREST_PLAIN)
    )
    return [(row[0], row[1]) for row in rows]


Candidates = tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]


def _candidates(connection: sa.Connection, people: Sequence[int], single: Sequence[int]) -> Candidates | None:
    """(face ids, persons or -1, vectors, statistics): all faces of these people, and faces that are nobody's."""
    where = schema.face.c
    rows = connection.execute(
        sa.select(where.id, sa.func.coalesce(where.person_id, -1), where.vector, where.mean, where.deviation)
        .where(sa.or_(where.person_id.in_(people), where.id.in_(single)), ~where.rejected)
        .order_by(where.id)
    ).all()
    if not rows:
        return None
    ids, owners, vectors, means, deviations = zip(*rows, strict=True)
    statistics = np.stack([np.array(means, np.float32), np.array(deviations, np.float32)], 1)
    return np.array(ids), np.array(owners), np.stack(vectors), statistics


def _searched(connection: sa.Connection) -> int:
    where = schema.face.c
    people, single = connection.execute(
        sa.select(
            sa.func.count(sa.distinct(where.person_id)),
            sa.func.coalesce(sa.func.sum(sa.case((where.person_id.is_(None), 1), else_=0)), 0),
        ).where(~where.rejected)
    ).one()
    return int(people + single)


def _named(connection: sa.Connection, hits: Sequence[Hit]) -> list[Hit]:
    ids = [hit.person for hit in hits if hit.person is not None]
    where = schema.person.c
    rows = connection.execute(sa.select(where.id, where.name).where(where.id.in_(ids)))
    names = {row[0]: row[1] for row in rows}
    return [
        Hit(hit.person, names.get(hit.person or -1), hit.face, hit.faces, hit.score, hit.rate, hit.expected)
        for hit in hits
    ]
