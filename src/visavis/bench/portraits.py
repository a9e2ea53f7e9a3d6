"""Portrait frames of a labelled test set: what a judge reads, and what other recognisers see of the same frame.

A made picture holds nothing outside the portrait frame, so recognisers are compared on photos cut to that frame too.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.vectors import CHUNK, VERSION, data_folder, decode, parquet_rows
from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.settings import private_folder, settings
from visavis.core.types import Floats, Pixels
from visavis.faces import align
from visavis.faces.analyse import central, find_faces, needs
from visavis.faces.embed import embed_chips
from visavis.training.prepare import one_thread


@dataclass(frozen=True, eq=False)
class Portraits:
    """found: bool [N]; crops: uint8 [N, 128, 128, 3]; meshes: float32 [N, 468, 3] in pixels of the crop (zero where no
    face was found); labels: the set's columns, each [N]."""

    found: NDArray[np.bool_]
    crops: Pixels
    meshes: Floats
    labels: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.found)

    def take(self, rows: NDArray[Any]) -> Portraits:
        labels = {name: column[rows] for name, column in self.labels.items()}
        return Portraits(self.found[rows], self.crops[rows], self.meshes[rows], labels)

    def arcface(self) -> Pixels:
        """uint8 [N, 112, 112, 3]: the ArcFace crops of the frames; what lies outside a frame is replicated."""
        to_recognise = align.between_templates("portrait")
        size = align.SIZES["recognise"]
        return np.stack([align.warp(crop, to_recognise, size) for crop in self.crops])

    def vectors_a(self) -> Floats:
        """Recogniser A's vectors float32 [N, 128] of the frames."""
        made = np.zeros((len(self), 128), np.float32)
        rows = np.flatnonzero(self.found)
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            chips = [align.crop(self.crops[i], self.meshes[i], "dlib").pixels for i in part]
            made[part] = embed_chips(np.stack(chips))
        return made


def portraits(name: str, files: Sequence[str], labels: Sequence[str]) -> Portraits:
    """The frames of a set of face crops below VISAVIS_DATA, made once and kept in the bench's own cache."""
    paths = [data_folder(name) / file for file in files]
    key = json.dumps([VERSION, labels, [(path.name, path.stat().st_size) for path in paths]])
    kept = settings().cache / "portraits" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not kept.exists():
        rows = list(parquet_rows(paths, ["image", *labels]))
        weights.fetch(needs("yunet"))
        chunks = [[row["image"] for row in rows[i : i + CHUNK]] for i in range(0, len(rows), CHUNK)]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(settings().threads, len(chunks)), context, one_thread) as pool:
            made = list(track(pool.map(_cut, chunks), f"portraits of {name}", len(chunks)))
        found, crops, meshes = (np.concatenate(parts) for parts in zip(*made, strict=True))
        columns = {f"label_{label}": np.array([row[label] for row in rows]) for label in labels}
        private_folder(kept.parent)
        part = kept.with_suffix(".part.npz")
        np.savez(part, found=found, crops=crops, meshes=meshes, **columns)  # type: ignore[arg-type]
        part.replace(kept)
    with np.load(kept) as arrays:
        columns = {label: arrays[f"label_{label}"] for label in labels}
        return Portraits(arrays["found"], arrays["crops"], arrays["meshes"], columns)


def _cut(images: Sequence[bytes]) -> tuple[NDArray[np.bool_], Pixels, Floats]:
    size = align.SIZES["portrait"]
    found, crops = np.zeros(len(images), bool), np.zeros((len(images), size, size, 3), np.uint8)
    meshes = np.zeros((len(images), 468, 3), np.float32)
    for i, image in enumerate(images):
        try:
            face = central(find_faces(decode(image)))
        except InputError:
            continue
        if face is not None:
            crop = face.crop("portrait")
            found[i], crops[i], meshes[i] = True, crop.pixels, face.mesh
            meshes[i, :, :2] = align.apply(crop.to_crop, face.mesh[:, :2])
    return found, crops, meshes
