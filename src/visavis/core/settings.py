"""Folders and settings (design, section 15): read from the environment at each call, so that nothing is stale."""

from __future__ import annotations

import errno
import functools
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from visavis.core.errors import InputError

Device = Literal["cpu", "cuda"]
MAX_PIXELS = 256_000_000
ALBUM = "album.db"


@dataclass(frozen=True)
class Settings:
    """All settings of a process.

    weights, cache, tmp: what can be fetched or made again; data: folder of the user's own (album, runs, jobs, keys)
    threads:     for both runtimes
    data_sets:   folder of larger data sets or None (VISAVIS_DATA)
    peers:       folder of other people's models or None (VISAVIS_PEERS)
    max_pixels:  photos above are refused before decoding (VISAVIS_MAX_PIXELS)
    commercial:  only weights with permissive terms may be loaded
    album:       path or URL of the album; may hold a password
    """

    weights: Path
    cache: Path
    tmp: Path
    data: Path
    threads: int
    device: Device
    data_sets: Path | None
    peers: Path | None
    max_pixels: int
    commercial: bool
    album: str


def settings() -> Settings:
    """Settings from VISAVIS_* and the platform's user folders; raises InputError naming a variable that is wrong."""
    env = os.environ.get
    home = env("VISAVIS_HOME")
    if home:
        top = _folder("VISAVIS_HOME", home)
        weights, cache, tmp, data = top / "weights", top / "cache", top / "tmp", top
    else:
        cache_top = Path(platformdirs.user_cache_dir("visavis", appauthor=False))
        weights, cache, tmp = cache_top / "weights", cache_top / "cache", cache_top / "tmp"
        data = Path(platformdirs.user_data_dir("visavis", appauthor=False))
    device = env("VISAVIS_DEVICE") or "cpu"
    if device not in ("cpu", "cuda"):
        raise InputError(f"--device / VISAVIS_DEVICE is cpu or cuda, not {device!r}.")
    data_sets, peers = env("VISAVIS_DATA"), env("VISAVIS_PEERS")
    licence = env("VISAVIS_LICENCE") or "any"
    if licence not in ("any", "commercial"):
        raise InputError(f"--licence / VISAVIS_LICENCE is any or commercial, not {licence!r}.")
    return Settings(
        weights=weights,
        cache=cache,
        tmp=tmp,
        data=data,
        threads=_positive("VISAVIS_THREADS", _own_cores()),
        device="cuda" if device == "cuda" else "cpu",
        data_sets=_folder("VISAVIS_DATA", data_sets) if data_sets else None,
        peers=_folder("VISAVIS_PEERS", peers) if peers else None,
        max_pixels=_positive("VISAVIS_MAX_PIXELS", MAX_PIXELS),
        commercial=licence == "commercial",
        album=env("VISAVIS_ALBUM") or str(data / ALBUM),
    )


def own_album() -> str:
    """Where the album lies that nobody had to name."""
    return str(settings().data / ALBUM)


def without_password(place: str) -> str:
    """A path or URL as it may be shown: no password before the host or among the parameters."""
    text = re.sub(r"(://[^:/@?]*:).*@", r"\1***@", place)
    return re.sub(r"(?i)([?&]\w*pass\w*=)[^&]*", r"\1***", text)


def private_folder(path: Path) -> Path:
    """Makes a folder, and those above it, that only its owner can enter (0700); InputError where that cannot be."""
    try:
        for folder in reversed([p for p in (path, *path.parents) if not p.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file is in its place", str(path))
    except OSError as error:
        raise InputError(
            f"The folder {path} cannot be made ({error.strerror}); set VISAVIS_HOME to one that can."
        ) from error
    return path


def scratch(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder inside visavis' own, removed on exit."""
    folder = private_folder(settings().tmp)
    try:
        return tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be written ({error.strerror}); set VISAVIS_HOME to one that can."
        ) from error


def usable_cores(control_group: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: affinity, and the control group's quota (version 2 or 1) where there is one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    for read in (_quota2, _quota1):
        try:
            quota, period = read(control_group)
            if quota > 0 and period > 0:
                return min(cores, max(1, quota // period))
        except (OSError, ValueError):
            pass
    return cores


# A process asks hundreds of times while it looks at a photo; its cores stay the same.
_own_cores = functools.cache(usable_cores)


def _quota2(top: Path) -> tuple[int, int]:
    quota, period = (top / "cpu.max").read_text().split()[:2]
    return (0 if quota == "max" else int(quota)), int(period)


def _quota1(top: Path) -> tuple[int, int]:
    return int((top / "cpu/cpu.cfs_quota_us").read_text()), int((top / "cpu/cpu.cfs_period_us").read_text())


def _folder(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # ~somebody who is not known here
        raise InputError(f"{name} names no folder: {text!r}.") from error


def _positive(name: str, default: int) -> int:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise InputError(f"{name} is a whole number from 1 on, not {text!r}.")
    return value
