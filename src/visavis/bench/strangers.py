"""Counting stranger pairs: tens of millions of scores as a histogram, the highest of them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Floats
from visavis.faces.score import scores

LOW, STEP, BINS = -30.0, 0.01, 12_000
CHUNK = 512
# Share of pairs kept one by one (all of a small set): as many as the rates that are bootstrapped need.
KEPT, SMALL = 2e-2, 2_000_000


@dataclass(frozen=True, eq=False)
class Group:
    """Faces to be paired: vectors float32 [N, L], cohort statistics float32 [N, 2], units [N]: what a bootstrap draws
    (people, or single photos)."""

    vectors: Floats
    statistics: Floats
    units: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_]) -> Group:
        return Group(self.vectors[rows], self.statistics[rows], self.units[rows])

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of strangers within one group, or between two.

    above: float64 [BINS], pairs in each bin or a higher one; score, a, b: the highest pairs, one by one
    """

    name: str
    total: int
    above: NDArray[np.float64]
    score: NDArray[np.float32]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    units_a: NDArray[np.int64]
    units_b: NDArray[np.int64] | None

    def rate(self, score: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Share of pairs that score at least this high (to the bin)."""
        index = np.clip(np.floor((np.asarray(score) - LOW) / STEP).astype(int), 0, BINS - 1)
        return np.asarray(self.above[index] / self.total)

    def threshold(self, rate: float) -> float:
        """The lowest score that at most this share of pairs reaches; to the bin, rounded up."""
        return LOW + STEP * int(np.argmax(self.above <= rate * self.total))

    def bootstrap(self, thresholds: NDArray[np.float64], *, seed: int, draws: int = 200) -> NDArray[np.float64]:
        """[draws, T]: rates at thresholds (all in the kept top) with units drawn anew."""
        random = np.random.default_rng(seed)
        out = np.zeros((draws, len(thresholds)))
        for row in out:
            wa = _weights(random, self.units_a)
            wb = wa if self.units_b is None else _weights(random, self.units_b)
            pair = wa[self.a] * wb[self.b]
            squares = wa.sum() ** 2 - (wa**2).sum()
            total = squares / 2 if self.units_b is None else wa.sum() * wb.sum()
            for k, threshold in enumerate(thresholds):
                row[k] = pair[self.score >= threshold].sum() / total
        return out


def pair_up(name: str, a: Group, b: Group | None = None, *, other_people: bool = False) -> Pairs:
    """Every pair of `a` with itself, or with `b` where it is given; other_people: only pairs of different units."""
    counts = np.zeros(BINS, np.int64)
    for _, _, block in _blocks(a, b, other_people):
        index = np.clip(((block - LOW) / STEP).astype(np.int64), 0, BINS - 1)
        counts += np.bincount(index, minlength=BINS)
    above = np.cumsum(counts[::-1])[::-1].astype(np.float64)
    total = int(counts.sum())
    floor = LOW if total < SMALL else LOW + STEP * int(np.argmax(above <= KEPT * total))
    top: list[tuple[Floats, NDArray[np.int64], NDArray[np.int64]]] = []
    for rows, columns, block in _blocks(a, b, other_people):
        high = block >= floor
        top.append((block[high], rows[high], columns[high]))
    score, index_a, index_b = (np.concatenate(part) for part in zip(*top, strict=True))
    return Pairs(name, total, above, score, index_a, index_b, a.units, None if b is None else b.units)


def _blocks(
    a: Group, b: Group | None, other_people: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    other = a if b is None else b
    for start in range(0, len(a), CHUNK):
        part = a.vectors[start : start + CHUNK]
        # Within one group each pair is counted once: only columns behind the row.
        first = start if b is None else 0
        block = scores(part, other.vectors[first:], a.statistics[start : start + CHUNK], other.statistics[first:])
        rows, columns = np.meshgrid(np.arange(block.shape[0]), np.arange(block.shape[1]), indexing="ij")
        keep = columns > rows if b is None else np.ones(block.shape, bool)
        if other_people:
            keep &= a.units[start : start + CHUNK][:, None] != other.units[first:][None, :]
        yield (rows[keep] + start), (columns[keep] + first), block[keep]


def _weights(random: np.random.Generator, units: NDArray[np.int64]) -> NDArray[np.float64]:
    count = int(units.max()) + 1
    drawn = random.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
    weights: NDArray[np.float64] = drawn[units]
    return weights


def interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of redrawn values."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
