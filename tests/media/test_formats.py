"""Formats by first bytes, whatever Pillow has registered."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import pytest
from tests.media.drawing import draw

from visavis.media.formats import SUFFIXES, ends_early, recognise


def brands(major: bytes, *others: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + major + bytes(4) + b"".join(others) + b"meta"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (brands(b"avif"), "AVIF"),
        (brands(b"mif1", b"miaf", b"avif"), "AVIF"),
        (brands(b"mif1", b"heic"), "HEIF"),
        (brands(b"heix"), "HEIF"),
        (brands(b"mif1"), "HEIF"),
        (brands(b"isom", b"mp42"), None),
        (brands(b"qt  "), None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"P6\n3 3\n", "PPM"),
        (b"P7\n", None),
        (b"Photo album", None),
        (b"", None),
    ],
)
def test_containers_and_lookalikes(head: bytes, expected: str | None) -> None:
    assert recognise(head) == expected


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM"])
def test_every_format_is_known_by_its_head_and_its_end(format: str) -> None:
    out = io.BytesIO()
    draw().save(out, format)
    data = out.getvalue()
    name = recognise(data[:64])
    assert name is not None
    assert name.replace(" ", "") == format
    assert not ends_early(data, name)
    if format not in ("TIFF", "BMP", "JPEG2000", "PPM"):
        assert ends_early(data[: len(data) // 2], name)


def test_suffixes_are_lower_case_and_begin_with_a_dot() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".tif", ".gif", ".bmp"} <= SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


def test_neither_pillow_nor_libheif_is_imported_before_a_photo_is_opened() -> None:
    script = """
import sys
import visavis.media.photo, visavis.media.write, visavis.media.folder
print([name for name in ("PIL", "pi_heif", "ctypes.wintypes") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_registers_nothing_with_pillow() -> None:
    script = f"""
from pathlib import Path
from PIL import Image
from visavis.media.photo import open_photo
Image.init()
before = sorted(Image.OPEN)
open_photo(Path({__file__!r}).parent / "heic" / "orientation_1.heic")
assert sorted(Image.OPEN) == before
"""
    subprocess.run([sys.executable, "-c", script], check=True)
