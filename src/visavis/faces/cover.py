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
from visavis.faces.texture import COLUMNS, Texture, layout, nearest

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
    """The brightness of the crop and what is lost by blurring it once, thrice, seven times; float32 [S, S]."""

    gray: NDArray[np.float32]
    fine: NDArray[np.float32]
    middle: NDArray[np.float32]
    coarse: NDArray[np.float32]


def bands(face: Texture) -> Bands:
    gray = face.crop.astype(np.float32) @ LUMA
    once = _blur(gray)
    thrice = _blur(_blur(once))
    seven = _blur(_blur(_blur(_blur(thrice))))
    return Bands(gray, gray - once, once - thrice, thrice - seven)


def features(face: Texture, bands: Bands) -> Points:
    """float64 [F]: brightness, two colours and detail of a coarse grid over the face, relative to the whole face."""
    luma = nearest(bands.gray, face.where).astype(np.float64)
    total = face.colours.sum(1) + 30.0
    red, blue = face.colours[:, 0] / total, face.colours[:, 2] / total
    detail = np.abs(nearest(bands.middle, face.where)).astype(np.float64)
    light = np.log(luma + 8)
    columns = [
        light - np.median(light),
        8 * (red - np.median(red)),
        8 * (blue - np.median(blue)),
        detail / (luma.std() + 4),
    ]
    pooled = _pooling() @ np.stack(columns, 1)
    return np.concatenate([pooled.ravel(), [light.std(), np.log(luma.std() + 4)]])


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


def _blur(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The binomial mean over 3 x 3 pixels, borders replicated."""
    wide = np.pad(image, 1, mode="edge")
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    blurred: NDArray[np.float32] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return blurred
