"""Templates: where a face's points lie in a square crop, and the exact way there and back.

Coordinates count from the top left corner of a picture, in photos and crops alike: the first pixel's centre is
(0.5, 0.5). The ArcFace and dlib constants are published for centres at whole numbers and are moved by half a pixel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.core.errors import InputError
from visavis.core.types import Affine, Crop, Pixels, Template
from visavis.faces.mesh import five_points, to_68

SIZES: dict[Template, int] = {"recognise": 112, "portrait": 128, "dlib": 150}
EYE_DISTANCE, EYE_CENTRE = 46.0, (64.0, 36.0)

ARCFACE: NDArray[np.float64] = 0.5 + np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# dlib's padding and mean faces, from get_face_chip_details (Boost Software License). By five points: the eye at the
# right of the picture (outer, inner), the left one, nose base. By 300-W's 68 it takes nose, eyes and upper lip;
# measured on other people, a chip cut by these misses an eighth fewer same-person pairs than one cut by the five.
DLIB_PADDING = 0.25
DLIB_FIVE: NDArray[np.float64] = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
# fmt: off
DLIB_MANY: NDArray[np.float64] = np.array([
    [0.490127, 0.203352], [0.490127, 0.307009], [0.490127, 0.409805], [0.490127, 0.515625], [0.36688, 0.587326],
    [0.426036, 0.609345], [0.490127, 0.628106], [0.554217, 0.609345], [0.613373, 0.587326], [0.121737, 0.216423],
    [0.187122, 0.178758], [0.265825, 0.179852], [0.334606, 0.231733], [0.260918, 0.245099], [0.182743, 0.244077],
    [0.645647, 0.231733], [0.714428, 0.179852], [0.793132, 0.178758], [0.858516, 0.216423], [0.79751, 0.244077],
    [0.719335, 0.245099], [0.254149, 0.780233], [0.340985, 0.745405], [0.428858, 0.727388], [0.490127, 0.742578],
    [0.551395, 0.727388], [0.639268, 0.745405], [0.726104, 0.780233], [0.290379, 0.784792], [0.428096, 0.778746],
    [0.490127, 0.785343], [0.552157, 0.778746], [0.689874, 0.784792],
])
# fmt: on
USED_OF_68 = [*range(27, 55), *range(60, 65)]


def to_template(points: NDArray[Any], template: Template) -> Affine:
    """float64 [2, 3], photo pixels -> crop pixels.

    points: a mesh [468, 2 or 3], or the five points [5, 2] of the template: `dlib` takes dlib's (eye corners, nose
    base), the others ArcFace's (eyes, nose tip, mouth corners).
    """
    five = len(points) == len(ARCFACE)
    if template == "dlib":
        chosen = points if five else to_68(points)[USED_OF_68]
        return _dlib_chip(np.asarray(chosen, np.float64)[:, :2], DLIB_FIVE if five else DLIB_MANY)
    chosen = points if five else five_points(points)
    recognise = similarity(np.asarray(chosen, np.float64)[:, :2], ARCFACE)
    return recognise if template == "recognise" else compose(_PORTRAIT, recognise)


def between(points: NDArray[Any], a: Template, b: Template) -> Affine:
    """float64 [2, 3], pixels of the crop `a` of a face -> pixels of its crop `b`; points: its mesh."""
    return compose(to_template(points, b), invert(to_template(points, a)))


def mirrored(affine: Affine, a: Template, b: Template) -> Affine:
    """Of `between(points, a, b)`: from the crop's mirror image to the mirror image of the other crop."""
    turned = [np.array([[-1.0, 0, SIZES[template]], [0, 1, 0]]) for template in (a, b)]
    return compose(turned[1], compose(affine, turned[0]))


def between_templates(template: Template) -> Affine:
    """float64 [2, 3], pixels of a crop to `recognise` or `portrait` -> pixels of `recognise`: alike for all faces."""
    if template == "dlib":
        raise ValueError("dlib's chip is cut by other points: its way to the others differs from face to face")
    return invert(_PORTRAIT) if template == "portrait" else np.eye(2, 3)


def crop(pixels: Pixels, points: NDArray[Any], template: Template) -> Crop:
    """The face with this mesh (or these five points) cut to a template; what lies beyond the photo is replicated."""
    to_crop = to_template(points, template)
    return Crop(warp(pixels, to_crop, SIZES[template]), to_crop, invert(to_crop))


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> Affine:
    """The rotation, scale and shift (never a reflection) with the least squared error from source [N, 2] to target.

    Umeyama's formulas as in dlib's find_similarity_transform; InputError where points coincide.
    """
    mean_source, mean_target = source.mean(0), target.mean(0)
    spread = ((source - mean_source) ** 2).sum() / len(source)
    if not (spread > 1e-12 and ((target - mean_target) ** 2).sum() > 1e-12):  # also where one is not a number
        raise InputError("The face's points coincide or are not numbers: it cannot be aligned.")
    u, d, vt = np.linalg.svd((target - mean_target).T @ (source - mean_source) / len(source))
    sign = np.array([1.0, 1.0 if np.linalg.det(u @ vt) > 0 else -1.0])
    turn = (u * sign) @ vt * ((d * sign).sum() / spread)
    return np.column_stack([turn, mean_target - turn @ mean_source])


def compose(second: Affine, first: Affine) -> Affine:
    """The affine that does `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def invert(affine: Affine) -> Affine:
    """The exact way back."""
    back = np.linalg.inv(affine[:, :2])
    return np.column_stack([back, -back @ affine[:, 2]])


def apply(affine: Affine, points: NDArray[Any]) -> NDArray[np.float64]:
    """Points [N, 2] through an affine."""
    return np.asarray(points, np.float64) @ affine[:, :2].T + affine[:, 2]


def warp(pixels: Pixels, to_crop: Affine, size: int) -> Pixels:
    """uint8 [size, size, 3]: the photo seen through an affine, averaged where it shrinks; borders are replicated."""
    to_photo = invert(to_crop)
    factor = max(1, int(math.sqrt(abs(np.linalg.det(to_photo[:, :2])))))
    corners = apply(to_photo, np.array([[0, 0], [size, 0], [0, size], [size, size]]))
    # Two averaged pixels more than the corners span, for the interpolation.
    low, high = corners.min(0) - 2 * factor, corners.max(0) + 2 * factor
    # A crop wholly beside the photo sees only its edge, and sees the same from nearby.
    away = np.maximum(low - pixels.shape[1::-1], 0) + np.minimum(high, 0)
    low, high, to_photo = low - away, high - away, to_photo - np.column_stack([np.zeros((2, 2)), away])
    (x1, x2), (y1, y2) = (_span(low[i], high[i], pixels.shape[1 - i]) for i in (0, 1))
    part = Image.fromarray(np.ascontiguousarray(pixels[y1:y2, x1:x2]))
    if factor > 1:
        part = part.reduce(factor)
    left, top = (max(0, math.ceil((edge - first) / factor)) for edge, first in ((x1, low[0]), (y1, low[1])))
    right, bottom = (max(0, math.ceil((last - edge) / factor)) for edge, last in ((x2, high[0]), (y2, high[1])))
    if left or top or right or bottom:
        wide = np.pad(np.asarray(part), ((top, bottom), (left, right), (0, 0)), mode="edge")
        part = Image.fromarray(wide)
    to_part = np.array([[1 / factor, 0, left - x1 / factor], [0, 1 / factor, top - y1 / factor]])
    matrix = tuple(compose(to_part, to_photo).ravel())
    return np.asarray(part.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _dlib_chip(points: NDArray[np.float64], mean: NDArray[np.float64]) -> Affine:
    """dlib's chip_details and extract_image_chips: one pixel of the chip is (150 s - 1) / 149 of the photo, not s."""
    size = SIZES["dlib"]
    fit = similarity((DLIB_PADDING + mean) / (2 * DLIB_PADDING + 1) * size, points - 0.5)
    scale = float(np.hypot(*fit[:, 0]))
    if size * scale < 2:
        raise InputError("The face is smaller than two pixels: it cannot be aligned.")
    linear = fit[:, :2] * ((size * scale - 1) / (size - 1) / scale)
    middle = np.array([size / 2, size / 2])
    return invert(np.column_stack([linear, apply(fit, middle[None])[0] + 0.5 - linear @ middle]))


def _portrait_of_recognise() -> Affine:
    scale = EYE_DISTANCE / float(np.hypot(*(ARCFACE[1] - ARCFACE[0])))
    shift = np.array(EYE_CENTRE) - scale * ARCFACE[:2].mean(0)
    return np.column_stack([scale * np.eye(2), shift])


_PORTRAIT = _portrait_of_recognise()


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """The pixels of a line within two bounds; at least one, so that a crop outside the photo has an edge to show."""
    first = min(max(0, math.floor(low)), size - 1)
    return first, min(max(first + 1, math.ceil(high)), size)
