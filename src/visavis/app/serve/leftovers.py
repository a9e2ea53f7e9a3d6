"""What a server holds of a person who is forgotten: uploads in the making, and pictures that were made of them."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from visavis.core.settings import settings, without_password

ENDED = ("done", "failed", "cancelled")  # states of a job
UPLOADS = "uploads"  # in the folder of a job, until it has ended
KEPT = 3600  # seconds that an upload of the page is kept
SCRATCH = "serve-"  # of short tasks: beside the page's folder


def page_folder() -> Path:
    """Where uploads lie while they are read."""
    return settings().tmp / "page"


def jobs_folder() -> Path:
    """Where a server's jobs lie, a folder each."""
    return settings().data / "jobs" / "serve"


def empty() -> None:
    """Removes all uploads, also those of a server that was killed; the page's folder stays."""
    for path in (*page_folder().glob("*"), *settings().tmp.glob(f"{SCRATCH}*")):
        if path.is_dir():
            with contextlib.suppress(OSError):
                path = path.rename(f"{path}.gone")  # at once, for whoever is reading there
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def size(folder: Path) -> int:
    """Bytes of all that lies below it."""
    found = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # removed meanwhile
            found += path.lstat().st_size
    return found


def sweep(older: float = KEPT) -> None:
    """Removes what was sent to the page and not touched for so many seconds, also what never came whole."""
    for path in sorted(page_folder().rglob("*"), reverse=True):
        with contextlib.suppress(OSError):  # gone meanwhile, or a folder that is in use
            if path.lstat().st_mtime < time.time() - older:
                path.rmdir() if path.is_dir() else path.unlink()


def album_called(where: str) -> str:
    """An album's path or URL as a job's record has it: without a password."""
    return without_password(where) if "://" in where else str(Path(where).expanduser().absolute())


def forget(person: int, album: str, known: Collection[int]) -> None:
    """Removes uploads; every job that has not ended and was given photos, whoever is on them; and the ended ones of
    this album whose records name the person, or somebody who is not among the known any more, as after a merge."""
    empty()
    for job in filter(Path.is_dir, jobs_folder().glob("*")):
        record = _read(job / "job.json")
        of = record if isinstance(record, dict) else {}
        if of.get("state") not in ENDED and (job / UPLOADS).exists():
            _end(job)
        elif of.get("album") in (None, "", album):
            named = {one for path in job.rglob("*.json") for one in _people(_read(path))}
            if person in named or named - set(known):
                shutil.rmtree(job, ignore_errors=True)


def _end(job: Path) -> None:
    """Removes a job. A file stays in the place of its folder, so that the process that still works on it cannot make
    the folder anew before the server has ended it."""
    for _ in range(100):
        shutil.rmtree(job, ignore_errors=True)
        with contextlib.suppress(OSError):
            job.touch(exist_ok=False)
        if job.is_file():
            return


def _read(record: Path) -> Any:
    try:
        return json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _people(record: Any) -> Iterator[int]:
    """Whom the consents of a record name."""
    if isinstance(record, list):
        for one in record:
            yield from _people(one)
    elif isinstance(record, dict):
        if isinstance(consents := record.get("consent"), list):
            said = (one.get("person") for one in consents if isinstance(one, dict))
            yield from (one for one in said if isinstance(one, int))
        yield from _people(list(record.values()))
