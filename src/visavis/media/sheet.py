"""Sheets of pictures that people look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Pixels


def grid(pictures: Sequence[Pixels] | NDArray[np.uint8], columns: int) -> Pixels:
    """uint8: pictures of one size in rows of so many columns, on white."""
    height, width = pictures[0].shape[:2]
    lines = -(-len(pictures) // columns)
    sheet = np.full((lines * height, min(columns, len(pictures)) * width, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = picture
    return sheet
