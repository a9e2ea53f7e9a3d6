"""Regions of a face as masks, by polygons of its mesh: the permissive stand-in for a parser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from visavis.core.types import Floats
from visavis.faces.geometry import geometry
from visavis.faces.parse import MOUTH, PARTS, Mask, filled

Region = Literal["face", "lips", "eyes"]


def region(mesh: Floats, names: Iterable[Region], size: int = 128, grown: int = 0) -> Mask:
    """bool [size, size]: where any of these regions lies in a picture, with a border of `grown` pixels around it.

    mesh: [468, 2 or 3] in pixels of the picture. "face" ends where the mesh does, in the middle of the forehead; "lips"
    holds what is between them.
    """
    points, made = mesh[:, :2].astype(np.float64), np.zeros((size, size), np.bool_)
    for name in names:
        if name == "face":
            made |= filled(points[geometry().triangles], size)
            continue
        for polygon in _POLYGONS[name]:
            made |= filled(points[list(polygon)][None], size)
    if not grown:
        return made
    wide = Image.fromarray(made.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * grown + 1))
    return np.asarray(wide, np.bool_)


_POLYGONS = {"lips": (PARTS["u_lip"], PARTS["l_lip"], MOUTH), "eyes": (PARTS["l_eye"], PARTS["r_eye"])}
