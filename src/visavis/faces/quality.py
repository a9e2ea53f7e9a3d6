"""What limits a comparison of a face: size, sharpness, pose, light and covers, each as a number and a word.

Every threshold was fixed on FairFace train (bench/quality.py prints how often each word is said, by group).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Floats, Measure, Pixels, Pose, Quality
from visavis.faces.cover import Bands, bands, covered
from visavis.faces.geometry import DEPTH
from visavis.faces.mesh import LEFT_EYE, RIGHT_EYE
from visavis.faces.texture import COLUMNS, Texture, layout, texture

TINY, SMALL = 24.0, 40.0
TURNED, ASIDE = 40.0, 20.0
# Detail at the scale of the recogniser's crop against the next coarser one, and against the contrast of the face.
SOFTEST, SHARPEST = 0.53, 0.95
FLATTEST, RICHEST = 0.010, 0.085
BLURRED, SOFT = 0.33, 0.55
# Brightness range (0..255) of a face that is just too dark, share of texels burnt out, stops between the halves.
DIM, BURNT, LOPSIDED = 40.0, 0.3, 2.2
CUT = 0.1  # share of the face outside the photo
LIMIT = 0.5


def quality(pixels: Pixels, points: Floats, pose: Pose, presence: float) -> Quality:
    """Quality of the face with this mesh [468, 3]; presence: the mesh network's, 0..1."""
    face = texture(pixels, points)
    detail = bands(face)
    return Quality(
        size_px=_size(points),
        sharpness=_sharpness(face, detail),
        pose=_pose(pose),
        light=_light(face, detail, pixels.shape),
        covered=_covered(face, detail, pixels.shape, presence),
    )


def _size(points: Floats) -> Measure:
    eyes = points[list(RIGHT_EYE)].mean(0) - points[list(LEFT_EYE)].mean(0)
    # With depth, so that a turned head does not count as a small one.
    apart = float(np.linalg.norm(eyes * np.array([1.0, 1.0, DEPTH])))
    if apart < TINY:
        return Measure(apart, "tiny", False)
    return Measure(apart, "small", False) if apart < SMALL else Measure(apart, "large enough")


def _sharpness(face: Texture, detail: Bands) -> Measure:
    strength = [_rms(band) for band in (detail.middle, detail.coarse, detail.fine)]
    contrast = float(detail.gray.std())
    steep = (strength[0] / max(strength[1], 1e-3) - SOFTEST) / (SHARPEST - SOFTEST)
    # Noise has fine detail too, but less of it than edges have for the same contrast.
    rich = math.log(max(strength[2] / max(contrast, 1.0), 1e-6) / FLATTEST) / math.log(RICHEST / FLATTEST)
    value = float(np.clip(min(steep, rich), 0, 1))
    if value < BLURRED:
        return Measure(value, "blurred", False)
    return Measure(value, "a little soft" if value < SOFT else "sharp")


def _pose(pose: Pose) -> Measure:
    away = math.degrees(math.acos(math.cos(math.radians(pose.yaw)) * math.cos(math.radians(pose.pitch))))
    if away > TURNED:
        word = "turned away"
        if abs(pose.pitch) > abs(pose.yaw):
            word = "looks far up" if pose.pitch > 0 else "looks far down"
        return Measure(away, word, False)
    return Measure(away, "turned a little" if away > ASIDE else "frontal")


def _light(face: Texture, detail: Bands, shape: tuple[int, ...]) -> Measure:
    inside = _inside(face, shape)
    if not inside.any():
        return Measure(0.0, "outside the photo", False)
    ranked = np.sort(detail.gray[inside])
    low, middle, high = (float(ranked[int(share * (len(ranked) - 1))]) for share in (0.05, 0.5, 0.98))
    # The range and not the brightness: a dark skin in good light has its highlights, a dim photo has none.
    reach = min(1.0, (high - low) / (2 * DIM))
    burnt = max(0.0, 1 - float((face.colours[inside].max(1) >= 253).mean()) / (2 * BURNT))
    even = max(0.0, 1 - _stops(detail.gray, inside) / (2 * LOPSIDED))
    value, word = min(
        (reach, "too dark" if middle < 128 else "washed out"), (burnt, "overexposed"), (even, "light from one side")
    )
    return Measure(value, word, False) if value < LIMIT else Measure(value, "well lit")


def _stops(gray: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """By how many stops one half of the face is brighter: the median over pairs of mirrored texels."""
    left, right = _pairs()
    seen = inside[left] & inside[right]
    if seen.sum() < 20:
        return 0.0
    light = np.log2((gray / 255) ** 2.2 + 0.002)
    return abs(float(np.median(light[left[seen]] - light[right[seen]])))


def _covered(face: Texture, detail: Bands, shape: tuple[int, ...], presence: float) -> Measure:
    lower, eyes = covered(face, detail)
    outside = 1 - float(_inside(face, shape).mean())
    value, word = max(
        (lower, "lower half covered"),
        (eyes, "eyes covered"),
        (min(1.0, outside * LIMIT / CUT), "cut off by the border"),
        (1 - presence, "hardly visible"),
    )
    return Measure(value, word, False) if value > LIMIT else Measure(value, "not covered")


def _inside(face: Texture, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    x, y = face.on_photo.T
    return np.asarray((x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0]))


@cache
def _pairs() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Texels of the left half and their mirror images; the middle of the face says nothing."""
    cell = layout().cell
    row, column = cell // COLUMNS, cell % COLUMNS
    number = {int(c): i for i, c in enumerate(cell)}
    twin = np.array([number.get(int(r * COLUMNS + COLUMNS - 1 - c), -1) for r, c in zip(row, column, strict=True)])
    left = np.flatnonzero((column < COLUMNS / 2 - 2) & (twin >= 0))
    return left, twin[left]


def _rms(values: NDArray[np.float32]) -> float:
    return math.sqrt(float((values**2).mean()))
