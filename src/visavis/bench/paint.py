"""Paints masks, hands, scarves, bars and dark glasses on faces, to teach and to measure how covers are seen."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from visavis.core.types import Floats, Pixels
from visavis.faces.geometry import Points, place
from visavis.faces.texture import layout

Random = np.random.Generator
Alpha = NDArray[np.float64]
# Where the covers lie on the mean face (eye centres 1 apart, origin between them, y down).
LOWER = (0.72, 1.5, 0.6)
EYES = (-0.17, 0.17, 0.2, 0.8)


@dataclass(frozen=True, eq=False)
class Painted:
    """pixels; lower, eyes: the share 0..1 of the lower half and of the eyes that the cover hides"""

    pixels: Pixels
    lower: float
    eyes: float


def paint(pixels: Pixels, points: Floats, other: Pixels, random: Random, kind: str | None = None) -> Painted:
    """A face [468, 3] with one painted cover. other: another photo, whose corners lend their texture."""
    kind = kind or str(random.choice(list(KINDS), p=SHARES))
    alpha = KINDS[kind](_Canvas(pixels.shape[:2], points), random)
    colour = _dark(pixels, random) if kind == "glasses" else _cloth(pixels, points, other, random)
    mixed = (pixels * (1 - alpha[..., None]) + colour * alpha[..., None]).clip(0, 255).astype(np.uint8)
    if random.random() < 0.7:
        packed = io.BytesIO()
        Image.fromarray(mixed).save(packed, "JPEG", quality=int(random.integers(45, 95)))
        mixed = np.asarray(Image.open(packed).convert("RGB"))
    lower, eyes = _hidden(alpha, points)
    return Painted(mixed, lower, eyes)


class _Canvas:
    """Draws in the coordinates of the mean face, as the face lies on the photo."""

    def __init__(self, shape: tuple[int, ...], points: Floats) -> None:
        self.shape = shape
        self.points = points
        at = place(points)
        self.scale, self.rotation, self.shift = at.scale, at.rotation, at.shift

    def polygon(self, outline: Points, blur: float = 0.02) -> Alpha:
        """outline: [N, 2] on the mean face, laid on its front; float64 [H, W] in 0..1"""
        z = np.interp(np.abs(outline[:, 0]), [0, 0.5, 1.0], [-0.3, -0.1, 0.7])
        flat = (self.scale * np.column_stack([outline, z]) @ self.rotation.T + self.shift)[:, :2]
        return self.photo_polygon(flat, blur)

    def photo_polygon(self, flat: Points, blur: float = 0.02) -> Alpha:
        image = Image.new("L", (self.shape[1] * 2, self.shape[0] * 2))
        ImageDraw.Draw(image).polygon([(float(x) * 2, float(y) * 2) for x, y in flat], fill=255)
        image = image.filter(ImageFilter.GaussianBlur(max(0.8, blur * self.scale * 2)))
        return np.asarray(image.resize((self.shape[1], self.shape[0]), Image.Resampling.BOX), np.float64) / 255


def _mask(canvas: _Canvas, random: Random) -> Alpha:
    """A mask: from the nose (or just above the lip) over cheeks and chin."""
    top = random.uniform(0.25, 0.75)
    side = top + random.uniform(0.0, 0.3)
    wide = random.uniform(0.75, 1.1)
    low = random.uniform(1.45, 1.85)
    right = np.array([[0, top], [0.3, top + 0.12], [wide, side], [wide, 1.0], [0.6 * wide, low - 0.25], [0.2, low]])
    outline = np.concatenate([right, right[:0:-1] * (-1.0, 1.0)])
    return canvas.polygon(outline + random.normal(0, 0.03, outline.shape))


def _blob(canvas: _Canvas, random: Random) -> Alpha:
    """A hand, a cup, a microphone: a lump over the mouth that often goes on beyond the chin."""
    middle = np.array([random.normal(0, 0.15), random.uniform(0.9, 1.2)])
    return canvas.polygon(_lump(middle, random.uniform(0.35, 0.9), random.uniform(0.3, 0.7), random))


def _elsewhere(canvas: _Canvas, random: Random) -> Alpha:
    """A lump that hides neither part: on the forehead, at a cheek, below the chin, hair."""
    spot = ((0.0, -0.75), (-1.0, 0.5), (1.0, 0.5), (-0.9, 1.2), (0.9, 1.2), (0.0, 1.9), (0.9, -0.5), (-0.9, -0.5))
    middle = np.array(spot[int(random.integers(len(spot)))]) + random.normal(0, 0.08, 2)
    return canvas.polygon(_lump(middle, random.uniform(0.2, 0.45), random.uniform(0.2, 0.4), random))


def _bar(canvas: _Canvas, random: Random) -> Alpha:
    """A bar or a blindfold over both eyes."""
    high, low = random.uniform(-0.5, -0.22), random.uniform(0.2, 0.45)
    wide = random.uniform(0.8, 1.2)
    outline = np.array([[-wide, high], [wide, high], [wide, low], [-wide, low]])
    return canvas.polygon(outline + random.normal(0, 0.04, outline.shape))


def _glasses(canvas: _Canvas, random: Random) -> Alpha:
    """Dark glasses: two lenses and a bridge."""
    wide, tall, drop = random.uniform(0.32, 0.45), random.uniform(0.2, 0.38), random.uniform(-0.02, 0.1)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    # Powers below 1 make the round lens square.
    across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** random.uniform(0.5, 1.0)
    lens = np.stack([across * wide, np.sin(angle) * tall + drop], 1)
    middle = np.array([0.5, 0.0])
    bridge = np.array([[-0.25, -0.06], [0.25, -0.06], [0.25, 0.0], [-0.25, 0.0]])
    parts = [canvas.polygon(shape, 0.01) for shape in (lens - middle, lens + middle, bridge)]
    return np.asarray(np.max(parts, 0) * random.uniform(0.8, 1.0), np.float64)


def _half(canvas: _Canvas, random: Random) -> Alpha:
    """A scarf or a collar, drawn up to somewhere between chin and eyes; or anything from below."""
    top = random.uniform(0.45, 1.35)
    slope = random.normal(0, 0.12)
    outline = np.array([[-1.6, top - slope], [1.6, top + slope], [1.6, 2.6], [-1.6, 2.6]])
    at = canvas.rotation[:2, :2] * canvas.scale
    return canvas.photo_polygon(outline @ at.T + canvas.shift[:2])


KINDS: dict[str, Callable[[_Canvas, Random], Alpha]] = {
    "mask": _mask,
    "blob": _blob,
    "bar": _bar,
    "glasses": _glasses,
    "half": _half,
    "elsewhere": _elsewhere,
}
SHARES = (0.3, 0.2, 0.12, 0.14, 0.08, 0.16)


def _lump(middle: Points, wide: float, tall: float, random: Random) -> Points:
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    radius = 1 + 0.15 * np.sin(2 * angle + random.uniform(0, 6)) + 0.1 * np.sin(3 * angle + random.uniform(0, 6))
    shape = np.stack([np.cos(angle) * wide * radius, np.sin(angle) * tall * radius], 1)
    turn = random.uniform(-0.6, 0.6)
    rotated: Points = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + middle
    return rotated


def _cloth(pixels: Pixels, points: Floats, other: Pixels, random: Random) -> NDArray[np.float64]:
    """What a cover is made of: plain cloth, skin, or a piece of another photo; shaded and grained."""
    height, width = pixels.shape[:2]
    what = random.random()
    if what < 0.45:
        plain = ((235, 235, 235), (150, 190, 215), (30, 30, 32), (120, 120, 120), (60, 70, 110), (190, 150, 120))
        colour = np.array(plain[int(random.integers(len(plain)))]) + random.normal(0, 18, 3)
        if random.random() < 0.4:
            colour = random.uniform(10, 245, 3)
        cover = np.broadcast_to(colour, (height, width, 3)).astype(np.float64)
    elif what < 0.7:
        # Skin of the face itself, as a hand has it: the colour of a cheek or the forehead.
        x, y = points[int(random.choice([50, 280, 151, 9])), :2]
        skin = pixels[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))].astype(np.float64)
        cover = np.broadcast_to(skin * random.uniform(0.75, 1.2), (height, width, 3)).astype(np.float64)
    else:
        corner = 48
        y, x = (int(random.choice([0, side - corner])) for side in other.shape[:2])
        piece = Image.fromarray(np.ascontiguousarray(other[y : y + corner, x : x + corner]))
        cover = np.asarray(piece.resize((width, height), Image.Resampling.BILINEAR), np.float64)
    shade = _smooth((height, width), random, int(random.integers(2, 7))) * random.uniform(0.05, 0.35)
    folds = _smooth((height, width), random, int(random.integers(8, 24))) * random.uniform(0, 0.2)
    gained: NDArray[np.float64] = cover * (1 + shade + folds)[..., None]
    return gained * _exposure(pixels, points) + random.normal(0, random.uniform(0, 4), (height, width, 1))


def _exposure(pixels: Pixels, points: Floats) -> float:
    """Covers are as dark as the photo is: the brightest part of the face is taken for well lit."""
    inside = points[(points[:, :2] >= 0).all(1) & (points[:, 0] < pixels.shape[1]) & (points[:, 1] < pixels.shape[0])]
    index = inside[:, :2].astype(int)
    return (
        float(np.clip(np.percentile(pixels[index[:, 1], index[:, 0]].max(1), 95) / 200, 0.3, 1.1))
        if len(index)
        else 1.0
    )


def _dark(pixels: Pixels, random: Random) -> NDArray[np.float64]:
    height, width = pixels.shape[:2]
    colour = np.array([25.0, 22.0, 20.0]) * random.uniform(0.3, 2.0) + random.normal(0, 4, 3)
    sheen = np.clip(_smooth((height, width), random, int(random.integers(3, 12))), 0, None) * random.uniform(0, 70)
    return np.broadcast_to(colour, (height, width, 3)) + sheen[..., None]


def _smooth(shape: tuple[int, int], random: Random, knots: int) -> NDArray[np.float64]:
    noise = Image.fromarray(random.normal(0, 1, (knots, knots)).astype(np.float32))
    return np.asarray(noise.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float64)


def _hidden(alpha: Alpha, points: Floats) -> tuple[float, float]:
    grid = layout()
    where = np.einsum("tk,tkc->tc", grid.shares, points[grid.corners, :2].astype(np.float64)).astype(int)
    inside = (where >= 0).all(1) & (where[:, 0] < alpha.shape[1]) & (where[:, 1] < alpha.shape[0])
    x, y = grid.at[:, 0], grid.at[:, 1]
    lower = inside & (y > LOWER[0]) & (y < LOWER[1]) & (np.abs(x) < LOWER[2])
    eyes = inside & (y > EYES[0]) & (y < EYES[1]) & (np.abs(x) > EYES[2]) & (np.abs(x) < EYES[3])
    shares = [float(alpha[where[part, 1], where[part, 0]].mean()) if part.any() else 0.0 for part in (lower, eyes)]
    return shares[0], shares[1]
