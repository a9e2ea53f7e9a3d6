"""The invisible mark "this picture was made by AI": yes or no, nothing more.

A key seeds signs (+1 or -1) for the low-middle DCT band of a grid of 64 x 64 cells. The picture that they make is laid
over the luminance, more where it is rough: once over each face's portrait frame, once over the whole picture, there
repeated where it is large. Whoever reads flattens contrast and spectrum, so that only phases speak, and looks for the
pattern at the scales and shifts that a crop can have made.
"""

from __future__ import annotations

import functools
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.core.types import Affine, Pixels
from visavis.faces import align

Place = Literal["face", "picture", "picture2", "picture4"]
# A picture on the grid, [64, 64], and the shifts (rows, columns, in half cells) that it may have.
Window = tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp]]
Scales = Sequence[float] | NDArray[np.float64]

# The same on every installation: whoever has visavis finds the mark of everybody's pictures.
KEY = b"visavis.mark/1"
CELLS = 64
BAND = 20, 44  # distance from the constant among the 64 x 64 DCT frequencies
FALSE_ALARM = 1 / 3000
RAREST = 1e-6  # below this no count of photos has tested the formula
# How much there is to search, from FairFace's train photos: the figures mark/breadth.* of `visavis bench mark`.
BREADTH: dict[Place, float] = {"picture": 3.2, "picture2": 11.2, "picture4": 47.0, "face": 3.3}
TILES: dict[Place, int] = {"picture": 1, "picture2": 2, "picture4": 4, "face": 1}
CROPPED = 0.1
SHIFTED, SCALED = 3, 0.06  # how far from where it was, in cells and in size, a face is found again
ENOUGH = 7.5  # score, without search, after half the size and JPEG at quality 80
DECIBELS = (46.0, 44.5, 43.0, 41.5, 40.0, 38.5)
SIDE = align.SIZES["portrait"]
LEAST = 64  # pixels on the side of a frame that can carry the band
LARGE = 4096  # pixels on the longest side at which a mark's strength is tried at most
MARGIN = 10  # pixels around a portrait crop that larger scales need
EDGE = 4


@dataclass(frozen=True)
class Reading:
    """found: the mark is there. score: height of the best peak over other shifts' standard deviation.
    false_alarm: share of unmarked pictures that score as high somewhere when they are searched in as many places."""

    found: bool
    score: float
    false_alarm: float


def embed(pixels: Pixels, frames: Iterable[Affine] = (), *, key: bytes = KEY) -> Pixels:
    """The picture uint8 [H, W, 3] with the mark, at a PSNR of 38 dB or more.

    frames: float64 [2, 3], pixels of the picture -> its portrait crop, for each face (`face.crop().to_crop`). One that
    spans nearly the whole picture, or under 64 pixels, gets no mark of its own. Pictures of under 64 pixels, or four
    times as long as wide, get a mark that cannot be read.
    """
    longest = max(pixels.shape[:2])
    chosen = [frame for frame in frames if LEAST <= _side(frame) < 0.8 * longest]
    # Where two marks lie over each other their errors add up.
    strengths = DECIBELS[:-2] if chosen else DECIBELS
    place: Place = "picture" if longest < 4 * CELLS else "picture2" if longest < 8 * CELLS else "picture4"
    made = _laid(pixels, place, np.eye(2, 3) * (CELLS * TILES[place] / longest), key, strengths)
    for frame in chosen:
        made = _laid(made, "face", frame * (CELLS / SIDE), key, strengths)
    return made


def read(pixels: Pixels, frames: Iterable[Affine] = (), *, key: bytes = KEY) -> Reading:
    """Looks for the mark in a picture uint8 [H, W, 3] and in its faces' portrait frames (as for `embed`)."""
    looks: list[tuple[Place, float]] = []
    for place in ("picture", "picture2", "picture4"):
        if max(pixels.shape[:2]) >= 0.85 * CELLS * TILES[place]:  # half of what was cropped by 10 %
            looks.append((place, search(picture_windows(pixels, TILES[place]), key, place)))
    for frame in frames:
        if _side(frame) >= LEAST / 2:
            looks.append(("face", search(face_windows(pixels, frame), key, "face")))
    rarest, lower = min(((by_chance(score, place), -score) for place, score in looks), default=(1.0, 0.0))
    false_alarm = -math.expm1(len(looks) * math.log1p(-rarest)) if rarest < 1 else 1.0
    return Reading(false_alarm <= FALSE_ALARM, -lower, max(false_alarm, RAREST))


def by_chance(score: float, place: Place) -> float:
    """Chance that the highest peak of a place without mark is at least `score`.

    Correlation with a pattern that is not there is a smooth normal field over two shifts and a scale: its peaks above
    a height z number breadth * z^2 * exp(-z^2 / 2), whatever the picture.
    """
    height = max(score, math.sqrt(2))  # where the formula is largest; no threshold lies below
    return -math.expm1(-BREADTH[place] * height**2 * math.exp(-(height**2) / 2))


def search(windows: Iterable[Window], key: bytes, place: Place) -> float:
    """The highest score of all windows."""
    spectrum = _spectrum(key, place)
    return max((_peak(window, spectrum) for window in windows), default=0.0)


def picture_windows(pixels: Pixels, tiles: int, scales: Scales | None = None) -> Iterator[Window]:
    """The whole picture, as if it were all or as little as 90 % of what was marked with so many tiles a side."""
    grey = Image.fromarray(pixels).convert("L").convert("F")
    longest, most = max(grey.size), 2 * CELLS * tiles
    if longest > most:
        # Its shorter side is rounded by this, which no score notices.
        size = max(1, round(grey.width * most / longest)), max(1, round(grey.height * most / longest))
        grey, longest = grey.resize(size, Image.Resampling.BOX), most
    per_cell = longest / (CELLS * tiles)
    if min(grey.size) < 4 * EDGE * max(1, per_cell):
        return
    flat = Image.fromarray(_flattened(np.asarray(grey), per_cell, 1 - CROPPED, 1))
    for scale in np.linspace(1, 1 - CROPPED, 5 * tiles + 1) if scales is None else scales:
        cell = per_cell / scale
        width, height = (int(side / cell + 1e-6) for side in grey.size)
        cells = np.asarray(flat.resize((width, height), Image.Resampling.BICUBIC, (0, 0, width * cell, height * cell)))
        rows, columns = (_lost(side, CELLS * tiles) for side in (height, width))
        yield _folded(cells), rows, columns


def face_windows(pixels: Pixels, frame: Affine, scales: Scales | None = None) -> Iterator[Window]:
    """A face's portrait frame, a little smaller, larger and to each side."""
    size, per_cell = SIDE + 2 * MARGIN, SIDE / CELLS
    crop = align.warp(pixels, frame + np.array([[0, 0, MARGIN], [0, 0, MARGIN]]), size)
    grey = np.asarray(Image.fromarray(crop).convert("L"), np.float32)
    flat = Image.fromarray(_flattened(grey, per_cell, 1 - SCALED, 1 + SCALED))
    shifts = np.arange(-2 * SHIFTED, 2 * SHIFTED + 1)
    for scale in np.linspace(1 - SCALED, 1 + SCALED, 7) if scales is None else scales:
        low, high = (size - scale * SIDE) / 2, (size + scale * SIDE) / 2
        yield np.asarray(flat.resize((CELLS, CELLS), Image.Resampling.BICUBIC, (low, low, high, high))), shifts, shifts


def _flattened(grey: NDArray[Any], per_cell: float, low: float, high: float) -> NDArray[np.float32]:
    """[h, w] with the same contrast everywhere and the same strength in all frequencies that the band can have."""
    height, width = grey.shape
    near = 2 * round(2 * per_cell) + 1
    apart = grey - _mean(grey, near)
    even = apart / (np.sqrt(np.maximum(_mean(apart**2, near), 0)) + 1)
    edge = math.ceil(EDGE * per_cell)
    waves = np.fft.rfft2(even * _faded(height, edge)[:, None] * _faded(width, edge))
    distance = 2 * CELLS * per_cell * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    inside = (distance >= low * BAND[0]) & (distance < high * BAND[1])
    return np.fft.irfft2(np.where(inside, waves / (np.abs(waves) + 1e-3), 0), s=(height, width)).astype(np.float32)


def _folded(cells: NDArray[Any]) -> NDArray[Any]:
    """[64, 64]: all tiles of [h, w] laid on each other."""
    tall, wide = (-(-side // CELLS) for side in cells.shape)
    whole = np.zeros((tall * CELLS, wide * CELLS), cells.dtype)
    whole[: cells.shape[0], : cells.shape[1]] = cells
    return np.asarray(whole.reshape(tall, CELLS, wide, CELLS).sum((0, 2)))


def _peak(window: Window, spectrum: NDArray[Any]) -> float:
    """Correlation with the pattern at all shifts by half cells; the best allowed one over the deviation of all."""
    cells, rows, columns = window
    waves = np.conj(np.fft.rfft2(cells)) * spectrum
    wide = np.zeros((2 * CELLS, CELLS + 1), waves.dtype)
    half = CELLS // 2
    wide[:half, :half], wide[-half:, :half] = waves[:half, :half], waves[half:, :half]
    heights = np.fft.irfft2(wide, s=(2 * CELLS, 2 * CELLS))
    spread = float(heights.std())
    return float(heights[np.ix_(rows, columns)].max()) / spread if spread > 0 else 0.0


def _laid(pixels: Pixels, place: Place, to_cells: Affine, key: bytes, strengths: Iterable[float]) -> Pixels:
    """The picture with one mark, no stronger than needed."""
    height, width = pixels.shape[:2]
    side = CELLS * TILES[place]
    field = np.tile(_pattern(key, place), (TILES[place],) * 2) * _roughness(pixels, to_cells, side)
    if place == "face":
        field = field * _faded(side, EDGE)[:, None] * _faded(side, EDGE)
    corners = align.apply(align.invert(to_cells), side * np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    left, top = np.clip(np.floor(corners.min(0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(0)), (left + 1, top + 1), (width, height)).astype(int)
    size = (int(right - left), int(bottom - top))
    there = np.column_stack([to_cells[:, :2], align.apply(to_cells, np.array([[left, top]]))[0]])
    image = Image.fromarray(field.astype(np.float32))
    image = image.transform(size, Image.Transform.AFFINE, tuple(there.ravel()), Image.Resampling.BICUBIC)
    laid = np.asarray(image)
    strength = float(np.sqrt(np.square(laid[laid != 0], dtype=np.float64).mean())) if laid.any() else 0.0
    made = pixels.copy()
    for decibel in strengths if strength > 0 else ():
        gain = 255 / 10 ** (decibel / 20) / strength
        part = pixels[top:bottom, left:right] + gain * laid[:, :, None]
        made[top:bottom, left:right] = np.clip(np.rint(part), 0, 255)
        if _after_wear(made[top:bottom, left:right], place, there, key) >= ENOUGH:
            break
    return made


def _after_wear(pixels: Pixels, place: Place, to_cells: Affine, key: bytes) -> float:
    """The score where the mark was laid, without search, after JPEG at quality 80 and, where its cells are large enough
    for that, half the size."""
    image = Image.fromarray(pixels)
    factor = max(2 if abs(np.linalg.det(to_cells[:, :2])) <= 0.25 else 1, max(image.size) / LARGE)
    if factor > 1:
        width, height = (max(1, round(side / factor)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    worn = np.asarray(Image.open(file))
    if place == "face":
        there = to_cells * (SIDE / CELLS)
        there[:, :2] *= np.divide(pixels.shape[1::-1], worn.shape[1::-1])
        windows = face_windows(worn, there, [1.0])
    else:
        windows = picture_windows(worn, TILES[place], [1.0])
    nowhere = np.zeros(1, np.intp)
    return search(((cells, nowhere, nowhere) for cells, _, _ in windows), key, place)


def _roughness(pixels: Pixels, to_cells: Affine, side: int) -> NDArray[Any]:
    """[side, side]: how strong the mark may be: an eye sees it least where the picture is rough."""
    cells = np.asarray(Image.fromarray(align.warp(pixels, to_cells, side)).convert("L"), np.float64)
    deviation = np.sqrt(np.maximum(_mean(cells**2, 5) - _mean(cells, 5) ** 2, 0))
    return _mean(np.clip(deviation, 1, 15) ** 0.7, 5)


def _lost(side: int, whole: int) -> NDArray[np.intp]:
    """The shifts of a side of so many cells, in half cells, where what was cut away lay on either end of it."""
    most = min(whole - side, side * CROPPED / (1 - CROPPED))
    return np.arange(-1, math.ceil(2 * most) + 2)


def _side(frame: Affine) -> float:
    """Pixels of the picture along a side of a portrait frame."""
    return float(SIDE / math.sqrt(abs(np.linalg.det(frame[:, :2]))))


@functools.lru_cache
def _pattern(key: bytes, place: Place) -> NDArray[np.float64]:
    """[64, 64]: the sum of the band's cosines, each with its sign."""
    seed = place.encode() + b"\0" + key
    signs = np.unpackbits(np.frombuffer(hashlib.shake_256(seed).digest(CELLS * CELLS // 8), np.uint8))
    number = np.arange(CELLS)
    distance = np.hypot(number[:, None], number)
    inside = (distance >= BAND[0]) & (distance < BAND[1])
    waves = np.cos(np.pi / CELLS * number[:, None] * (number + 0.5))
    made = waves.T @ (inside * (1.0 - 2.0 * signs.reshape(CELLS, CELLS))) @ waves
    # Cosines all begin at the edges: without this the mark would be twice as strong there.
    return np.asarray(made / np.sqrt((waves**2).T @ inside @ waves**2))


@functools.lru_cache
def _spectrum(key: bytes, place: Place) -> NDArray[np.complex128]:
    return np.asarray(np.fft.rfft2(_pattern(key, place)))


def _mean(cells: NDArray[Any], size: int) -> NDArray[Any]:
    """Mean over the square around each cell; edges are replicated."""
    sums = np.pad(cells.astype(np.float64), size // 2, mode="edge").cumsum(0).cumsum(1)
    sums = np.pad(sums, ((1, 0), (1, 0)))
    return np.asarray((sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]) / size**2)


def _faded(side: int, edge: int) -> NDArray[np.float64]:
    """[side]: 1, and less towards both ends."""
    rise = (1 - np.cos(np.pi * (np.arange(edge) + 0.5) / edge)) / 2
    return np.concatenate([rise, np.ones(side - 2 * edge), rise[::-1]])
