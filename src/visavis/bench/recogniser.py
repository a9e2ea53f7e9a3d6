"""A recogniser to be measured or calibrated: A, or a user's own ONNX file with the crop and scaling that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.errors import InputError
from visavis.core.types import Face, Floats, Template
from visavis.faces import embed
from visavis.faces.analyse import embed_faces

BATCH = 32


@dataclass(frozen=True)
class Recogniser:
    """file: None for A; key: names everything that decides its vectors, for caches and tables.

    A user's file has one picture input, [N, 3, S, S] or [N, S, S, 3] (N may be fixed to 1), and reads
    (pixel - mean) / std in RGB; its first output is the vector.
    """

    name: str
    key: str
    file: Path | None = None
    template: Template = "recognise"
    mean: float = 127.5
    std: float = 127.5

    @staticmethod
    def named(name: str, *, template: str = "recognise", mean: float = 127.5, std: float = 127.5) -> Recogniser:
        """`A`, or the path of an ONNX file; raises InputError for a file or template that does not exist."""
        if name.upper() == "A":
            return Recogniser("recogniser_a", embed.RECIPE)
        if template not in get_args(Template):
            raise InputError(f"--template is {', '.join(get_args(Template))}, not {template!r}.")
        if not std > 0:
            raise InputError(f"--std is a number above 0, not {std:g}.")
        file = weights.user_file(name)
        from visavis.core.files import sha256_of

        key = f"{sha256_of(file)[:16]}-{template}-{mean:g}-{std:g}"
        return Recogniser(file.stem, key, file, template, mean, std)  # type: ignore[arg-type]

    def vectors(self, faces: Sequence[Face]) -> Floats:
        """float32 [N, L] of unit length."""
        if self.file is None or not faces:
            return embed_faces(faces)
        crops = np.stack([face.crop(self.template).pixels for face in faces]).astype(np.float32)
        return self._run((crops - self.mean) / self.std)

    def _run(self, crops: Floats) -> Floats:
        session = _session(self.file)
        entry = session.get_inputs()[0]
        shape = list(entry.shape)
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise InputError(f"{self.name} reads {shape}; a recogniser reads [N, 3, S, S] or [N, S, S, 3].")
        first = shape[1] == 3
        side = shape[2] if first else shape[1]
        if isinstance(side, int) and side != crops.shape[1]:
            raise InputError(f"{self.name} reads {side} px, the template {self.template} gives {crops.shape[1]} px.")
        batch = 1 if shape[0] == 1 else BATCH
        parts: list[Any] = []
        for start in range(0, len(crops), batch):
            part = crops[start : start + batch]
            part = np.ascontiguousarray(part.transpose(0, 3, 1, 2)) if first else part
            parts.append(session.run(None, {entry.name: part})[0].reshape(len(part), -1))
        vectors = np.concatenate(parts).astype(np.float32)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def _session(file: Path | None) -> Any:
    if file is None:
        raise ValueError("recogniser A has no file")
    try:
        return onnx_session(file)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file} cannot be loaded as an ONNX model: {str(error)[:120]}") from error
