"""Pictures and other files, written whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from visavis.core.errors import InputError
from visavis.core.types import Pixels
from visavis.media import paths

_LONGEST = 240
_FORBIDDEN = '<>:"/\\|?*'
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def write_png(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """uint8 [H, W, 3] RGB (or [H, W] gray) as PNG; an older file of this name is replaced."""
    _write(path, pixels, "PNG")


def write_jpeg(path: str | os.PathLike[str], pixels: Pixels, quality: int = 92) -> None:
    """uint8 [H, W, 3] RGB (or [H, W] gray) as JPEG, colour at full size; an older file of this name is replaced."""
    height, width = pixels.shape[:2]
    if max(width, height) > 65_500:
        raise InputError(f"{paths.shown(path)} cannot be a JPEG: {width} x {height} pixels are over 65,500 a side.")
    _write(path, pixels, "JPEG", quality=quality, subsampling=0)


def _write(path: str | os.PathLike[str], pixels: Pixels, format: str, **options: int) -> None:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    write_bytes(path, out.getvalue())


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Makes the folders above where they are missing, writes beside the target and moves into place.

    Whoever reads the path meanwhile sees the old file or the new one. Raises InputError (full disk, no permission) and
    leaves nothing behind.
    """
    target = Path(path)
    # Not core.files.write_whole: a name of 255 bytes leaves no room for more, and outputs have the user's permissions.
    part = target.parent / f".visavis-{secrets.token_hex(8)}.part"
    try:
        _refuse_other_than_file(target)
        os.makedirs(paths.openable(target.parent), exist_ok=True)
        try:
            with open(paths.openable(part), "xb") as handle:
                handle.write(data)
            os.replace(paths.openable(part), paths.openable(target))
        except BaseException:
            Path(paths.openable(part)).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        detail = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{paths.shown(path)} cannot be written ({detail}).") from error


def _refuse_other_than_file(target: Path) -> None:
    try:
        mode = os.stat(paths.openable(target)).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):  # moving a file over /dev/null would take the device away
        raise InputError(f"{paths.shown(target)} cannot be written: it is {paths.kind(mode)}.")


def unique_names(
    sources: Iterable[str | os.PathLike[str]], suffix: str = ".png", into: str | os.PathLike[str] | None = None
) -> list[str]:
    """A file name for each source, after its own, with another suffix; no two alike on any system.

    The second a.jpg, from another folder, becomes a-2.png. Names are free of what Windows forbids and leave room.
    Where the files go `into` the folder of their sources, no name is that of a source.
    """
    origins = [Path(source) for source in sources]
    taken: set[str] = set()
    if into is not None:
        folder = os.path.realpath(into)
        beside = [source for source in origins if source.suffix.lower() == suffix]
        taken = {_key(source.stem) for source in beside if os.path.realpath(source.parent) == folder}
    names = []
    for source in origins:
        stem = portable_name(source.stem)
        name, number = stem, 1
        while _key(name) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(_key(name))
        names.append(name + suffix)
    return names


def _key(name: str) -> str:
    # macOS and Windows hold A and a for the same name, macOS also é in one and in two code points.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def portable_name(stem: str) -> str:
    """A name for a file or folder that every system takes."""
    text = "".join("_" if c in _FORBIDDEN or unicodedata.category(c) in ("Cc", "Cs") else c for c in stem)
    text = text.encode()[:_LONGEST].decode(errors="ignore").rstrip(" .")
    if not text or text.split(".")[0].lower() in _DEVICES:
        text = f"{text}_"
    return text
