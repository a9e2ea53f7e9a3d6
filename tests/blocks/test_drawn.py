"""New people are spread as real ones are, and near to none of them."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.blocks.identity.drawn import Crowd


def people(count: int, seed: int) -> np.ndarray:
    """In eight dimensions, two of which hardly matter, around a mean that all share."""
    made = np.random.default_rng(seed).standard_normal((count, 8)) * [3, 2, 2, 2, 1, 1, 0.01, 0.01]
    made[:, 7] += 1
    return made.astype(np.float32)


def test_drawn_people_are_spread_as_the_learnt_ones() -> None:
    learnt = people(2000, 0)
    crowd = Crowd.of(learnt, people(300, 1))
    drawn = np.stack([crowd.person(seed)[0] for seed in range(400)])
    assert np.allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    assert np.array_equal(drawn[7], crowd.person(7)[0]) and len(np.unique(drawn, axis=0)) == 400
    real = learnt / np.linalg.norm(learnt, axis=1, keepdims=True)
    assert np.abs(drawn.mean(0) - real.mean(0)).max() < 0.08
    assert np.abs(drawn.std(0) - real.std(0)).max() < 0.08


def test_nobody_is_drawn_who_is_too_near_to_somebody_learnt() -> None:
    learnt = people(400, 0)
    crowd = Crowd.of(learnt, people(300, 1))
    strict = Crowd(crowd.mean, crowd.axes, crowd.radius, crowd.known, 0.9)
    drawn = [strict.person(seed) for seed in range(50)]
    real = learnt / np.linalg.norm(learnt, axis=1, keepdims=True)
    assert max(float((real @ vector).max()) for vector, _ in drawn) < 0.91
    assert sum(refused for _, refused in drawn) > 0
    with pytest.raises(ValueError, match="too near"):
        Crowd(crowd.mean, crowd.axes, crowd.radius, crowd.known, -1.0).person(0)


def test_a_crowd_is_kept_in_a_file() -> None:
    crowd = Crowd.of(people(200, 0), people(50, 1))
    again = Crowd.from_arrays(crowd.arrays())
    assert np.allclose(again.person(3)[0], crowd.person(3)[0], atol=5e-3) and again.known.dtype == np.int8
    with pytest.raises(ValueError, match="too few"):
        Crowd.of(people(1, 0), people(50, 1))
