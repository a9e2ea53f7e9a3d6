"""From counted pairs to the curve that is stated: the worst source, the worst group, and a tail that only limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.strangers import Pairs
from visavis.faces.score import FLOOR

SMALLEST = 1e-5
# A rate is stated only where at least this many stranger pairs lie beyond it.
BEYOND = 10
TAIL_FROM = 10  # times the smallest measured rate: the stretch whose slope is extrapolated
FEW_PEOPLE = 1e-3 * (1 - 1e-9)
PER_DECADE = 10


@dataclass(frozen=True, eq=False)
class Curve:
    """score float64 [P] rising, rate and worst float64 [P] falling; measured: the smallest rate that was counted."""

    score: NDArray[np.float64]
    rate: NDArray[np.float64]
    worst: NDArray[np.float64]
    measured: float

    def row(self) -> dict[str, Any]:
        """As `Rates.of` reads it."""
        return {
            "score": [round(float(s), 4) for s in self.score],
            "rate": [float(f"{r:.4g}") for r in self.rate],
            "worst": [float(f"{r:.4g}") for r in self.worst],
            "measured": float(f"{self.measured:.4g}"),
        }

    def score_at(self, rate: float) -> float:
        """The score at which this rate is stated."""
        return float(np.interp(-np.log(rate), -np.log(self.rate), self.score))


def curve_of(
    sources: Sequence[Pairs], groups: Sequence[Pairs], *, smallest: float, seed: int, few: Sequence[Pairs] = ()
) -> Curve:
    """The curve of the worst source down to `smallest` (or where a source has fewer than BEYOND pairs beyond), then,
    for the table that goes further (SMALLEST), the upper limit of an exponential tail down to FLOOR.

    few: sources with so few people that they only count above FEW_PEOPLE.
    """
    measured = max([smallest, *(BEYOND / source.total for source in sources)])
    rates = np.append(10 ** -np.arange(1 / PER_DECADE, -np.log10(measured), 1 / PER_DECADE), measured)
    score = np.array(
        [max(s.threshold(rate) for s in (*sources, *(few if rate >= FEW_PEOPLE else ()))) for rate in rates]
    )
    score = np.maximum.accumulate(score)
    score, kept = np.unique(score, return_index=True)
    rates = rates[kept]
    if smallest > SMALLEST:
        return Curve(score, rates, _worst(groups, score, None), measured)
    slope, level = _tail(sources, score, rates, seed)
    steps = np.arange(1, 10 * PER_DECADE) * (score[-1] - score[-2])
    further = np.minimum(rates[-1], level * np.exp(slope * steps))
    ends = int(np.argmax(further <= FLOOR)) + 1
    rates = np.append(rates, np.maximum(further[:ends], FLOOR))
    score = np.append(score, score[-1] + steps[:ends])
    return Curve(score, rates, np.maximum(_worst(groups, score, slope), rates), measured)


def _tail(
    sources: Sequence[Pairs], score: NDArray[np.float64], rates: NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """Slope of the logarithm of the rate by score, and the level at the last score: of both the upper ends of the 95 %
    interval over redrawn faces. The logarithm falls ever faster, so a straight line is an upper limit."""
    ends = np.array([np.interp(-np.log(TAIL_FROM * rates[-1]), -np.log(rates), score), score[-1]])
    slopes, levels = [], []
    for source in sources:
        drawn = source.bootstrap(ends, seed=seed)
        drawn = np.maximum(drawn, 1 / source.total)
        slopes.append(np.percentile(np.log(drawn[:, 1] / drawn[:, 0]) / (ends[1] - ends[0]), 97.5))
        levels.append(np.percentile(drawn[:, 1], 97.5))
    return float(max(slopes)), float(max(levels))


def _worst(groups: Sequence[Pairs], score: NDArray[np.float64], slope: float | None) -> NDArray[np.float64]:
    """The highest rate of any group at each score; where a group has too few pairs beyond, its last counted rate, or
    with a slope the tail from there."""
    worst = np.zeros(len(score))
    for group in groups:
        rate = np.asarray(group.rate(score))
        counted = rate * group.total >= BEYOND
        last = int(np.flatnonzero(counted)[-1])
        beyond = np.full(len(score) - last, rate[last])
        if slope is not None:
            beyond = beyond * np.exp(slope * (score[last:] - score[last]))
        rate = np.append(rate[:last], beyond)
        worst = np.maximum(worst, rate)
    return np.minimum.accumulate(worst)
