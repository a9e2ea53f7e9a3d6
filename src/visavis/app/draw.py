"""A photo with its numbered boxes, meshes and five points, for people who would rather look than read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from visavis.core.types import Face, Photo, Pixels

COLOURS = ("#ffd166", "#06d6a0", "#4cc9f0", "#f78c6b", "#c77dff", "#ff70a6")


def draw_faces(photo: Photo, faces: Sequence[Face]) -> Pixels:
    """uint8 [H, W, 3]: the photo with each face's box and number in its colour, mesh points and five points."""
    image = Image.fromarray(photo.pixels)
    pen = ImageDraw.Draw(image)
    line = max(1, round(max(image.size) / 400))
    for face in reversed(faces):
        colour = COLOURS[(face.id - 1) % len(COLOURS)]
        x1, y1, x2, y2 = face.box
        dot = max(0.5, (x2 - x1) / 260)
        for x, y, _ in face.mesh:
            pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=colour)
        for x, y in face.points5:
            pen.ellipse((x - 2 * dot, y - 2 * dot, x + 2 * dot, y + 2 * dot), fill="white")
        pen.rectangle(face.box, outline=colour, width=line)
        font = ImageFont.load_default(size=max(10, round((y2 - y1) / 7)))
        left, top, right, bottom = pen.textbbox((0, 0), str(face.id), font=font)
        width, height = right - left + 4 * line, bottom - top + 4 * line
        x, y = min(x1, image.width - width), max(0, y1 - height)
        pen.rectangle((x, y, x + width, y + height), fill=colour)
        pen.text((x + 2 * line - left, y + 2 * line - top), str(face.id), fill="black", font=font)
    return np.asarray(image)
