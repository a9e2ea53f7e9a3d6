"""Where runs lie."""

from __future__ import annotations

from pathlib import Path

from visavis.core.errors import InputError
from visavis.core.settings import settings


def run_folder(name: str) -> Path:
    """VISAVIS_HOME/runs/NAME. Raises InputError for a name that is no single folder."""
    if not name or name != Path(name).name:
        raise InputError(f"A run's name is one folder's name, not {name!r}.")
    return settings().data / "runs" / name
