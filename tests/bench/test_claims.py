"""Likeness pooled over people, and what a claim's effect is called, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.bench.claims import drawn, verdict
from visavis.bench.people import Cosines


def of(share: float, people: int = 12) -> Cosines:
    """Each person a direction of their own, beside one that all share; made pictures keep `share` of the own one."""
    own, common = np.eye(people + 1)[:people], np.eye(people + 1)[people]

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    photos = unit(own + common).astype(np.float32)
    made = unit(share * own + np.sqrt(2 - share**2) * common).astype(np.float32)
    return Cosines.of([row[None] for row in made], photos, [row[None] for row in photos])


def test_likeness_is_1_for_the_photo_and_0_for_what_all_share() -> None:
    assert of(1.0).likeness() == pytest.approx(1, abs=1e-5)
    assert of(0.0).likeness() == pytest.approx(0, abs=1e-5)  # a common look earns nothing
    assert of(0.5).likeness() == pytest.approx(0.5, abs=1e-5)
    low, high = of(0.5).interval()
    assert low <= 0.5 + 1e-5 and high >= 0.5 - 1e-5


def test_an_effect_is_drawn_over_people_and_seeds_alike_in_both_arms() -> None:
    effects = drawn([of(0.6), of(0.8)], [of(0.5), of(0.5)])
    assert effects.mean() == pytest.approx(0.2, abs=0.02)
    assert effects.min() == pytest.approx(0.1, abs=0.01) and effects.max() == pytest.approx(0.3, abs=0.01)
    assert np.allclose(drawn([of(0.5)], [of(0.5)]), 0)


@pytest.mark.parametrize(
    ("effects", "low", "high", "found"),
    [
        ([0.1, 0.2], 0.05, 0.3, "holds"),
        ([-0.1, -0.2], -0.3, -0.05, "reversed"),
        ([0.1, 0.2], -0.01, 0.3, "null"),
        ([-0.01, 0.3], 0.02, 0.3, "null"),  # the seeds disagree
    ],
)
def test_a_verdict_needs_an_interval_without_zero_and_seeds_that_agree(
    effects: list[float], low: float, high: float, found: str
) -> None:
    assert verdict(effects, low, high) == found
