"""Vectors of people whom nobody has met: drawn as real ones are spread, and none nearer to a real one than a stranger's
photo may be.

Arc2Face (arXiv 2403.11641, section 4) makes new people without saying how their vectors are drawn; here from a Gaussian
on the principal components of the people who were learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Floats

BYTES = 127  # a known vector's numbers are kept in whole steps of its largest
TRIES = 1000


@dataclass(frozen=True, eq=False)
class Crowd:
    """mean: float32 [D]; axes: float32 [D, D], rows, each as long as the deviation along it; radius: float32 [R], how
    far some people lie from the mean; known: int8 [N, D], directions of the people who were learnt; nearest: the cosine
    to one of them that 99 of 100 people who were not learnt stay below."""

    mean: Floats
    axes: Floats
    radius: Floats
    known: NDArray[np.int8]
    nearest: float

    @staticmethod
    def of(learnt: Floats, others: Floats) -> Crowd:
        """From vectors [N, D] of the people who were learnt and [M, D] of others. Raises ValueError for fewer than two
        of each."""
        if len(learnt) < 2 or len(others) < 2:
            raise ValueError(f"{len(learnt)} people who were learnt and {len(others)} others are too few.")
        mean = learnt.mean(0)
        apart = (learnt - mean).astype(np.float64)
        _, sizes, axes = np.linalg.svd(apart, full_matrices=False)
        spread = (axes * sizes[:, None] / np.sqrt(len(learnt) - 1)).astype(np.float32)
        lengths = np.linalg.norm(apart, axis=1)
        radius = np.percentile(lengths, np.linspace(1, 99, 99)).astype(np.float32)
        known = _bytes(learnt)
        near = [float(_cosines(known, other[None]).max()) for other in others]
        return Crowd(mean.astype(np.float32), spread, radius, known, float(np.percentile(near, 99)))

    def person(self, seed: int) -> tuple[Floats, int]:
        """A new person's vector float32 [D] of unit length, which follows from the seed alone, and how many draws were
        refused because they were too near to somebody who was learnt."""
        random = np.random.default_rng(seed)
        for refused in range(TRIES):
            off = random.standard_normal(len(self.axes)).astype(np.float32) @ self.axes
            off *= random.choice(self.radius) / np.linalg.norm(off)
            vector = self.mean + off
            if float(_cosines(self.known, vector[None]).max()) <= self.nearest:
                return np.asarray(vector / np.linalg.norm(vector), np.float32), refused
        raise ValueError(f"All of {TRIES} draws were too near to somebody who was learnt.")

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """To be saved."""
        return {
            "mean": self.mean,
            "axes": self.axes.astype(np.float16),
            "radius": self.radius,
            "known": self.known,
            "nearest": np.array([self.nearest], np.float32),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> Crowd:
        """What `arrays` gave. Raises KeyError where one is missing."""
        mean, axes, radius = (arrays[name].astype(np.float32) for name in ("mean", "axes", "radius"))
        return Crowd(
            mean, axes, radius, arrays["known"].astype(np.int8), float(arrays["nearest"].astype(np.float32)[0])
        )


def _bytes(vectors: Floats) -> NDArray[np.int8]:
    return np.asarray(np.rint(vectors * (BYTES / np.abs(vectors).max(1, keepdims=True))), np.int8)


def _cosines(known: NDArray[np.int8], vectors: Floats) -> NDArray[np.float32]:
    """float32 [N, M]."""
    a = known.astype(np.float32)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(a @ b.T, np.float32)
