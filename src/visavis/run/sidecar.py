"""The JSON beside a made picture, NAME.json beside NAME.png: how it was made, and the picture's own sha256."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visavis.core.errors import InputError
from visavis.media import paths
from visavis.media.write import write_bytes

SCHEMA = "visavis.output/1"
MOST = 16 * 2**20


def beside(path: str | os.PathLike[str]) -> Path:
    """Where the JSON of a picture lies."""
    return Path(path).with_suffix(".json")


def check(path: str | os.PathLike[str]) -> None:
    """Raises InputError where the JSON of this picture would take the place of something else."""
    where = beside(path)
    if not os.path.lexists(paths.openable(where)):
        return
    there = read(path)
    if there is not None and there.get("file") not in (None, Path(path).name):
        raise InputError(
            f"{paths.shown(where)} is the record of {there['file']}; give the picture another name, without its suffix."
        )


def write(path: str | os.PathLike[str], facts: Mapping[str, Any]) -> Path:
    """Writes the JSON of a picture that is finished: what changes its bytes afterwards makes the sha256 wrong.

    Returns where it lies. Raises InputError where the picture cannot be read or the JSON not be written.
    """
    digest = hashlib.sha256(paths.read_file(path, lambda head, size: None)).hexdigest()
    made = {"schema": SCHEMA, "file": Path(path).name, "sha256": digest, **facts}
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    write_bytes(beside(path), text.encode("utf-8", "surrogateescape"))
    return beside(path)


def read(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The JSON of a picture, or None where there is none; InputError where it is not what `write` made."""
    where = beside(path)
    if not os.path.lexists(paths.openable(where)):
        return None
    try:
        made = json.loads(paths.read_file(where, lambda head, size: _check(where, size)))
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict) or made.get("schema") != SCHEMA or not isinstance(made.get("sha256"), str):
        raise InputError(f"{paths.shown(where)} is no record of visavis: it does not say {SCHEMA} and a sha256.")
    return made


def _check(where: Path, size: int) -> None:
    if size > MOST:
        raise InputError(f"{paths.shown(where)} has {size / 2**20:,.0f} MB, too much for a record of visavis.")
