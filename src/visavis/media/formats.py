"""Which kinds of picture are read: known by their first bytes, opened by exactly one of Pillow's or libheif's readers.

Image.open is not used: it tries every plugin (Ghostscript among them) and warns by a limit of its own.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

NAMES = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP, JPEG 2000 or PPM"
SUFFIXES = frozenset(
    f".{name}"
    for names in (
        ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        ("heic", "heics", "heif", "heifs", "hif", "avif", "avifs"),
        ("jp2", "j2k", "jpx", "jpf", "jpc", "ppm", "pgm", "pbm", "pnm"),
    )
    for name in names
)
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
)
MOST_FRAMES = 1000  # that are counted: each is looked for in the file
_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


def recognise(head: bytes) -> str | None:
    """The format by a file's first bytes (some 100 of them), or None for what is no photo."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, min(length, len(head)), 4))}
        # An AVIF file may call itself mif1 first: its own brand in the list decides.
        return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIF else None
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    name = next((name for start, name in _SIGNATURES if head.startswith(start)), None)
    if name == "BMP" and int.from_bytes(head[14:18], "little") not in _BITMAP_HEADERS:
        return None  # a text that begins with BM
    return name


def open_image(data: bytes, format: str) -> Image.Image:
    """The picture with its header read and nothing decoded; raises whatever the reader raises on a damaged file."""
    if format == "TIFF":
        _hush_libtiff()
    if format != "JPEG":
        image = _readers()[format](io.BytesIO(data))
        if format == "TIFF":
            _three_channels(image)
        return image
    from PIL import JpegImagePlugin

    try:
        return JpegImagePlugin.jpeg_factory(io.BytesIO(data))
    except Exception:
        # A damaged list of further frames (MPO) makes the factory fail; the first frame is a JPEG of its own.
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))


def _three_channels(image: Any) -> None:
    # Pillow before 13 reads uncompressed YCbCr of a TIFF as if it were RGB in four channels, and calls it truncated.
    photometric, samples = 262, 277
    if (image.tag_v2.get(photometric), image.tag_v2.get(samples)) == (6, 3) and image.mode == "RGB":
        told = [(tile[3][0], tile[0]) for tile in image.tile]
        if told and set(told) == {("RGBX", "raw")}:
            image._mode = "YCbCr"
            image.tile = [type(tile)("raw", tile[1], tile[2], ("YCbCr", *tile[3][1:])) for tile in image.tile]


def _readers() -> dict[str, Callable[[io.BytesIO], Image.Image]]:
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    return {
        "PNG": PngImagePlugin.PngImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "AVIF": AvifImagePlugin.AvifImageFile,
        "HEIF": _heif,
        "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
        "PPM": PpmImagePlugin.PpmImageFile,
    }


@functools.cache
def _hush_libtiff() -> None:
    """libtiff writes a line for each damaged strip to stderr, which Pillow does not prevent; its errors still count."""
    import ctypes

    from PIL import _imaging

    with contextlib.suppress(OSError, AttributeError):  # Windows' builds do not show the function
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _heif(data: io.BytesIO) -> Image.Image:
    from pi_heif import HeifImageFile

    image: Image.Image = HeifImageFile(data)
    return image


def count_frames(image: Image.Image, data: bytes, format: str) -> int:
    """How many pictures the file holds, as far as they can be walked; MOST_FRAMES where there are more."""
    count = 1
    try:
        if format not in ("GIF", "TIFF"):
            return min(max(1, int(getattr(image, "n_frames", 1))), MOST_FRAMES)
        # Walking to the end of a damaged file leaves its reader unusable: another one walks.
        walker: Any = open_image(data, format)
        while count < MOST_FRAMES:
            # Not `n_frames`, which walks millions of them, nor `seek`, which decodes those of a GIF.
            walker._seek(count, *([False] if format == "GIF" else []))
            count += 1
    except EOFError:
        return count
    except Exception:
        return 1
    return count


def frames_said(frames: int) -> str:
    """A count of frames in words."""
    return f"at least {frames:,} frames" if frames >= MOST_FRAMES else f"{frames} frames"


def ends_early(data: bytes, format: str) -> bool:
    """Whether the end of the file is missing, by its own marks; asked only where decoding failed."""
    tail = data[-1024:]
    if format == "JPEG":
        return b"\xff\xd9" not in tail
    if format == "PNG":
        return b"IEND" not in tail
    if format == "GIF":
        return not tail.rstrip(b"\0").endswith(b";")
    if format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if format in ("HEIF", "AVIF"):
        at = 0
        while at + 8 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            if length == 1:
                length = int.from_bytes(data[at + 8 : at + 16], "big")
            if length < 8:  # 0: to the end of the file
                return False
            at += length
        return at != len(data)
    return False
