"""Ways in which one photo of a face may look different and still be the same: on uint8 pictures, by a seed."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance, ImageFilter

from visavis.core.types import Pixels


@dataclass(frozen=True)
class Augment:
    """Ranges of the face's scale, shift (pixels of the result) and turn (degrees), and how often a picture is
    mirrored, blurred, saved as JPEG, shrunk, made grey, or changed in light and colour."""

    scale: tuple[float, float] = (0.85, 1.15)
    shift: float = 6.0
    turn: float = 5.0
    mirror: float = 0.5
    blur: float = 0.15
    jpeg: float = 0.25
    shrink: float = 0.15
    grey: float = 0.05
    light: float = 0.5

    def __call__(self, pixels: Pixels, size: int, random: Generator) -> Pixels:
        """uint8 [S, S, 3] -> [size, size, 3]. Borders are replicated."""
        matrix, _ = self.placement(pixels.shape[0], size, random)
        image = Image.fromarray(self.moved(pixels, matrix, size))
        if random.random() < self.light:
            for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                image = kind(image).enhance(math.exp(random.uniform(-0.25, 0.25)))
        if random.random() < self.grey:
            image = image.convert("L").convert("RGB")
        if random.random() < self.blur:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 1.6)))
        if random.random() < self.shrink:
            small = int(size / random.uniform(1.3, 3.0))
            image = image.resize((small, small), Image.Resampling.BILINEAR).resize(
                (size, size), Image.Resampling.BICUBIC
            )
        if random.random() < self.jpeg:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=int(random.integers(20, 90)))
            image = Image.open(file)
        return np.asarray(image)

    def placement(self, side: int, size: int, random: Generator) -> tuple[tuple[float, ...], bool]:
        """An affine (a, b, c, d, e, f) from a place in the result to one in the picture, and whether it mirrors."""
        angle, scale = math.radians(random.uniform(-self.turn, self.turn)), random.uniform(*self.scale)
        mirrored = bool(random.random() < self.mirror)
        step = side / size / scale
        across = -step if mirrored else step
        cos, sin = math.cos(angle), math.sin(angle)
        x, y = size / 2 + random.uniform(-self.shift, self.shift, 2)
        a, b, d, e = across * cos, -across * sin, step * sin, step * cos
        return (a, b, side / 2 - a * x - b * y, d, e, side / 2 - d * x - e * y), mirrored

    @staticmethod
    def moved(pixels: Pixels, matrix: tuple[float, ...], size: int) -> Pixels:
        """uint8 [size, size, 3]: the picture seen through an affine; borders are replicated."""
        margin = pixels.shape[0] // 4
        wide = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        a, b, c, d, e, f = matrix
        shifted = (a, b, c + margin, d, e, f + margin)
        return np.asarray(
            Image.fromarray(wide).transform((size, size), Image.Transform.AFFINE, shifted, Image.Resampling.BILINEAR)
        )
