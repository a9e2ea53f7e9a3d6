"""Is a part of the face covered? A small network of ours (weight `face_cover`) over the face's texture.

It learned from painted masks, hands, scarves, bars and dark glasses on FairFace train faces (bench/cover.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.faces.geometry import Points
from visavis.faces.texture import COLUMNS, Texture, layout

POOL = 3
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
PARTS = ("lower", "eyes")


@dataclass(frozen=True, eq=False)
class CoverNet:
    """features [F] -> hidden [H] (rectified) -> one logit for each of PARTS"""

    mean: Points
    scale: Points
    first: Points
    first_bias: Points
    second: Points
    second_bias: Points

    def __call__(self, features: Points) -> Points:
        """float64 [..., F] -> [..., 2] probabilities that the lower half and the eyes are covered."""
        hidden = np.maximum(_product((features - self.mean) * self.scale, self.first) + self.first_bias, 0)
        shares: Points = 1 / (1 + np.exp(-(_product(hidden, self.second) + self.second_bias)))
        return shares


def covered(face: Texture, bands: Bands) -> tuple[float, float]:
    """(lower half, eyes), each the probability 0..1 that it is covered."""
    lower, eyes = network()(features(face, bands))
    return float(lower), float(eyes)


@dataclass(frozen=True, eq=False)
class Bands:
    """Brightness at the texels, and what blurring the crop once, thrice and seven times takes away; float32 [T]."""

    gray: NDArray[np.float32]
    fine: NDArray[np.float32]
    middle: NDArray[np.float32]
    coarse: NDArray[np.float32]


def bands(face: Texture) -> Bands:
    gray = _product(face.crop.astype(np.float32), LUMA[:, None])[..., 0]
    levels = [gray]
    for times in (1, 2, 4):
        levels.append(_blurred(levels[-1], times))
    none, once, thrice, seven = (level.ravel()[face.index] for level in levels)
    return Bands(none, none - once, once - thrice, thrice - seven)


def features(face: Texture, bands: Bands) -> Points:
    """float64 [F]: brightness, two colours and detail of a coarse grid over the face, relative to the whole face."""
    total = face.colours.sum(1) + 30
    light = np.log(bands.gray + 8)
    columns = np.stack([light, 8 * face.colours[:, 0] / total, 8 * face.colours[:, 2] / total], 1)
    contrast = float(bands.gray.std()) + 4
    columns = np.column_stack([columns - np.median(columns, 0), np.abs(bands.middle) / contrast]).astype(np.float64)
    return np.concatenate([_pooled(columns).ravel(), [light.std(), np.log(contrast)]])


@cache
def network() -> CoverNet:
    from safetensors.numpy import load_file

    found = load_file(weights.path("face_cover"))
    return CoverNet(**{name: array.astype(np.float64) for name, array in found.items()})


def _product(values: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """values @ matrix on this thread alone: BLAS starts threads of its own for it, and photos looked at side by side
    then wait for one another longer than the product takes."""
    return np.asarray(np.einsum("...i,ij->...j", values, matrix))


def _pooled(columns: Points) -> Points:
    """float64 [T, C] -> [cells, C]: means of POOL x POOL texels."""
    index, size = _cells()
    sums = np.stack([np.bincount(index, column) for column in columns.T], 1)
    return np.asarray((sums / size[:, None])[size >= 3])


@cache
def _cells() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(each texel's POOL x POOL cell, texels of each cell)"""
    cell = layout().cell
    coarse = cell // COLUMNS // POOL * -(-COLUMNS // POOL) + cell % COLUMNS // POOL
    _, index, size = np.unique(coarse, return_inverse=True, return_counts=True)
    return index, size


def _blurred(values: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """The binomial mean of three neighbours along both axes, `times` over; borders are replicated."""
    for _ in range(times):
        for _ in range(2):
            wide = np.concatenate([values[:1], values, values[-1:]])
            values = (0.25 * (wide[:-2] + wide[2:]) + 0.5 * values).T
    return values
