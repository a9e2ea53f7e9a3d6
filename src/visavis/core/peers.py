"""Models of others (`VISAVIS_PEERS`): teachers and rows to compare with, never shipped."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from visavis.core.errors import InputError
from visavis.core.files import intact
from visavis.core.settings import settings


def peer_model(name: str) -> Path:
    """The verified file of a peer, named as in its peers.json. Raises InputError where it cannot be had."""
    folder = settings().peers
    if folder is None:
        raise InputError(f"This needs the model {name} of others: set VISAVIS_PEERS to the folder that holds it.")
    facts = _facts(folder).get(f"{name}.onnx")
    if facts is None:
        raise InputError(f"{folder / 'peers.json'} names no model {name!r}.")
    path = folder / f"{name}.onnx"
    if not intact(path, facts):
        raise InputError(f"{path} is missing or is not the file that peers.json names.")
    return path


@cache
def _facts(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "peers.json").read_text())
        return {name: facts["sha256"] for name, facts in found.items() if isinstance(facts, dict)}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} has no peers.json that can be read.") from error
