"""What groups faces: drawn vectors, so that who is whom is certain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.people.conftest import looks_of, unit

from visavis.faces.score import calibration
from visavis.people.cluster import Faces, group


def drawn(people: int, each: int) -> Faces:
    vectors = np.concatenate([looks_of(person, each) for person in range(people)])
    return Faces.plain(vectors, calibration().cohort.statistics(vectors))


def groups(faces: Faces) -> list[set[int]]:
    label = group(faces, calibration().cohort).label
    return sorted(({int(i) for i in np.flatnonzero(label == at)} for at in set(label.tolist()) - {-1}), key=min)


def test_people_are_told_apart() -> None:
    assert groups(drawn(12, 6)) == [set(range(start, start + 6)) for start in range(0, 72, 6)]


def test_the_order_of_photos_does_not_matter() -> None:
    faces = drawn(8, 5)
    order = np.random.default_rng(0).permutation(40)
    mixed = Faces.plain(faces.vectors[order], faces.statistics[order])
    assert sorted(sorted(order[list(g)].tolist()) for g in groups(mixed)) == [sorted(g) for g in groups(faces)]


def test_nobody_is_twice_on_one_photo() -> None:
    faces = drawn(1, 6)
    photo = np.array([0, 1, 2, 3, 4, 4])
    found = groups(replace(faces, photo=photo))
    assert len(found) == 2
    assert {4, 5} not in [g & {4, 5} for g in found]


def test_a_mirror_image_on_the_same_photo_is_the_same_person() -> None:
    faces = drawn(1, 6)
    vectors = faces.vectors.copy()
    vectors[5] = vectors[4]
    faces = Faces.plain(vectors, calibration().cohort.statistics(vectors))
    assert groups(replace(faces, photo=np.array([0, 1, 2, 3, 4, 4]))) == [set(range(6))]


def test_what_a_user_said_wins_over_the_faces() -> None:
    faces = drawn(2, 4)
    person = np.full(8, -1)
    person[[0, 1]], person[[2, 3]] = 7, 9
    for at in groups(replace(faces, person=person)):
        assert not (at & {0, 1} and at & {2, 3}), "two people whom a user named were joined"
    joined = np.full(8, -1)
    joined[[0, 4]] = 7
    (found,) = [g for g in groups(replace(faces, person=joined)) if 0 in g]
    assert 4 in found, "what a user joined came apart"


def test_people_who_were_called_different_stay_apart() -> None:
    faces = replace(drawn(1, 6), apart=((0, 5),))
    assert not any({0, 5} <= g for g in groups(faces))


def test_a_poor_face_founds_nobody_but_finds_its_person() -> None:
    faces = drawn(2, 5)
    good = np.ones(10, bool)
    good[[0, 5, 6, 7, 8, 9]] = False
    assert groups(replace(faces, good=good)) == [{0, 1, 2, 3, 4}]


def test_a_burst_is_one_vote() -> None:
    """Six frames of one second do not outvote a photo of another day."""
    y, across = looks_of(0, 1)[0], looks_of(1, 1)[0]
    across = unit(across - (across @ y) * y)

    def at(degrees: float) -> np.ndarray:
        return np.cos(np.radians(degrees)) * y + np.sin(np.radians(degrees)) * across

    vectors = unit(np.stack([at(0), *[at(14)] * 6, at(-14)]))
    faces = Faces.plain(vectors, calibration().cohort.statistics(vectors))
    assert groups(replace(faces, moment=np.array([0, *[1] * 6, 2]))) == [set(range(8))]
    assert groups(faces) == [set(range(7)), {7}]


def test_no_faces_make_no_groups() -> None:
    faces = Faces.plain(np.zeros((0, 128), np.float32), np.zeros((0, 2), np.float32))
    assert len(group(faces, calibration().cohort).label) == 0
