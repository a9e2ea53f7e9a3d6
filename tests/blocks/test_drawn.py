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
    real = learnt / np.linalg.norm(learnt, axis=1, keepdims=True)
    others = np.random.default_rng(5).standard_normal((300, 8)).astype(np.float32)  # farther from them than draws are
    others = others[(others @ real.T).max(1) / np.linalg.norm(others, axis=1) < 0.9]
    strict = Crowd.of(learnt, others)
    drawn = [(seed, *strict.person(seed)) for seed in range(300) if strict.refused[seed] < 255]
    assert max(float((real @ vector).max()) for _, vector, _ in drawn) < 0.901
    assert sum(refused for *_, refused in drawn) > 50
    first = Crowd(strict.mean, strict.axes, strict.radius, np.zeros_like(strict.refused))
    assert all((real @ first.person(seed)[0]).max() > 0.89 for seed, _, refused in drawn if refused)

    same = Crowd.of(np.ones((5, 8), np.float32) + people(5, 0) * 1e-3, people(20, 0))
    with pytest.raises(ValueError, match="too near"):
        same.person(0)
    with pytest.raises(ValueError, match="last of its people has the seed 16383"):
        strict.person(16_384)


def test_a_crowd_is_kept_in_a_file_without_a_real_person() -> None:
    learnt = people(200, 0)
    crowd = Crowd.of(learnt, people(50, 1))
    kept = crowd.arrays()
    again = Crowd.from_arrays(kept)
    assert all(np.array_equal(again.person(seed)[0], crowd.person(seed)[0]) for seed in range(20))
    assert {name: values.shape for name, values in kept.items()} == {
        "mean": (8,),
        "axes": (8, 8),
        "radius": (99,),
        "refused": (16_384,),
    }
    with pytest.raises(ValueError, match="too few"):
        Crowd.of(people(1, 0), people(50, 1))
