"""The 468-point face mesh: two passes of MediaPipe's network over an upright square around the face.

Coordinates are pixels of the photo counted from its top left corner: the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.core import weights
from visavis.core.devices import litert
from visavis.core.types import Floats, Pixels

Network = Callable[[NDArray[Any]], list[NDArray[Any]]]
SIDE = 192
MARGIN = 1.45
UNSURE = 0.5  # presence under which a face is tried in other turns
# The mesh's square in sides of a detector's box (longer side; down along the face): alike for both detectors.
BOX_TO_SQUARE, BOX_TO_MIDDLE = 1.28, 0.05
# Outer eye corners, left in the picture first: they define upright and the eye distance.
OUTER = (33, 263)
LEFT_EYE = (33, 160, 159, 158, 133, 153, 145, 144)
RIGHT_EYE = (263, 387, 386, 385, 362, 380, 374, 373)
NOSE_TIP = 4
MOUTH = (61, 291)
# dlib's shape_predictor_5: the eye at the right of the picture (outer, inner), the left one (outer, inner), nose base.
DLIB_5 = (263, 362, 33, 133, 2)
# 300-W's 68 points as the middle of two vertices each, chosen on the train split of landmarks68.
# fmt: off
MAP_68 = (
    (
        127, 227, 137, 215, 172, 136, 149, 148, 152, 377, 378, 365, 397, 435, 366, 447, 356, 70, 63, 66, 66, 55, 285,
        296, 296, 293, 300, 168, 197, 5, 4, 240, 97, 2, 326, 460, 7, 159, 158, 155, 153, 144, 382, 385, 386, 249, 373,
        380, 61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91, 62, 38, 13, 268, 292, 317, 14, 87,
    ),
    (
        127, 227, 177, 215, 172, 136, 149, 176, 152, 400, 378, 365, 397, 435, 401, 447, 356, 70, 63, 105, 107, 107,
        336, 336, 334, 293, 300, 168, 197, 195, 4, 240, 97, 2, 326, 460, 33, 160, 158, 155, 153, 144, 382, 385, 387,
        263, 373, 380, 61, 74, 37, 0, 267, 304, 291, 405, 314, 17, 84, 181, 62, 38, 13, 268, 292, 317, 14, 87,
    ),
)
# fmt: on


class Found(Protocol):
    """What the mesh needs of a detection."""

    @property
    def box(self) -> NDArray[np.float64]: ...

    @property
    def points5(self) -> Floats: ...

    @property
    def turn(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Mesh:
    """points: float32 [468, 3] in photo pixels, z in the same unit, smaller is nearer; presence: 0..1, is it a face"""

    points: Floats
    presence: float


MeshLike: TypeAlias = Mesh | NDArray[Any]


@dataclass(frozen=True)
class Square:
    """An upright square on the photo: centre, side in pixels, angle in radians of its x axis (clockwise as seen)."""

    x: float
    y: float
    side: float
    angle: float


def fit_mesh(pixels: Pixels, detection: Found, *, passes: int = 2) -> Mesh:
    """The mesh of a detected face; the first pass is framed by the detection, each later one by the mesh before.

    Where that shows hardly a face, the detector may have taken it upside down: it is tried in all four turns.
    """
    network = litert(weights.path("face_mesh"))
    square = first_square(detection)
    mesh = _fit(network, pixels, square, passes)
    if mesh.presence >= UNSURE:
        return mesh
    turned = (replace(square, angle=_wrap(square.angle + turn * math.pi / 2)) for turn in (1, 2, 3))
    return max([mesh, *(_fit(network, pixels, each, passes) for each in turned)], key=lambda found: found.presence)


def _fit(network: Network, pixels: Pixels, square: Square, passes: int) -> Mesh:
    mesh = _run(network, pixels, square)
    for _ in range(passes - 1):
        mesh = _run(network, pixels, mesh_square(mesh.points, square.angle))
    return mesh


def first_square(detection: Found) -> Square:
    """The square of a detection: upright by its turn and the roll between its eyes."""
    x1, y1, x2, y2 = (float(v) for v in detection.box)
    turn = math.radians(detection.turn)
    eyes = np.asarray(detection.points5, np.float64)[1] - np.asarray(detection.points5, np.float64)[0]
    # After the turn a face is upright within 90 degrees, whichever eye the detector names first.
    roll = _wrap(math.atan2(eyes[1], eyes[0]) + turn)
    if abs(roll) > math.pi / 2:
        roll = _wrap(roll + math.pi)
    angle, side = _wrap(roll - turn), max(1.0, x2 - x1, y2 - y1)
    down = BOX_TO_MIDDLE * side
    x, y = (x1 + x2) / 2 - math.sin(angle) * down, (y1 + y2) / 2 + math.cos(angle) * down
    return Square(x, y, BOX_TO_SQUARE * side, angle)


def mesh_square(points: Floats, fallback_angle: float = 0.0, margin: float = MARGIN) -> Square:
    """An upright square (by the outer eye corners) around the mesh; the usual margin is what the network likes best."""
    flat = points[:, :2].astype(np.float64)
    eyes = flat[OUTER[1]] - flat[OUTER[0]]
    angle = math.atan2(eyes[1], eyes[0]) if np.hypot(*eyes) > 1e-3 else fallback_angle
    c, s = math.cos(angle), math.sin(angle)
    upright = flat @ np.array([[c, -s], [s, c]])
    low, high = upright.min(0), upright.max(0)
    middle = (low + high) / 2
    return Square(
        float(c * middle[0] - s * middle[1]),
        float(s * middle[0] + c * middle[1]),
        margin * max(1.0, float(max(high - low))),
        angle,
    )


def five_points(mesh: MeshLike) -> Floats:
    """float32 [5, 2] in the order of the ArcFace template: the eyes, left in the picture first, nose tip, mouth."""
    flat = points_of(mesh)[:, :2]
    eyes = [flat[list(eye)].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, flat[NOSE_TIP], flat[MOUTH[0]], flat[MOUTH[1]]]).astype(np.float32)


def dlib_points(mesh: MeshLike) -> Floats:
    """float32 [5, 2] in the order of dlib's shape_predictor_5, by which dlib's chip is cut."""
    return points_of(mesh)[list(DLIB_5), :2].astype(np.float32)


def to_68(mesh: MeshLike) -> Floats:
    """float32 [68, 2] in the order of 300-W. The outline (0 to 16) is the mesh's own: where 300-W follows the visible
    edge of a turned face, the mesh stays on the jaw."""
    flat = points_of(mesh)[:, :2]
    return ((flat[list(MAP_68[0])] + flat[list(MAP_68[1])]) / 2).astype(np.float32)


def points_of(mesh: MeshLike) -> Floats:
    return mesh.points if isinstance(mesh, Mesh) else np.asarray(mesh, np.float32)


def cut(pixels: Pixels, square: Square, side: int = SIDE) -> Pixels:
    """The square resampled to uint8 [side, side, 3]; what lies beyond the photo's border is replicated."""
    height, width = pixels.shape[:2]
    half = square.side / 2
    reach = half * (abs(math.cos(square.angle)) + abs(math.sin(square.angle)))
    # Big faces: every `stride`-th pixel, then means of `block` x `block` of those, so that 16 samples or more stay.
    shrink = max(1, int(square.side / side / 1.25))
    stride = max(1, shrink // 4)
    block = max(1, shrink // stride)
    factor = stride * block
    # Only the part inside the photo is touched: a few more pixels than needed for the interpolation.
    x1, x2 = _span(square.x, reach + 2 * factor, width)
    y1, y2 = _span(square.y, reach + 2 * factor, height)
    off_y, off_x = min(stride // 2, y2 - y1 - 1), min(stride // 2, x2 - x1 - 1)
    part = Image.fromarray(np.ascontiguousarray(pixels[y1 + off_y : y2 : stride, x1 + off_x : x2 : stride]))
    if block > 1:
        part = part.reduce(block)
    left = max(0, math.ceil((x1 - (square.x - reach)) / factor) + 2)
    top = max(0, math.ceil((y1 - (square.y - reach)) / factor) + 2)
    right = max(0, math.ceil((square.x + reach - x2) / factor) + 2)
    bottom = max(0, math.ceil((square.y + reach - y2) / factor) + 2)
    inner = np.asarray(part)
    if left or top or right or bottom:
        part = Image.fromarray(np.pad(inner, ((top, bottom), (left, right), (0, 0)), mode="edge"))
    step = square.side / side / factor
    c, s = math.cos(square.angle) * step, math.sin(square.angle) * step
    cx = (square.x - x1) / factor + left
    cy = (square.y - y1) / factor + top
    matrix = (c, -s, cx - (c - s) * side / 2, s, c, cy - (s + c) * side / 2)
    out = part.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(out)


def _run(network: Network, pixels: Pixels, square: Square) -> Mesh:
    crop = cut(pixels, square)
    outputs = network(crop[None].astype(np.float32) / np.float32(255))
    numbers, logit = sorted((np.ravel(o) for o in outputs), key=len, reverse=True)
    return Mesh(_to_photo(numbers.reshape(468, 3), square), _sigmoid(float(logit[0])))


def to_crop(points: NDArray[Any], square: Square, side: int = SIDE) -> NDArray[np.float64]:
    """Photo points [N, 2 or more] -> [N, 2] in the pixels of `cut`."""
    x, y = points[:, 0].astype(np.float64) - square.x, points[:, 1].astype(np.float64) - square.y
    c, s = math.cos(square.angle), math.sin(square.angle)
    scale = side / square.side
    return np.stack([(c * x + s * y) * scale, (c * y - s * x) * scale], 1) + side / 2


def _to_photo(points: NDArray[Any], square: Square) -> Floats:
    scale = square.side / SIDE
    x, y = (points[:, 0] - SIDE / 2) * scale, (points[:, 1] - SIDE / 2) * scale
    c, s = math.cos(square.angle), math.sin(square.angle)
    return np.stack([square.x + c * x - s * y, square.y + s * x + c * y, points[:, 2] * scale], 1).astype(np.float32)


def _span(middle: float, reach: float, size: int) -> tuple[int, int]:
    """The pixels of a line within reach; at least one, so that a square outside the photo has an edge to replicate."""
    first = min(max(0, math.floor(middle - reach)), size - 1)
    last = min(max(first + 1, math.ceil(middle + reach)), size)
    return first, last


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
