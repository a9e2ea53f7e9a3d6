"""Whole photos from end to end: is the most similar face on any other photo the same person?

The set names people by photo, not by face. A face is labelled where that leaves no choice: exactly one person is named
and one face is there or clearly the largest. Every other face, of bystanders and crowds too, stays in the search and
may be wrongly found; the answer is right where the photo on which the found face lies names the person.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.types import Face, Floats
from visavis.faces.analyse import DOMINATES, embed_faces, find_faces
from visavis.faces.score import calibration, scores

# Pictures of 16 x 16 gray points that differ by less are one photograph saved twice (other size, other compression).
SAME_PICTURE = 4.0


@dataclass(frozen=True, eq=False)
class Shot:
    """One photo: who is named on it, the vectors of its faces [N, 128], the labelled face or None, a tiny copy."""

    people: frozenset[str]
    vectors: Floats
    labelled: int | None
    tiny: NDArray[np.float64]


def figures() -> list[Figure]:
    """wild.rank1, by the score of `compare`, over every labelled face of a person who is named on another photo too; a
    photo of one named person without any face is an error. wild.left_out: photos of one person with no clear face."""
    shots = [
        _shot(decode(row["image"]), frozenset(row["people"] or ()))
        for row in parquet_rows([data_folder("wild_photos") / "wild_photos.parquet"], ["image", "people"])
    ]
    vectors = np.concatenate([shot.vectors for shot in shots])
    statistics = calibration().cohort.statistics(vectors)
    rows = rank1(shots, scores(vectors, vectors, statistics, statistics))
    right, people = np.array([r for r, _ in rows]), np.array([p for _, p in rows])
    left_out = sum(len(s.people) == 1 and len(s.vectors) > 0 and s.labelled is None for s in shots)
    faces = sum(len(s.vectors) for s in shots)
    return [
        Figure("wild.rank1", float(right.mean()), *bootstrap(right, units=people), n=len(right)),
        Figure("wild.people", float(len(set(people))), unit="people", better="neither"),
        Figure("wild.faces", float(faces), unit="faces", better="neither", n=len(shots)),
        Figure("wild.left_out", float(left_out), unit="photos", better="lower", n=len(shots)),
    ]


def rank1(shots: list[Shot], alike: Floats) -> list[tuple[bool, str]]:
    """(most similar is right, person) for each labelled face; copies of the same picture are not searched.

    alike: [M, M] scores of all faces of all shots, in their order
    """
    first = np.cumsum([0, *(len(shot.vectors) for shot in shots)])
    named = Counter(person for shot in shots for person in shot.people)
    owner = np.repeat(np.arange(len(shots)), [len(shot.vectors) for shot in shots])
    tiny = np.stack([shot.tiny for shot in shots])
    rows = []
    for number, shot in enumerate(shots):
        person = next(iter(shot.people), "")
        if len(shot.people) != 1 or named[person] < 2 or (len(shot.vectors) > 0 and shot.labelled is None):
            continue
        copies = np.abs(tiny - shot.tiny).mean((1, 2)) < SAME_PICTURE  # the shot itself among them
        if not any(person in other.people for other, copy in zip(shots, copies, strict=True) if not copy):
            continue
        if shot.labelled is None:
            rows.append((False, person))
            continue
        others = np.where(copies[owner], -np.inf, alike[first[number] + shot.labelled])
        rows.append((person in shots[owner[int(np.argmax(others))]].people, person))
    return rows


def labelled(faces: list[Face], people: frozenset[str]) -> int | None:
    """Which of the faces (largest first) must be the one named person, or None."""
    if len(people) != 1 or not faces:
        return None
    return 0 if len(faces) == 1 or faces[0].area >= DOMINATES * faces[1].area else None


def _shot(pixels: NDArray[np.uint8], people: frozenset[str]) -> Shot:
    from PIL import Image

    faces = find_faces(pixels)
    tiny = Image.fromarray(pixels).convert("L").resize((16, 16), Image.Resampling.BOX)
    return Shot(people, embed_faces(faces), labelled(faces, people), np.asarray(tiny, np.float64))
