"""Recognisers of others that a student learns from, on ArcFace crops."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visavis.core import weights
from visavis.core.catalogue import Terms
from visavis.core.devices import onnx_session
from visavis.core.errors import InputError
from visavis.core.files import sha256_of
from visavis.core.peers import peer_model
from visavis.core.settings import settings
from visavis.core.types import Floats, Pixels


@dataclass(frozen=True)
class Teacher:
    """It reads (pixel - mean) / std, RGB, and gives `length` numbers; batch 0: any number of faces at once."""

    name: str
    terms: Terms
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    length: int = 128
    batch: int = 0

    @property
    def key(self) -> str:
        """Names everything that decides its answers."""
        return f"{self.name} {sha256_of(Path(self.name))}" if self.name.endswith(".onnx") else self.name

    def vectors(self, crops: Pixels) -> Floats:
        """float32 [N, D] of unit length, of crops uint8 [N, 112, 112, 3]. One thread for each core."""
        own = self.name.endswith(".onnx")
        session = onnx_session(weights.user_file(self.name) if own else peer_model(self.name), threads=1)
        name, size = session.get_inputs()[0].name, self.batch or 32

        def run(start: int) -> Floats:
            part = (crops[start : start + size].astype(np.float32) - self.mean) / np.asarray(self.std, np.float32)
            return np.asarray(session.run(None, {name: part.transpose(0, 3, 1, 2).astype(np.float32)})[0], np.float32)

        with ThreadPoolExecutor(settings().threads) as pool:
            made = np.concatenate(list(pool.map(run, range(0, len(crops), size))))
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


_HALF = (127.5, 127.5, 127.5)
TEACHERS = {
    teacher.name: teacher
    for teacher in (
        Teacher("mobilefacenet_foamliu", "permissive", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), batch=1),
        Teacher("edgeface_xxs", "research-only", _HALF, _HALF, length=512),
        Teacher("mobilefacenet_y1", "research-only", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    )
}


def teacher(name: str) -> Teacher:
    """One of TEACHERS, or a user's own ONNX file that reads x / 127.5 - 1 and any number of crops [N, 3, 112, 112]."""
    if name.endswith(".onnx"):
        session = onnx_session(weights.user_file(name), threads=1)
        return Teacher(name, "unknown", _HALF, _HALF, int(session.get_outputs()[0].shape[-1]))
    if name not in TEACHERS:
        raise InputError(f"There is no teacher {name!r}; known are {', '.join(TEACHERS)} and your own .onnx file.")
    return TEACHERS[name]


def both_ways(chosen: Sequence[Teacher], crops: Pixels) -> Floats:
    """The mean over crop and mirror image of each teacher, unit length, side by side and again of unit length."""
    parts = []
    for one in chosen:
        made = one.vectors(crops) + one.vectors(crops[:, :, ::-1])
        parts.append(made / np.linalg.norm(made, axis=1, keepdims=True))
    side = np.concatenate(parts, 1)
    return np.asarray(side / np.linalg.norm(side, axis=1, keepdims=True), np.float32)
