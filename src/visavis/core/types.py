"""The types at every border. Coordinates are pixels of `Photo.pixels`; x to the right, y down."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Affine = NDArray[np.float64]
Template = Literal["recognise", "portrait", "dlib"]
Turn = Literal[0, 90, 180, 270]


@dataclass(frozen=True, eq=False)
class Photo:
    """One picture, upright by its EXIF, in sRGB.

    pixels: uint8 [H, W, 3] RGB, not writable
    name:   what messages call it (file name or "array")
    meta:   facts about the file: format, frames, path, sha256, where known
    """

    pixels: Pixels
    name: str = "array"
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def _repr_png_(self) -> bytes:
        return _png(self.pixels)


@dataclass(frozen=True, eq=False)
class Crop:
    """A face cut to a template.

    pixels:   uint8 [S, S, 3] RGB
    to_crop:  float64 [2, 3], photo pixels -> crop pixels
    to_photo: float64 [2, 3], the exact inverse
    """

    pixels: Pixels
    to_crop: Affine
    to_photo: Affine

    def _repr_png_(self) -> bytes:
        return _png(self.pixels)


@dataclass(frozen=True)
class Pose:
    """Head pose in degrees; zero looks into the camera. yaw > 0: the nose points to the right edge of the photo;
    pitch > 0: the nose points up; roll > 0: the head leans clockwise as seen in the photo."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Measure:
    """A number and its word for people ("sharp", "blurred"); `good` says whether the word is a complaint."""

    value: float
    word: str
    good: bool = True


@dataclass(frozen=True)
class Quality:
    """What limits a comparison of this face. size_px: pixels between the eyes; sharpness, light, covered: 0..1;
    pose: degrees away from frontal."""

    size_px: Measure
    sharpness: Measure
    pose: Measure
    light: Measure
    covered: Measure

    @property
    def words(self) -> tuple[str, ...]:
        """Why this face is poor; empty for a good one."""
        return tuple(m.word for m in (self.size_px, self.sharpness, self.pose, self.light, self.covered) if not m.good)


# FairFace's, up to "70+".
BANDS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69))


@dataclass(frozen=True)
class Age:
    """The age that a face looks like, in years: the middle, and the range that holds two thirds of photos (measured as
    attributes/age.within_range). band: as in FairFace ("30-39", "70+")."""

    years: float
    low: float
    high: float

    @property
    def band(self) -> str:
        return next((f"{low}-{high}" for low, high in BANDS if self.years < high + 1), "70+")

    @property
    def words(self) -> str:
        """For people: "looks about 40 (33 to 47)"."""
        return f"looks about {self.years:.0f} ({self.low:.0f} to {self.high:.0f})"


class Perception(Protocol):
    """What a Face asks of the room that found it (faces/); keeps core free of networks."""

    def crop(self, face: Face, template: Template) -> Crop: ...

    def embedding(self, face: Face) -> Floats: ...

    def age(self, face: Face) -> Age: ...


@dataclass(frozen=True, eq=False)
class Face:
    """One face on a photo.

    id:        from 1 by box area, stable for a file; the number that `--draw` writes and `--face N` takes
    box:       x1, y1, x2, y2 inside the photo
    score:     the detector's, 0..1
    turn:      clockwise turn of the photo that makes the face upright, where it was found only after turning
    points5:   float32 [5, 2]: the eyes (left in the picture first), nose tip, mouth corners (left first)
    mesh:      float32 [468, 3] MediaPipe face mesh; z in pixels, smaller is nearer
    eyes_open, mouth_open, smile: 0..1 from the mesh geometry
    """

    id: int
    box: tuple[float, float, float, float]
    score: float
    turn: Turn
    points5: Floats
    mesh: Floats
    pose: Pose
    eyes_open: float
    mouth_open: float
    smile: float
    quality: Quality
    photo: Photo = field(repr=False)
    perception: Perception = field(repr=False)

    @cached_property
    def embedding(self) -> Floats:
        """float32 [128] of recogniser A, unit length; computed when first asked."""
        return self.perception.embedding(self)

    @cached_property
    def age(self) -> Age:
        """The age that the face looks like, which may not be the person's; computed when first asked."""
        return self.perception.age(self)

    def crop(self, template: Template = "portrait") -> Crop:
        """The face cut to a template: `recognise` 112 px, `portrait` 128 px, `dlib` 150 px; borders are replicated."""
        return self.perception.crop(self, template)

    @property
    def area(self) -> float:
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1)

    def _repr_png_(self) -> bytes:
        return self.crop("portrait")._repr_png_()


@dataclass(frozen=True, eq=False)
class Match:
    """The answer of `compare`.

    same:              True where the false-match rate is at most `max_false_match`, False where at most 1 % of
                       same-person pairs score this low, else None (undecided)
    score:             higher for more alike; no unit, never a percent
    false_match_rate:  share of stranger pairs that score at least this high (never below what the table supports)
    false_match_rate_worst_group: the same in the worst measured group
    false_non_match_rate: share of same-person pairs that score this low or lower
    table:             origin of the rates: which table, data, pairs, the command that made it
    faces:             the two faces compared
    reasons:           sentences for a person: what limits the answer
    """

    same: bool | None
    score: float
    false_match_rate: float
    false_match_rate_worst_group: float
    false_non_match_rate: float
    table: Mapping[str, Any]
    faces: tuple[Face, Face]
    reasons: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        return {True: "same person", False: "different people", None: "undecided"}[self.same]


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
