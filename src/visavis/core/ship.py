"""Writes a file of the distribution visavis-weights and its line in index.json, atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from visavis.core.catalogue import Terms
from visavis.core.files import write_whole
from visavis.core.weights import reread, shipped_folder


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

    return ship_file(name, ".safetensors", save(dict(arrays)), terms, trained_on, command, folder)


def ship_json(
    name: str, table: Mapping[str, Any], *, terms: Terms, trained_on: str, command: str, folder: Path | None = None
) -> Path:
    """Writes NAME.json and indexes it."""
    return ship_file(name, ".json", json.dumps(table).encode(), terms, trained_on, command, folder)


def ship_folder(name: str, made: Path, terms: Terms, trained_on: str, command: str) -> Path:
    """Puts a folder in place of the one that was shipped under this name; each file is an entry NAME/FILE."""
    folder = shipped_folder()
    target, index_path = folder / name, folder / "index.json"
    files = {f"{name}/{path.relative_to(made).as_posix()}": path for path in sorted(made.rglob("*")) if path.is_file()}
    index = json.loads(index_path.read_text("utf-8")) if index_path.exists() else {}
    for gone in [key for key in index if key.startswith(f"{name}/") and key not in files]:
        (folder / index.pop(gone)["file"]).unlink(missing_ok=True)
    for key, path in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        digest = write_whole(folder / key, [path.read_bytes()])
        index[key] = {"file": key, "sha256": digest, "terms": terms, "trained_on": trained_on, "command": command}
    write_whole(index_path, [(json.dumps(index, indent=1, sort_keys=True) + "\n").encode()])
    reread()
    return target


def ship_file(
    name: str, suffix: str, data: bytes, terms: Terms, trained_on: str, command: str, folder: Path | None = None
) -> Path:
    """Writes NAME + suffix and indexes it."""
    folder = folder or shipped_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{suffix}"
    digest = write_whole(path, [data])
    index_path = folder / "index.json"
    index = json.loads(index_path.read_text("utf-8")) if index_path.exists() else {}
    index[name] = {"file": path.name, "sha256": digest, "terms": terms, "trained_on": trained_on, "command": command}
    write_whole(index_path, [(json.dumps(index, indent=1, sort_keys=True) + "\n").encode()])
    reread()
    return path
