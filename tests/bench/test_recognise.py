"""The protocols of bench recognise against counting by hand on small made sets."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.bench.recognise import Lfw, correct_by_folds, distance, limits, measures, stranger_scores
from visavis.bench.verify import best_threshold
from visavis.bench.wild import Shot, rank1


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _rank1(shots: list[Shot]) -> list[tuple[bool, str]]:
    vectors = np.concatenate([shot.vectors for shot in shots])
    return rank1(shots, vectors @ vectors.T)


def test_best_threshold_by_trying_all() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        scores = random.normal(0, 1, 40).astype(np.float32)
        same = scores + random.normal(0, 1, 40) > 0
        right = max(int(((scores > t) == same).sum()) for t in (*scores, -9.0))
        assert int(((scores > best_threshold(scores, same)) == same).sum()) == right


def test_threshold_of_a_fold_comes_from_the_others() -> None:
    # Fold 1 alone would be told right by another threshold.
    scores = np.array([0.9, 0.1, 0.9, 0.1, 0.1, 0.9], np.float32)
    same = np.array([True, False, True, False, True, False])
    fold = np.array([0, 0, 0, 0, 1, 1])
    assert correct_by_folds(scores, same, fold)[4:].tolist() == [False, False]


def test_strangers_are_all_pairs_of_different_names_once() -> None:
    random = np.random.default_rng(1)
    vectors = _unit(random.normal(0, 1, (90, 8)))
    names = random.integers(0, 30, 90).astype(str)
    found = random.random(90) > 0.1
    expected = [
        -((vectors[i] - vectors[j]) ** 2).sum()
        for i in range(90)
        for j in range(i + 1, 90)
        if names[i] != names[j] and found[i] and found[j]
    ]
    got = stranger_scores(names, distance(vectors), found)
    assert np.sort(got) == pytest.approx(np.sort(expected), abs=1e-5)


def test_at_most_the_stated_share_of_strangers_passes() -> None:
    strangers = np.random.default_rng(2).normal(0, 1, 9_999).astype(np.float32)
    for rate, limit in zip((0.1, 1e-3, 1e-4), limits(strangers, (0.1, 1e-3, 1e-4)), strict=True):
        assert (strangers > limit).mean() <= rate
        assert (strangers >= limit).mean() > rate


def test_a_face_not_found_is_an_error() -> None:
    random = np.random.default_rng(3)
    person = np.repeat(np.arange(200), 2)
    vectors = _unit(np.repeat(random.normal(0, 1, (200, 16)), 2, 0) + random.normal(0, 0.05, (400, 16)))
    first = np.arange(0, 400, 2)
    lfw = Lfw(
        names=person.astype(str),
        a=np.concatenate([first, first]),
        b=np.concatenate([first + 1, (first + 3) % 400]),
        same=np.repeat([True, False], 200),
        fold=np.tile(np.arange(10), 40),
    )
    found = np.ones(400, bool)
    whole = {f.name: f.value for f in measures("lfw", lfw, distance(vectors), found)}
    assert whole["lfw.accuracy"] == 1
    assert whole["lfw.tar_at_far_1e-3"] == 1
    assert set(whole) == {"lfw.accuracy", "lfw.not_found", *(f"lfw.tar_at_far_1e-{k}" for k in (2, 3, 4))}
    found[1] = False  # in one same-person pair; and row 1 is the second of one pair of strangers
    less = {f.name: f.value for f in measures("lfw", lfw, distance(vectors), found)}
    assert less["lfw.not_found"] == 1
    assert less["lfw.accuracy"] == 1 - 2 / 400
    assert less["lfw.tar_at_far_1e-3"] == 1 - 1 / 200


def test_rank1_counts_wrong_missing_and_copies() -> None:
    def shot(people: set[str], *vectors: list[float], labelled: int | None = 0, tone: float = 0) -> Shot:
        array = np.array(vectors, np.float32).reshape(-1, 2)
        return Shot(frozenset(people), array, labelled if len(vectors) else None, np.full((16, 16), tone))

    ana, ben = [1.0, 0.0], [0.0, 1.0]
    shots = [
        shot({"Ana"}, ana, tone=0),
        shot({"Ana"}, [0.9, 0.1], tone=50),
        shot({"Ben"}, ben, tone=100),
        shot({"Ben", "Cem"}, ben, [0.5, 0.5], labelled=None, tone=150),
        shot({"Ana"}, tone=200),  # nobody found: an error
        shot({"Ben"}, [0.8, 0.2], tone=250),  # looks like Ana: an error
        shot({"Dia"}, ben, tone=300),  # only on one photo: not asked
        shot({"Ana"}, ana, ben, labelled=None, tone=350),  # which face is Ana's is open: not asked
    ]
    assert _rank1(shots) == [(True, "Ana"), (True, "Ana"), (True, "Ben"), (False, "Ana"), (False, "Ben")]
    # The same picture again is no second photo: it must not be the nearest.
    copied = [
        shot({"Eva"}, ana, tone=0),
        shot({"Eva"}, ana, tone=1),
        shot({"Eva"}, ben, tone=90),
        shot({"F"}, [0.8, 0.6], tone=180),
    ]
    assert _rank1(copied) == [(False, "Eva"), (False, "Eva"), (False, "Eva")]
