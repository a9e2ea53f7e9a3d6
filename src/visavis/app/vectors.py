"""Vectors for researchers: one row a face, with path, id, box, recipe version and the weights' sha256."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visavis.core import weights
from visavis.core.errors import InputError, missing_extra
from visavis.core.types import Face
from visavis.faces import embed
from visavis.faces.analyse import embed_faces
from visavis.media.write import write_bytes


class Vectors:
    """Collects rows; `write` makes the file at once, so that it is whole or not there."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix not in (".npz", ".parquet"):
            raise InputError(f"--embedding writes .npz or .parquet, not {self.path.name}.")
        if self.path.suffix == ".parquet":
            _pyarrow()
        self.rows: list[tuple[str, int, tuple[float, ...]]] = []
        self.vectors: list[np.ndarray[Any, Any]] = []

    def add(self, path: str, faces: Sequence[Face]) -> None:
        for face, vector in zip(faces, embed_faces(faces), strict=True):
            self.rows.append((path, face.id, face.box))
            self.vectors.append(vector)

    def write(self) -> None:
        vectors = np.stack(self.vectors) if self.vectors else np.zeros((0, 128), np.float32)
        columns: dict[str, Any] = {
            "path": [path for path, _, _ in self.rows],
            "id": [number for _, number, _ in self.rows],
            "box": np.array([box for _, _, box in self.rows], np.float32).reshape(-1, 4),
        }
        (sha256,) = (entry.sha256 for entry in weights.entries() if entry.name == "recogniser_a")
        origin = {"recogniser": "recogniser_a", "recipe": embed.RECIPE, "sha256": sha256}
        write_bytes(
            self.path,
            _npz(columns, vectors, origin) if self.path.suffix == ".npz" else _parquet(columns, vectors, origin),
        )


def _npz(columns: dict[str, Any], vectors: np.ndarray[Any, Any], origin: dict[str, str]) -> bytes:
    import io

    out = io.BytesIO()
    arrays: dict[str, Any] = {
        "path": np.array(columns["path"], dtype=np.str_),
        "id": np.array(columns["id"], np.int64),
        "box": columns["box"],
        "vector": vectors,
        **{key: np.array(value) for key, value in origin.items()},
    }
    np.savez(out, **arrays)
    return out.getvalue()


def _parquet(columns: dict[str, Any], vectors: np.ndarray[Any, Any], origin: dict[str, str]) -> bytes:
    pa = _pyarrow()
    fixed = {
        "box": pa.FixedSizeListArray.from_arrays(pa.array(columns["box"].ravel()), 4),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 128),
    }
    made = pa.table({"path": columns["path"], "id": columns["id"], **fixed}).replace_schema_metadata(origin)
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(made, sink)
    return bytes(sink.getvalue())


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise missing_extra("table", "Writing .parquet") from error
    return pyarrow
