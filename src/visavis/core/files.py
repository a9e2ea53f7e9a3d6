"""Files that are whole or absent: atomic writes, digests, and one process at a time."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from visavis.core.settings import private_folder

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_intact: set[tuple[str, str, int, int, int]] = set()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact(path: Path, sha256: str) -> bool:
    """Whether the file has this sha256; read once in a process, and again when its size or time changes."""
    try:
        stat = path.stat()
        key = (str(path), sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        if key not in _intact and path.is_file() and sha256_of(path) == sha256:
            _intact.add(key)
    except OSError:
        return False
    return key in _intact


def write_whole(path: Path, chunks: Iterable[bytes], sha256: str | None = None) -> str:
    """Writes the file or nothing and returns its sha256; ValueError where that is not the expected one.

    The unfinished file lies beside the target as `.NAME.*.part`: a rename is atomic only inside one filesystem.
    """
    digest = hashlib.sha256()
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if sha256 is not None and digest.hexdigest() != sha256:
            raise ValueError(f"sha256 {digest.hexdigest()} instead of {sha256}")
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)
    return digest.hexdigest()


def sweep_parts(path: Path) -> None:
    """Removes what killed writers of this file left; only for the holder of its lock."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def locked(lock: Path, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Holds a lock file against other processes and threads; `waiting` is called once when another holds it.

    Yields False on a filesystem without locks: then the work may be done twice, but each file is still whole.
    """
    private_folder(lock.parent)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        held = _take(handle)
        if held is None and waiting is not None:
            waiting()
        while held is None:
            time.sleep(0.1)
            held = _take(handle)
        yield held
    finally:
        os.close(handle)  # lets go of the lock, as the end of the process does


def _take(handle: int) -> bool | None:
    """True: held; None: another holds it; False: no locks here."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK) else False
    return True
