"""The photos below files and folders that a user named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from visavis.core.errors import InputError
from visavis.media import formats, paths

# "Party 3.2019" has no suffix: letters make one.
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}\Z")


def walk(sources: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[Path, str | None]]:
    """(path, None) for everything to open, (path, reason) for what a folder holds and cannot be a photo.

    A named file is always given out, for open_photo to judge. Folders are walked in the order of names, files before
    subfolders; links, pipes and devices inside are not followed. Files count by their suffix, files without one by
    their first bytes. Raises InputError at once (not at the first step) for a source that does not exist or a folder
    that cannot be read.
    """
    plan: list[tuple[Path, list[os.DirEntry[str]] | None]] = []
    for source in sources:
        folder = paths.kind(paths.status(source).st_mode) == "a folder"
        try:
            plan.append((Path(source), _entries(source) if folder else None))
        except OSError as error:
            raise InputError(
                f"The folder {paths.shown(source)} cannot be read ({error.strerror}); check its permissions."
            ) from error
    return _walk(plan)


def _walk(plan: list[tuple[Path, list[os.DirEntry[str]] | None]]) -> Iterator[tuple[Path, str | None]]:
    for source, entries in plan:
        if entries is None:
            yield source, None
            continue
        # A stack, not recursion: folders may be nested deeper than Python's limit.
        waiting = [(source, entries)]
        while waiting:
            folder, entries = waiting.pop()
            below = []
            for entry in entries:
                path = folder / entry.name
                if _is_link(entry) or entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                    yield path, _reason(entry, path)
                else:
                    below.append(path)
            opened = []
            for path in below:
                try:
                    opened.append((path, _entries(path)))
                except OSError as error:
                    yield path, f"a folder that cannot be read ({error.strerror})"
            waiting.extend(reversed(opened))


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(paths.openable(folder)) as found:
        return sorted(found, key=lambda entry: entry.name)


def _is_link(entry: os.DirEntry[str]) -> bool:
    junction = getattr(entry, "is_junction", None)  # Windows, from Python 3.12 on
    return entry.is_symlink() or bool(junction and junction())


def _reason(entry: os.DirEntry[str], path: Path) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if _is_link(entry):
        return "a link, not followed"
    try:
        word = paths.kind(entry.stat(follow_symlinks=False).st_mode)
        if word is not None:
            return word
        suffix = _SUFFIX.search(entry.name)
        if suffix is not None:
            return None if suffix.group().lower() in formats.SUFFIXES else f"not a photo by its suffix {suffix.group()}"
        with open(paths.openable(path), "rb") as handle:
            return None if formats.recognise(handle.read(paths.HEAD)) else "not a photo by its first bytes"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
