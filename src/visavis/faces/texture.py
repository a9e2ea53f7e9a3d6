"""A face's pixels in a fixed layout: the same texel is the same spot of the face, however the head is turned.

The layout is a grid over the mean face seen from the front; the mesh says where on the photo each texel lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Pixels
from visavis.faces.geometry import Geometry, Points, geometry
from visavis.faces.mesh import cut, mesh_square, to_crop

ROWS, COLUMNS = 30, 26
MARGIN = 1.15
SIDE, SMALLEST = 96, 24


@dataclass(frozen=True, eq=False)
class Layout:
    """Texels inside the mean face.

    at:       float64 [T, 2], x and y on the mean face (eye centres 1 apart, origin between them)
    cell:     int [T], row * COLUMNS + column of the grid
    corners:  int [T, 3], vertices of the triangle that holds the texel; shares: float64 [T, 3], barycentric
    """

    at: Points
    cell: NDArray[np.int64]
    corners: NDArray[np.int64]
    shares: Points


@dataclass(frozen=True, eq=False)
class Texture:
    """A face's pixels by texel.

    crop:     uint8 [S, S, 3], the upright face, never enlarged
    index:    int [T], the crop's pixel under each texel, counted row by row; on_photo: float64 [T, 2]
    colours:  float32 [T, 3]
    """

    crop: Pixels
    index: NDArray[np.int64]
    on_photo: Points
    colours: NDArray[np.float32]


def layout() -> Layout:
    return _layout(geometry())


def texture(pixels: Pixels, points: NDArray[np.floating]) -> Texture:
    """The texels of a face; faces larger than SIDE pixels are shrunk to it, smaller ones stay as they are."""
    grid = layout()
    square = mesh_square(points.astype(np.float32), margin=MARGIN)
    side = int(min(SIDE, max(SMALLEST, round(square.side))))
    crop = cut(pixels, square, side)
    on_photo = (grid.shares[..., None] * points[grid.corners, :2]).sum(1)
    where = np.clip(to_crop(on_photo, square, side).astype(np.int64), 0, side - 1)
    index = where[:, 1] * side + where[:, 0]
    return Texture(crop, index, on_photo, crop.reshape(-1, 3)[index].astype(np.float32))


@cache
def _layout(face: Geometry) -> Layout:
    v = face.vertices
    low, high = v[:, :2].min(0), v[:, :2].max(0)
    x = low[0] + (np.arange(COLUMNS) + 0.5) * (high[0] - low[0]) / COLUMNS
    y = low[1] + (np.arange(ROWS) + 0.5) * (high[1] - low[1]) / ROWS
    at = np.stack([np.tile(x, ROWS), np.repeat(y, COLUMNS)], 1)
    a, b, c = (v[face.triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(np.abs(area) < 1e-9, np.inf, area)
    second = _cross(at, a, c) / -area
    third = _cross(at, a, b) / area
    shares = np.stack([1 - second - third, second, third], 2)
    depth = (shares * np.stack([a[:, 2], b[:, 2], c[:, 2]], 1)).sum(2)
    # Where several triangles lie behind one another, the nearest is what the camera sees.
    depth = np.where((shares >= -1e-9).all(2), depth, np.inf)
    best = depth.argmin(1)
    texel = np.flatnonzero(np.isfinite(depth[np.arange(len(at)), best]))
    return Layout(at[texel], texel, face.triangles[best[texel]], shares[texel, best[texel]])


def _cross(at: Points, a: Points, b: Points) -> Points:
    """Twice the signed area of (a, b, at) for every point and triangle: float64 [T, M]."""
    side = b - a
    away = at[:, None] - a[None, :, :2]
    found: Points = side[:, 0] * away[..., 1] - side[:, 1] * away[..., 0]
    return found
