"""Folders and settings (design, section 15): read from the environment at each call, so that nothing is stale."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from visavis.core.errors import InputError

Device = Literal["cpu", "cuda"]
MAX_PIXELS = 256_000_000


@dataclass(frozen=True)
class Settings:
    """All settings of a process.

    weights, cache, tmp: what can be fetched or made again; data: folder of the user's own (album, runs, jobs, keys)
    threads:     for both runtimes
    data_sets:   folder of larger data sets or None (VISAVIS_DATA)
    max_pixels:  photos above are refused before decoding (VISAVIS_MAX_PIXELS)
    commercial:  only weights with permissive terms may be loaded
    """

    weights: Path
    cache: Path
    tmp: Path
    data: Path
    threads: int
    device: Device
    data_sets: Path | None
    max_pixels: int
    commercial: bool


def settings() -> Settings:
    """Settings from VISAVIS_* and the platform's user folders; raises InputError naming a variable that is wrong."""
    env = os.environ.get
    home = env("VISAVIS_HOME")
    if home:
        top = Path(home).expanduser().absolute()
        weights, cache, tmp, data = top / "weights", top / "cache", top / "tmp", top
    else:
        cache_top = Path(platformdirs.user_cache_dir("visavis", appauthor=False))
        weights, cache, tmp = cache_top / "weights", cache_top / "cache", cache_top / "tmp"
        data = Path(platformdirs.user_data_dir("visavis", appauthor=False))
    device = env("VISAVIS_DEVICE", "cpu")
    if device not in ("cpu", "cuda"):
        raise InputError(f"--device / VISAVIS_DEVICE is cpu or cuda, not {device!r}.")
    data_sets = env("VISAVIS_DATA")
    licence = env("VISAVIS_LICENCE", "any")
    if licence not in ("any", "commercial"):
        raise InputError(f"--licence / VISAVIS_LICENCE is any or commercial, not {licence!r}.")
    return Settings(
        weights=weights,
        cache=cache,
        tmp=tmp,
        data=data,
        threads=_positive("VISAVIS_THREADS", usable_cores()),
        device="cuda" if device == "cuda" else "cpu",
        data_sets=Path(data_sets) if data_sets else None,
        max_pixels=_positive("VISAVIS_MAX_PIXELS", MAX_PIXELS),
        commercial=licence == "commercial",
    )


def private_folder(path: Path) -> Path:
    """Makes a folder that only its owner can enter (0700); raises InputError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(
            f"The folder {path} cannot be made ({error.strerror}); set VISAVIS_HOME to one that can."
        ) from error
    return path


def scratch(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder inside visavis' own, removed on exit."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=private_folder(settings().tmp))


def usable_cores() -> int:
    """Cores that this process may use: affinity, and the control group's quota where there is one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        if quota != "max":
            cores = min(cores, max(1, int(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return cores


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
