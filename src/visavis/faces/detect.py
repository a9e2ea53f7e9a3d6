"""Where the faces are: one of two networks over several sizes of the photo, and turned where nobody stands upright."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.core.errors import InputError
from visavis.core.types import Floats, Pixels, Turn
from visavis.faces import centerface, yunet
from visavis.faces.candidates import Candidates, inside, joined, one_box_a_face


@dataclass(frozen=True)
class Detector:
    """threshold: score of a face; sure: a photo without a face, or with one that scores less, is turned as well."""

    network: ModuleType
    threshold: float
    sure: float


DETECTORS = {"yunet": Detector(yunet, 0.74, 0.9), "centerface": Detector(centerface, 0.52, 0.52)}
# Long sides at which a photo is searched, and the largest at which a turned one is.
SIDES = (640, 320, 192)
LARGEST = 4096
LARGEST_TURNED = 1280
LARGEST_FACE = 320  # pixels on a searched picture: larger ones have their place on a smaller picture
ENLARGE = 1.5  # small photos are also searched this much larger, up to ENLARGE_TO
ENLARGE_TO = 1280
TURNS = (90, 180, 270)
TURNED = 0.1  # taken off the score of what is found on a turned photo: three times as much there looks like a face
ILLUSION = 0.04  # but a turned face that scores this much more than an upright one in its place is the true one
# The mesh's second opinion counts from this size on; of smaller true faces it denies 5 to 20 %.
DENIED, DENIED_FROM = 0.005, 96
TILE, OVERLAP, CUT = 1536, 256, 8  # pixels
# Up to so many pixels one core is as quick as two, and photos looked at side by side are not in each other's way.
ONE_CORE = 320 * 320


@dataclass(frozen=True, eq=False)
class Detection:
    """box: float64 [4] xyxy inside the photo; points5: float32 [5, 2], left eye of the upright face first;
    turn: clockwise turn of the photo that makes the face upright; detector: whose score it is."""

    box: NDArray[np.float64]
    score: float
    points5: Floats
    turn: Turn = 0
    detector: str = "yunet"


def detect(pixels: Pixels, detector: str = "yunet", threshold: float | None = None) -> list[Detection]:
    """All faces on uint8 [H, W, 3] RGB pixels, highest score first; from 16 px high to larger than the photo.

    threshold: lowest score, 0..1; the default is the detector's own.
    """
    if detector not in DETECTORS:
        raise InputError(f"The detector is yunet or centerface, not {detector!r}.")
    chosen = DETECTORS[detector]
    floor = chosen.threshold if threshold is None else threshold
    networks = (chosen.network.session(1), chosen.network.session())
    # Whether to turn the photo may not depend on how many faces the caller wants to hear of.
    lowest = min(floor, chosen.threshold)
    ladder = list(_ladder(pixels))
    found = [_search(chosen, networks, picture, 0, lowest, pixels.shape) for picture in ladder]
    faces = _faces(found, pixels)
    certain = faces.scores[faces.scores >= chosen.threshold]
    leaning = any(part.turns[part.scores >= chosen.threshold].any() for part in found)
    if not len(certain) or certain.min() < chosen.sure or leaning:
        small = [picture for picture in ladder if max(picture.shape) <= LARGEST_TURNED]
        found += [_search(chosen, networks, picture, turn, lowest, pixels.shape) for turn in TURNS for picture in small]
        faces = _faces(found, pixels)
    faces = faces.take(faces.scores >= floor)
    return [
        Detection(box, float(score), points.astype(np.float32), cast(Turn, int(turn)), detector)
        for box, score, points, turn in zip(faces.boxes, faces.scores, faces.points, faces.turns, strict=True)
    ]


def keep(detection: Detection, presence: float) -> bool:
    """Whether a detection stays a face after the mesh gave its presence, 0..1."""
    x1, y1, x2, y2 = detection.box
    return presence >= DENIED or max(x2 - x1, y2 - y1) < DENIED_FROM


def _faces(found: list[Candidates], pixels: Pixels) -> Candidates:
    return one_box_a_face(inside(joined(found), pixels.shape[1], pixels.shape[0]))


def _ladder(pixels: Pixels) -> Iterator[Pixels]:
    """The photo at every size that is searched, largest first, never distorted."""
    height, width = pixels.shape[:2]
    long = max(height, width)
    top = max(min(long, LARGEST), min(round(long * ENLARGE), ENLARGE_TO))
    source = Image.fromarray(np.ascontiguousarray(pixels))
    for side in (top, *(side for side in SIDES if side < top)):
        size = (max(1, round(width * side / long)), max(1, round(height * side / long)))
        if side > long:
            picture = source.resize(size, Image.Resampling.BICUBIC)
        else:
            # Each smaller one is made of the one before: reading 50 megapixels again costs more than the search.
            source = picture = source.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        yield np.asarray(picture)


def _search(
    chosen: Detector, networks: tuple[Any, Any], picture: Pixels, turn: int, floor: float, shape: tuple[int, ...]
) -> Candidates:
    """Candidates on the picture after a clockwise turn, in the pixels of a photo of `shape`."""
    height, width = picture.shape[:2]
    found = _scan(chosen, networks, np.rot90(picture, -turn // 90), floor + (TURNED if turn else 0))
    found = found.take((found.boxes[:, 2:] - found.boxes[:, :2]).max(1, initial=0) <= LARGEST_FACE)
    corners = _turned_back(found.boxes.reshape(-1, 2, 2), turn, width, height)
    back = np.array([shape[1] / width, shape[0] / height])
    return Candidates(
        np.concatenate([corners.min(1) * back, corners.max(1) * back], 1),
        found.scores - (TURNED if turn else 0),
        _turned_back(found.points, turn, width, height) * back,
        (found.turns + turn) % 360,
        found.ranks - (ILLUSION if turn else 0),
    )


def _scan(chosen: Detector, networks: tuple[Any, Any], picture: Pixels, floor: float) -> Candidates:
    """Candidates on one picture, tile by tile where it is large: memory stays the same for any photo."""
    height, width = picture.shape[:2]
    parts = []
    for top, bottom in _spans(height):
        for left, right in _spans(width):
            canvas = np.zeros((_multiple(bottom - top), _multiple(right - left), 3), np.uint8)
            canvas[: bottom - top, : right - left] = picture[top:bottom, left:right]
            network = networks[canvas.shape[0] * canvas.shape[1] > ONE_CORE]
            found = chosen.network.find(network, canvas, floor)
            corner = np.array([left, top])
            boxes, points = found.boxes + np.tile(corner, 2), found.points + corner
            # What an inner border cuts is whole in the next tile or on a smaller picture.
            low = [left + CUT if left else -math.inf, top + CUT if top else -math.inf]
            high = [right - CUT if right < width else math.inf, bottom - CUT if bottom < height else math.inf]
            whole = ((boxes[:, :2] >= low) & (boxes[:, 2:] <= high)).all(1)
            parts.append(replace(found, boxes=boxes, points=points).take(whole))
    return joined(parts)


def _spans(length: int) -> list[tuple[int, int]]:
    """Equal pieces of at most TILE pixels with at least OVERLAP pixels in common."""
    if length <= TILE:
        return [(0, length)]
    count = math.ceil((length - OVERLAP) / (TILE - OVERLAP))
    size = math.ceil((length + (count - 1) * OVERLAP) / count)
    return [(start, start + size) for start in (round(i * (length - size) / (count - 1)) for i in range(count))]


def _multiple(length: int) -> int:
    return math.ceil(length / 32) * 32


def _turned_back(points: NDArray[np.float64], turn: int, width: int, height: int) -> NDArray[np.float64]:
    """[N, P, 2] points of a picture after a clockwise turn, in the picture of width and height before it."""
    x, y = points[..., 0], points[..., 1]
    if turn == 90:
        x, y = y, height - x
    elif turn == 180:
        x, y = width - x, height - y
    elif turn == 270:
        x, y = width - y, x
    return np.stack([x, y], -1)
