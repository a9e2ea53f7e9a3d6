"""Is a part of the face covered? A small network of ours (weight `face_cover`) over the face's texture.

It learned from painted masks, hands, scarves, bars and dark glasses on FairFace train faces (bench/cover.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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
        hidden = np.maximum(((features - self.mean) * self.scale) @ self.first + self.first_bias, 0)
        shares: Points = 1 / (1 + np.exp(-(hidden @ self.second + self.second_bias)))
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
    gray = face.crop.astype(np.float32) @ LUMA
    levels = [gray, *(blur @ gray @ blur.T for blur in (_blur(len(gray), times) for times in (1, 3, 7)))]
    none, once, thrice, seven = (level.ravel()[face.index] for level in levels)
    return Bands(none, none - once, once - thrice, thrice - seven)


def features(face: Texture, bands: Bands) -> Points:
    """float64 [F]: brightness, two colours and detail of a coarse grid over the face, relative to the whole face."""
    total = face.colours.sum(1) + 30
    light = np.log(bands.gray + 8)
    columns = np.stack([light, 8 * face.colours[:, 0] / total, 8 * face.colours[:, 2] / total], 1)
    contrast = float(bands.gray.std()) + 4
    columns = np.column_stack([columns - np.median(columns, 0), np.abs(bands.middle) / contrast]).astype(np.float64)
    return np.concatenate([(_pooling() @ columns).ravel(), [light.std(), np.log(contrast)]])


@cache
def network() -> CoverNet:
    from safetensors.numpy import load_file

    found = load_file(weights.path("face_cover"))
    return CoverNet(**{name: array.astype(np.float64) for name, array in found.items()})


@cache
def _pooling() -> Points:
    """float64 [cells, T]: means of POOL x POOL texels."""
    cell = layout().cell
    coarse = cell // COLUMNS // POOL * -(-COLUMNS // POOL) + cell % COLUMNS // POOL
    kept, index, size = np.unique(coarse, return_inverse=True, return_counts=True)
    matrix = np.zeros((len(kept), len(cell)))
    matrix[index, np.arange(len(cell))] = 1 / size[index]
    return np.asarray(matrix[size >= 3], np.float64)


@cache
def _blur(side: int, times: int) -> NDArray[np.float32]:
    """float32 [side, side]: the binomial mean of three neighbours, borders replicated, as a matrix; `times` over."""
    once = np.zeros((side, side))
    for shift, share in ((-1, 0.25), (0, 0.5), (1, 0.25)):
        np.add.at(once, (np.arange(side), np.clip(np.arange(side) + shift, 0, side - 1)), share)
    return np.linalg.matrix_power(once, times).astype(np.float32)
