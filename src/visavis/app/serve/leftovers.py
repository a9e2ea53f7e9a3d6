"""What a server holds of a person who is forgotten: uploads in the making, and pictures that were made of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from visavis.core.settings import settings

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
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def forget(person: int) -> None:
    """Removes uploads, and the jobs whose records name this person of the album."""
    empty()
    for job in jobs_folder().glob("*"):
        if any(_names(_read(record), person) for record in job.rglob("*.json")):
            shutil.rmtree(job, ignore_errors=True)


def _read(record: Path) -> Any:
    try:
        return json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _names(record: Any, person: int) -> bool:
    if isinstance(record, list):
        return any(_names(one, person) for one in record)
    if not isinstance(record, dict):
        return False
    consents = record.get("consent")
    if isinstance(consents, list) and any(isinstance(c, dict) and c.get("person") == person for c in consents):
        return True
    return any(_names(value, person) for value in record.values())
