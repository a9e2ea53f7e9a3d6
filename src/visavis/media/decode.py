"""From a Pillow picture of any mode to upright sRGB pixels, block by block, so that no second full copy is held."""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.types import Pixels

if TYPE_CHECKING:
    from PIL import Image

BLOCK = 512  # a block of each stage fits the cache
ORIENTATION = 274
_EXIF, _TAKEN, _CHANGED = 0x8769, 36867, 306
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_IDENTICAL = 2
# EXIF orientation: Pillow's method that makes the picture upright (Image.Transpose, not imported for its weight)
_TURNS: dict[int, Any] = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


class _Here(threading.local):
    quiet = False


_here = _Here()


class _OnlyHere:
    """Stands where a warnings filter has its pattern and a logger its filter: holds inside `quiet` of this thread.

    warnings.catch_warnings would change the filters of all threads at once, and a filter by module would hide
    Pillow's warnings from the user's own code.
    """

    def match(self, _: str) -> bool:
        return _here.quiet

    def filter(self, _: logging.LogRecord) -> bool:
        return not _here.quiet


_only_here = _OnlyHere()
_FILTER: Any = ("ignore", _only_here, Warning, None, 0)


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings and log lines about odd files do not reach stderr from here; other threads keep theirs."""
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    if _FILTER not in filters:
        filters.insert(0, _FILTER)
        logging.getLogger("PIL.TiffImagePlugin").addFilter(_only_here)
    before, _here.quiet = _here.quiet, True
    try:
        yield
    finally:
        _here.quiet = before


def orientation(image: Image.Image) -> int:
    """The EXIF value 1 to 8; 1 where there is none or the EXIF is damaged."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF: Pillow raises struct.error, SyntaxError, KeyError, ...
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def taken(image: Image.Image) -> datetime | None:
    """When the camera took it, in the camera's own time; None where the EXIF does not say."""
    try:
        exif = image.getexif()
        return datetime.strptime(str(exif.get_ifd(_EXIF).get(_TAKEN) or exif.get(_CHANGED))[:19], "%Y:%m:%d %H:%M:%S")
    except Exception:  # damaged or no date: as above
        return None


def pixels_of(image: Image.Image, turn: int, name: str) -> tuple[Pixels, dict[str, Any]]:
    """Upright sRGB pixels of a loaded picture whose EXIF orientation is `turn`, and facts for Photo.meta.

    Transparent parts become white.
    """
    facts: dict[str, Any] = {}
    convert = _converter(image, facts, name)
    width, height = image.size
    out = np.empty((width, height, 3) if turn > 4 else (height, width, 3), np.uint8)
    stored = _as_stored(out, turn)
    for top, left, block in _blocks(image):
        place = _as_upright(stored[top : top + block.height, left : left + block.width], turn)
        # Pillow turns four bytes at a time: five times as fast as an assignment to turned rows of numpy.
        part = convert(block.transpose(_TURNS[turn]) if turn in _TURNS else block)
        place[...] = part if part.ndim == 3 else part[:, :, None]
    return out, facts


def _as_stored(upright: NDArray[Any], turn: int) -> NDArray[Any]:
    """A view of upright pixels, indexed as the file stores them under an EXIF orientation."""
    flipped = upright[:: -1 if turn in (3, 4, 7, 8) else 1, :: -1 if turn in (2, 3, 6, 7) else 1]
    return flipped.swapaxes(0, 1) if turn > 4 else flipped


def _as_upright(stored: NDArray[Any], turn: int) -> NDArray[Any]:
    swapped = stored.swapaxes(0, 1) if turn > 4 else stored
    return swapped[:: -1 if turn in (3, 4, 7, 8) else 1, :: -1 if turn in (2, 3, 6, 7) else 1]


def over_white(pixels: NDArray[np.uint8]) -> Pixels:
    """Pixels whose last channel is alpha, laid over white; [H, W, 2] gives [H, W], [H, W, 4] gives [H, W, 3]."""
    colour, alpha = pixels[:, :, :-1], pixels[:, :, -1:]
    if int(alpha.min()) < 255:
        wide = alpha.astype(np.uint32)
        colour = ((colour * wide + 255 * (255 - wide) + 127) // 255).astype(np.uint8)
    return colour[:, :, 0] if colour.shape[2] == 1 else colour


def _blocks(image: Image.Image) -> Iterator[tuple[int, int, Image.Image]]:
    width, height = image.size
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            box = (left, top, min(left + BLOCK, width), min(top + BLOCK, height))
            yield top, left, image.crop(box)


def _converter(image: Image.Image, facts: dict[str, Any], name: str) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """The function from a block to uint8 [h, w] or [h, w, 3]."""
    from PIL import Image as pil
    from PIL import ImageCms

    mode = image.mode
    wide = _wide(image, facts, name) if mode == "F" or mode.startswith("I") else None
    alpha = _alpha_mode(image)
    if wide is not None or mode == "1" or (alpha or mode) in ("LA", "L"):
        base = "L"
    else:
        base = mode if mode in ("CMYK", "LAB") else "RGB"
    transform = _transform(image, base, facts)

    def convert(block: Image.Image) -> NDArray[np.uint8]:
        if wide is not None or alpha:
            part = wide(block) if wide is not None else over_white(np.asarray(block.convert(alpha)))
            if transform is None:
                return part
            block = pil.fromarray(part)
        elif block.mode != base:
            block = block.convert(base)
        if transform is not None:
            block = ImageCms.applyTransform(block, transform) or block
        elif base == "CMYK":
            block = block.convert("RGB")
        return np.asarray(block)

    return convert


def _alpha_mode(image: Image.Image) -> str | None:
    mode = image.mode
    if mode in ("LA", "La"):
        return "LA"
    if mode in ("RGBA", "RGBa", "PA") or (mode in ("P", "RGB") and "transparency" in image.info):
        return "RGBA"
    if mode in ("1", "L") and "transparency" in image.info:
        return "LA"
    return None


def _transform(image: Image.Image, mode: str, facts: dict[str, Any]) -> Any:
    """The way from the picture's colours to sRGB; None where they are sRGB already or the profile is of no use."""
    from PIL import Image as pil
    from PIL import ImageCms

    embedded = image.info.get("icc_profile")
    if not embedded and mode != "LAB":
        return None
    try:
        if embedded:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
            if _MODE_OF_SPACE.get(profile.profile.xcolor_space.strip()) != mode:
                raise ValueError("a profile for another kind of picture")
            description = str(ImageCms.getProfileDescription(profile)).strip()
        else:
            profile, description = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "Lab"
        made = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        samples = _samples(mode)
        changed = None if samples is None else ImageCms.applyTransform(pil.fromarray(samples), made)
    except Exception:  # lcms and its wrapper raise PyCMSError, OSError, ValueError, TypeError on damaged profiles
        facts["profile"] = "broken"
        if mode == "LAB":
            raise
        return None
    facts["profile"] = description or "without a name"
    if samples is not None and changed is not None:
        expected = samples if samples.ndim == 3 else samples[:, :, None]
        if np.abs(np.asarray(changed).astype(int) - expected).max() <= _IDENTICAL:
            return None  # most files carry plain sRGB: nothing to do, at a third of the time
    return made


def _samples(mode: str) -> NDArray[np.uint8] | None:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    if mode == "L":
        return steps[None]
    if mode == "RGB":
        return np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)
    return None


def _wide(image: Image.Image, facts: dict[str, Any], name: str) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """For more than 8 bits: where the values lie between black and white, and the function that brings them there."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (0,))[0]
    inverted = tags.get(_PHOTOMETRIC, 1) == 0
    if image.mode.startswith("I;16"):
        full = 4095 if bits == 12 else 65535
        table = np.clip(np.rint(np.arange(65536) * (255 / full)), 0, 255).astype(np.uint8)
        if inverted:  # Pillow turns "white is zero" only for 8 bits
            table = np.uint8(255) - table
        return lambda block: table[np.asarray(block)]

    unsigned = bits == 32 and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1

    def values(block: Image.Image) -> NDArray[np.float64]:
        raw = np.asarray(block)
        return (raw.view(np.uint32) if unsigned and raw.dtype == np.int32 else raw).astype(np.float64)

    ends = [(part.min(), part.max()) for part in (values(block) for _, _, block in _blocks(image))]
    low, high = float(np.min(ends)), float(np.max(ends))
    if not np.isfinite((low, high)).all():
        raise InputError(f"{name} holds values that are no numbers (NaN or infinite).")
    usual = _usual_range(low, high, image)
    if usual is None:
        facts["stretched"] = (low, high)
    black, white = usual or (low, high)
    slope = 255 / (white - black) if white > black else 0.0

    def scale(block: Image.Image) -> NDArray[np.uint8]:
        part = np.rint(np.clip((values(block) - black) * slope, 0, 255)).astype(np.uint8)
        return np.uint8(255) - part if inverted else part

    return scale


def _usual_range(low: float, high: float, image: Image.Image) -> tuple[float, float] | None:
    """Black and white of 32-bit values that lie inside one of the usual ranges."""
    if low < 0 or high > 65535:
        return None
    if image.mode == "F" and high <= 1:
        return 0.0, 1.0
    # Pillow scales a PPM beyond 8 bits to 16, however dark it is.
    return (0.0, 255.0) if high <= 255 and image.format != "PPM" else (0.0, 65535.0)
