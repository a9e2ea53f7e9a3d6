"""Paths of any spelling: how to open them on every system, how to say them, what a file is before it is opened."""

from __future__ import annotations

import ntpath
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

from visavis.core.errors import InputError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_URL = re.compile(r"(?i)([a-z][a-z0-9+.-]+:/|data:)")
HEAD = 512


def shown(path: str | os.PathLike[str]) -> str:
    """The path for a message: control characters and undecodable bytes may not reach a terminal or a JSON file."""
    text = os.fspath(path)
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def openable(path: str | os.PathLike[str], system: str = os.name) -> str:
    """The path as the system's calls take it; on Windows paths over 260 characters need the prefix for long ones."""
    text = os.fspath(path)
    if system != "nt" or text.startswith("\\\\?\\"):
        return text
    full = ntpath.abspath(text)
    if len(full) < 240:
        return text
    return "\\\\?\\UNC" + full[1:] if full.startswith("\\\\") else "\\\\?\\" + full


def kind(mode: int) -> str | None:
    """What a thing that is no regular file is, in words; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return next((word for test, word in _KINDS if test(mode)), "no regular file")


def status(path: str | os.PathLike[str]) -> os.stat_result:
    """os.stat with an InputError that names the path."""
    try:
        return os.stat(openable(path))
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError | ValueError) and _URL.match(os.fspath(path)):
            raise InputError(f"{shown(path)} is a URL; visavis fetches nothing, give the path of a file.") from error
        raise failure(path, error, "opened") from error


def failure(path: str | os.PathLike[str], error: OSError | ValueError, what: str) -> InputError:
    """The sentence for a call of the system that failed on a path."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InputError(f"{shown(path)} does not exist.")
    if isinstance(error, OSError):
        return InputError(f"{shown(path)} cannot be {what} ({error.strerror or error}).")
    return InputError(f"{shown(path)} is no possible file name.")


def read_file(path: str | os.PathLike[str], check: Callable[[bytes, int], None]) -> bytes:
    """All bytes of a regular file; never waits on a pipe.

    check(first bytes, size) may raise before the rest is read.
    """
    _refuse_kind(path, status(path).st_mode)
    # A pipe that took the file's place since then would make open() wait: hence O_NONBLOCK.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        with open(os.open(openable(path), flags), "rb", buffering=0) as handle:
            found = os.fstat(handle.fileno())
            _refuse_kind(path, found.st_mode)
            head = handle.read(HEAD)
            if not head:
                raise InputError(f"{shown(path)} is empty (0 bytes).")
            check(head, found.st_size)
            handle.seek(0)
            return handle.readall()
    except OSError as error:
        raise failure(path, error, "read") from error
    except MemoryError as error:
        raise InputError(f"{shown(path)} needs more memory than this machine gives.") from error


def _refuse_kind(path: str | os.PathLike[str], mode: int) -> None:
    word = kind(mode)
    if word is not None:
        raise InputError(f"{shown(path)} is {word}, not a photo.")


def file_name(path: str | os.PathLike[str]) -> str:
    """The last part of a path, as messages say it."""
    return shown(Path(path).name or os.fspath(path))
