"""Vectors of people whom nobody has met: drawn as real ones are spread, and none nearer to a real one than a stranger's
photo may be.

Arc2Face (arXiv 2403.11641, section 4) makes new people without saying how their vectors are drawn; here from a Gaussian
on the principal components of the people who were learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Floats

SEEDS = 16_384  # people who can be drawn
TRIES = 20  # draws for each
NONE = 255


@dataclass(frozen=True, eq=False)
class Crowd:
    """mean: float32 [D]; axes: float32 [D, D], rows, each as long as the deviation along it; radius: float32 [R], how
    far some people lie from the mean; refused: uint8 [SEEDS], how many draws of each seed are passed over because they
    are too near to somebody who was learnt, 255 where all are. No vector of a real person is in it."""

    mean: Floats
    axes: Floats
    radius: Floats
    refused: NDArray[np.uint8]

    @staticmethod
    def of(learnt: Floats, others: Floats) -> Crowd:
        """From vectors [N, D] of the people who were learnt and [M, D] of others: nobody is drawn nearer to one of the
        first than 99 of 100 of the others are. Raises ValueError for fewer than two of each."""
        if len(learnt) < 2 or len(others) < 2:
            raise ValueError(f"{len(learnt)} people who were learnt and {len(others)} others are too few.")
        mean = learnt.mean(0).astype(np.float32)
        apart = (learnt - mean).astype(np.float64)
        _, sizes, directions = np.linalg.svd(apart, full_matrices=False)
        axes = (directions * sizes[:, None] / np.sqrt(len(learnt) - 1)).astype(np.float16).astype(np.float32)
        radius = np.percentile(np.linalg.norm(apart, axis=1), np.linspace(1, 99, 99)).astype(np.float32)
        crowd = Crowd(mean, axes, radius, np.zeros(SEEDS, np.uint8))
        nearest = np.percentile(_nearness(others, learnt), 99)
        draws = [crowd._draws(seed) for seed in range(SEEDS)]
        left = np.arange(SEEDS)
        for refused in range(1, TRIES + 1):
            left = left[_nearness(np.stack([next(draws[seed]) for seed in left]), learnt) > nearest]
            if not len(left):
                break
            crowd.refused[left] = refused
        crowd.refused[crowd.refused == TRIES] = NONE
        return crowd

    def person(self, seed: int) -> tuple[Floats, int]:
        """A new person's vector float32 [D] of unit length, which follows from the seed (0..SEEDS - 1) alone, and how
        many draws were refused. Raises ValueError for another seed, and where all draws were."""
        if not 0 <= seed < len(self.refused):
            raise ValueError(f"the last of its people has the seed {len(self.refused) - 1}")
        refused = int(self.refused[seed])
        if refused == NONE:
            raise ValueError(f"all of {TRIES} draws were too near to somebody who was learnt")
        vector = next(islice(self._draws(seed), refused, None))
        return np.asarray(vector / np.linalg.norm(vector), np.float32), refused

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """To be saved."""
        return {"mean": self.mean, "axes": self.axes.astype(np.float16), "radius": self.radius, "refused": self.refused}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> Crowd:
        """What `arrays` gave. Raises KeyError where one is missing."""
        mean, axes, radius = (arrays[name].astype(np.float32) for name in ("mean", "axes", "radius"))
        return Crowd(mean, axes, radius, arrays["refused"].astype(np.uint8))

    def _draws(self, seed: int) -> Iterator[Floats]:
        random = np.random.default_rng(seed)
        while True:
            off = random.standard_normal(len(self.axes)).astype(np.float32) @ self.axes
            off *= random.choice(self.radius) / np.linalg.norm(off)
            yield self.mean + off


def _nearness(vectors: Floats, known: Floats) -> Floats:
    """[N]: the largest cosine of each of vectors [N, D] to one of known [M, D]."""
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, known))
    parts = np.array_split(a, max(1, len(a) // 1024))
    return np.concatenate([(part @ b.T).max(1) for part in parts])
