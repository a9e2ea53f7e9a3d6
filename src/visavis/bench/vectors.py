"""One row a photo of a labelled data set: recogniser A's vector, the face's quality, the set's own labels.

Made once through the product's own path (`look`, then the recogniser) and kept in the cache under the recipe's version
and the set's size and date, because tens of thousands of photos take minutes.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.recogniser import Recogniser
from visavis.core import weights
from visavis.core.errors import InputError, missing_extra
from visavis.core.progress import track
from visavis.core.settings import private_folder, settings
from visavis.core.types import Face
from visavis.faces.analyse import central, find_faces, needs
from visavis.media.folder import walk
from visavis.training.prepare import one_thread

QUALITY = ("size_px", "sharpness", "pose", "light", "covered")
CHUNK = 256
A = Recogniser.named("A")
VERSION = 1


@dataclass(frozen=True, eq=False)
class VectorSet:
    """found: bool [N]; vectors: float32 [N, 128], zero where no face was found; quality: float32 [N, 5] in the order
    of QUALITY; labels: the set's columns, each an array [N]."""

    found: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    quality: NDArray[np.float32]
    labels: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.found)

    def take(self, rows: NDArray[Any]) -> VectorSet:
        """The rows of a mask or index."""
        labels = {name: column[rows] for name, column in self.labels.items()}
        return VectorSet(self.found[rows], self.vectors[rows], self.quality[rows], labels)


def data_folder(name: str) -> Path:
    """A data set's folder below VISAVIS_DATA; raises InputError where there is none."""
    top = settings().data_sets
    if top is None or not (top / name).is_dir():
        raise InputError(f"This needs the data set {name}: set VISAVIS_DATA to the folder that holds {name}/.")
    return top / name


def parquet_rows(files: Sequence[Path], columns: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Rows of parquet files, one row group at a time."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Reading data sets") from error
    for path in files:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=list(columns)).to_pylist()


def vector_set(name: str, files: Sequence[str], labels: Sequence[str], recogniser: Recogniser = A) -> VectorSet:
    """The vectors of a set of face crops (parquet files below VISAVIS_DATA/name, picture bytes in `image`)."""
    folder = data_folder(name)
    paths = [folder / file for file in files]
    key = json.dumps([VERSION, recogniser.key, labels, [(p.name, p.stat().st_size) for p in paths]])
    kept = settings().cache / "vectors" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if kept.exists():
        with np.load(kept) as arrays:
            columns = {label: arrays[f"label_{label}"] for label in labels}
            return VectorSet(arrays["found"], arrays["vectors"], arrays["quality"], columns)
    rows = list(parquet_rows(paths, ["image", *labels]))
    found, vectors, quality = _all([row["image"] for row in rows], recogniser, f"vectors of {name}")
    columns = {label: np.array([row[label] for row in rows]) for label in labels}
    private_folder(kept.parent)
    part = kept.with_suffix(".part.npz")
    np.savez(part, found=found, vectors=vectors, quality=quality, **{f"label_{k}": v for k, v in columns.items()})
    part.replace(kept)
    return VectorSet(found, vectors, quality, columns)


def decode(image: bytes) -> NDArray[np.uint8]:
    """Picture bytes of a data set -> uint8 [H, W, 3] RGB."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


def folder_set(folder: Path, recogniser: Recogniser = A) -> VectorSet:
    """The vectors of a user's photos: label `name` is the subfolder, or the file itself where it lies in none."""
    paths = [path for path, problem in walk([folder]) if problem is None]
    if not paths:
        raise InputError(f"{folder} holds no photos.")
    names = [str(p.parent if p.parent != folder else p) for p in paths]
    found, vectors, quality = _all(paths, recogniser, f"vectors of {folder.name}")
    return VectorSet(found, vectors, quality, {"name": np.array(names)})


def _all(sources: Sequence[bytes | Path], recogniser: Recogniser, label: str) -> tuple[NDArray[Any], ...]:
    """found, vectors, quality of all sources: a process for each core, since half of the work holds Python's lock."""
    weights.fetch(needs("yunet", embedding=True))
    chunks = [sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK)]
    workers = min(settings().threads, len(chunks))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), one_thread) as pool:
        made = list(track(pool.map(_embed, chunks, [recogniser] * len(chunks)), label, len(chunks)))
    found, vectors, quality = (np.concatenate(parts) for parts in zip(*made, strict=True))
    return found, vectors, quality


def _embed(sources: Sequence[bytes | Path], recogniser: Recogniser) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    faces = [_central(source) for source in sources]
    seen = [face for face in faces if face]
    found = np.array([face is not None for face in faces])
    made = recogniser.vectors(seen)
    vectors = np.zeros((len(sources), made.shape[1]), np.float32)
    quality = np.zeros((len(sources), len(QUALITY)), np.float32)
    if seen:
        vectors[found] = made
        quality[found] = [[getattr(face.quality, name).value for name in QUALITY] for face in seen]
    return found, vectors, quality


def _central(source: bytes | Path) -> Face | None:
    try:
        return central(find_faces(decode(source) if isinstance(source, bytes) else source))
    except InputError:
        return None
