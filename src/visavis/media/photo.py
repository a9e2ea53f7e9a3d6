"""open_photo: any picture becomes a Photo, upright, in sRGB, within limits; or one sentence says why not."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.settings import settings
from visavis.core.task import PhotoLike
from visavis.core.types import Photo, Pixels
from visavis.media import decode, formats, paths

if TYPE_CHECKING:
    from PIL import Image

_SLACK = 64 * 2**20
_ROWS = 256
_OVERSHOOT = 1e-3
_FORMS = "an array is uint8, uint16 or float 0..1, [H, W], [H, W, 1], [H, W, 3] RGB or [H, W, 4] RGBA"
_UNSUPPORTED = ("unsupported", "not supported", "unknown pixel mode", "unknown raw mode", "cannot handle")


def open_photo(source: PhotoLike | Image.Image) -> Photo:
    """A path, an array, a Pillow picture or a Photo as a Photo.

    Files: JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP, JPEG 2000, PPM, whatever their name. They are turned upright by
    their EXIF, brought to sRGB by their colour profile, laid over white where transparent; of several frames the first
    is taken and `meta["note"]` says so. Integers or floats of 32 bits outside the usual ranges (0..1, 0..255,
    0..65535) are stretched from their smallest to their largest value (`meta["stretched"]`).

    Arrays are RGB: uint8, uint16 or float 0..1; [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] with alpha. They are copied.
    OpenCV's are BGR, so turn the channels round:

        open_photo(cv2.imread("a.jpg")[:, :, ::-1])

    meta: path, sha256 (of the file), format, frames, orientation (the EXIF value that was applied), and where they
    apply taken (datetime, the camera's), profile (its name, or "broken": ignored), note, stretched.

    Raises InputError in one sentence that names the file, or an array's shape and dtype; larger photos than
    VISAVIS_MAX_PIXELS are refused before they are decoded.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        return Photo(_freeze(_from_array(source)), meta={"frames": 1, "orientation": 1})
    if isinstance(source, str | os.PathLike):
        return _from_file(source)
    pillow: Any = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(source, pillow.Image):
        return _from_pillow(source)
    raise InputError(f"A photo is a path, an array, a Pillow picture or a Photo, not {type(source).__name__}.")


def decode_photo(data: bytes, name: str = "photo") -> Photo:
    """The bytes of a picture file as a Photo; `name` is what messages call it."""
    if not data:
        raise InputError(f"{name} is empty (0 bytes).")
    most = settings().max_pixels
    _check_head(name, data[: paths.HEAD], len(data), most)
    return _decode(data, name, name, most, {"sha256": hashlib.sha256(data).hexdigest()})


def _from_file(path: str | os.PathLike[str]) -> Photo:
    called, most = paths.shown(path), settings().max_pixels
    data = paths.read_file(path, lambda head, size: _check_head(called, head, size, most))
    facts = {"path": os.fspath(path), "sha256": hashlib.sha256(data).hexdigest()}
    return _decode(data, called, paths.file_name(path), most, facts)


def _check_head(called: str, head: bytes, size: int, most_pixels: int) -> None:
    if formats.recognise(head) is None:
        raise InputError(f"{called} is not a photo: it is no {formats.NAMES} file.")
    # No format needs more than 8 bytes a pixel (16-bit RGBA without compression).
    most = 8 * most_pixels + _SLACK
    if size > most:
        raise InputError(
            f"{called} has {size / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB that the largest allowed photo "
            "can need; VISAVIS_MAX_PIXELS moves the limit."
        )


def _decode(data: bytes, called: str, name: str, most: int, facts: dict[str, Any]) -> Photo:
    format = formats.recognise(data[: paths.HEAD])
    if format is None:  # the file changed between the look at its head and the reading
        raise InputError(f"{called} is not a photo: it is no {formats.NAMES} file.")
    with decode.quiet():
        try:
            image = formats.open_image(data, format)
            _check_size(called, *image.size, most)
            frames = formats.count_frames(image, data, format)
            # Pillow turns a TIFF while it loads, libheif a HEIC: what is left to turn is asked only afterwards.
            told = decode.orientation(image) if format == "TIFF" else image.info.get("original_orientation")
            image.load()
            _check_size(called, *image.size, most)
            left = decode.orientation(image)
            pixels, more = decode.pixels_of(image, left, called)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(f"{called} needs more memory than this machine gives.") from error
        except Exception as error:  # on damaged files the readers raise nearly anything
            raise InputError(_why(called, data, format, error)) from error
    meta = facts | {"format": image.format or format, "frames": frames, "orientation": told or left} | more
    taken = decode.taken(image)
    if taken is not None:
        meta["taken"] = taken
    if frames > 1:
        meta["note"] = f"first of {formats.frames_said(frames)}"
    return Photo(_freeze(pixels), name, meta)


def _why(called: str, data: bytes, format: str, error: Exception) -> str:
    text = str(error).lower()
    if "decompression bomb" in text:
        return f"{called} has more pixels than Pillow's reader of {format} files allows."
    if "text chunk" in text or "decompressed data too large" in text or "max_text" in text:
        return f"{called} holds a text or profile that swells to an unreasonable size; it is not read."
    if isinstance(error, EOFError) or "truncated" in text or formats.ends_early(data, format):
        return f"{called} is truncated: the end of this {format} file is missing."
    if any(word in text for word in _UNSUPPORTED):
        return f"{called} is a kind of {format} file that visavis cannot read."
    return f"{called} is damaged: it cannot be decoded as {format}."


def _check_size(called: str, width: int, height: int, most: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{called} has no pixels ({width} x {height}).")
    if width * height > most:
        raise InputError(
            f"{called} has {width} x {height} pixels ({width * height / 1e6:,.1f} million), more than the limit of "
            f"{most / 1e6:,.1f} million; VISAVIS_MAX_PIXELS moves it."
        )


def _from_pillow(image: Image.Image) -> Photo:
    name = paths.file_name(getattr(image, "filename", "")) or "picture"
    _check_size(name, *image.size, settings().max_pixels)
    with decode.quiet():
        try:
            image.load()
            turn = decode.orientation(image)
            pixels, more = decode.pixels_of(image, turn, name)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{name}, a Pillow picture of mode {image.mode}, cannot be decoded ({error}).") from error
    return Photo(_freeze(pixels), name, {"frames": 1, "orientation": turn, **more})


def _from_array(array: NDArray[Any]) -> Pixels:
    received = f"received shape {list(array.shape)} and dtype {array.dtype}"
    known = array.dtype.kind == "f" or (array.dtype.kind == "u" and array.dtype.itemsize <= 2)
    if (
        not known
        or array.ndim not in (2, 3)
        or array.size == 0
        or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    ):
        raise InputError(f"The array is no photo: {received}; {_FORMS}.")
    _check_size("The array", array.shape[1], array.shape[0], settings().max_pixels)
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not np.isfinite((low, high)).all():
            raise InputError(f"The array holds NaN or infinite values ({received}).")
        if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
            raise InputError(
                f"The array's values reach from {low:g} to {high:g}, floats must lie in 0..1 ({received})."
            )
    out = np.empty((*array.shape[:2], 3), np.uint8)
    whole = np.asarray(array) if array.ndim == 3 else np.asarray(array)[:, :, None]
    for top in range(0, len(whole), _ROWS):
        part = _to_bytes(whole[top : top + _ROWS])
        out[top : top + _ROWS] = decode.over_white(part) if part.shape[2] == 4 else part
    return out


def _to_bytes(part: NDArray[Any]) -> Pixels:
    if part.dtype == np.uint8:
        return part
    if part.dtype.kind == "f":
        return np.rint(np.clip(part.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    return ((part.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _freeze(pixels: Pixels) -> Pixels:
    pixels.flags.writeable = False
    return pixels
