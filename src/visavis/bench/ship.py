"""Writes a file of the distribution visavis-weights and its line in index.json, atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from visavis.core.catalogue import Terms
from visavis.core.files import write_whole
from visavis.core.weights import shipped_folder


def ship(
    name: str,
    arrays: Mapping[str, NDArray[Any]],
    *,
    terms: Terms,
    trained_on: str,
    command: str,
    folder: Path | None = None,
) -> Path:
    """Writes NAME.safetensors and indexes it. folder: the package's own (a source checkout) unless another is named."""
    from safetensors.numpy import save

    folder = folder or shipped_folder()
    path = folder / f"{name}.safetensors"
    digest = write_whole(path, [save(dict(arrays))])
    index_path = folder / "index.json"
    index = json.loads(index_path.read_text("utf-8")) if index_path.exists() else {}
    index[name] = {
        "file": path.name,
        "sha256": digest,
        "terms": terms,
        "trained_on": trained_on,
        "command": command,
    }
    write_whole(index_path, [(json.dumps(index, indent=1, sort_keys=True) + "\n").encode()])
    return path
