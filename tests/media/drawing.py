"""What the tests of this room share: a drawn picture without any symmetry, files of unusual kinds, an ordinary user."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visavis.core.errors import InputError
from visavis.core.types import Photo, Pixels
from visavis.media.photo import open_photo


def draw() -> Image.Image:
    y, x = np.mgrid[0:48, 0:64]
    image = Image.fromarray(np.stack([x * 4, y * 5, 255 - x * 3], -1).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle([4, 4, 20, 12], fill=(255, 255, 0))
    pen.ellipse([40, 20, 60, 40], fill=(200, 0, 0))
    return image


def difference(photo: Photo, expected: Image.Image | Pixels) -> float:
    """Mean absolute difference of two pictures, in steps of 255."""
    theirs = np.asarray(expected.convert("RGB") if isinstance(expected, Image.Image) else expected)
    assert photo.pixels.shape == theirs.shape
    return float(np.abs(photo.pixels.astype(int) - theirs).mean())


def tiff(values: np.ndarray, bits: int, kind: int = 1, photometric: int = 1) -> bytes:
    """A gray TIFF as Pillow cannot write it. kind: 1 unsigned, 2 signed, 3 float; photometric 0: white is zero."""
    height, width = values.shape
    data = values.tobytes() if bits != 12 else _twelve(values)
    tags = (
        (256, 4, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(data)),
        (339, 3, kind),
    )
    entries = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
    data += bytes(len(data) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def _twelve(values: np.ndarray) -> bytes:
    pairs = values.reshape(-1, 2).astype(int)
    first, second = pairs[:, 0], pairs[:, 1]
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8).tobytes()


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG with any header: colour 0 gray, 2 RGB, 4 gray with alpha, 6 RGBA; `more` are chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may read everything: gives that up for a while, and lets the others reach the folder."""
    if os.geteuid():
        yield
        return
    modes = [(path, path.stat().st_mode) for path in (folder, *folder.parents) if path != Path("/")]
    for path, mode in modes:
        path.chmod(mode | 0o055)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for path, mode in modes:
            path.chmod(mode)


def sentences(text: str, name: str) -> None:
    """What every message to a user is: one line, at most two sentences, with the file's name."""
    assert name in text
    assert "\n" not in text
    assert len(re.findall(r"[.!?](?= |$)", text)) <= 2
    assert text.endswith(".")


def refusal(path: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        open_photo(path)
    text = str(caught.value)
    sentences(text, Path(path).name)
    return text
