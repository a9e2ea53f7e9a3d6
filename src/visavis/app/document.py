"""The JSON forms of photos and faces (design, section 11)."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import zip_longest
from typing import Any

from visavis.core import weights
from visavis.core.settings import settings
from visavis.core.types import Face, Measure, Photo
from visavis.faces.attributes import Labels


def face_row(face: Face, *, mesh: bool = False, labels: Labels | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": face.id,
        "box": _round(face.box, 1),
        "score": round(face.score, 4),
        "turn": face.turn,
        "points5": [_round(point, 1) for point in face.points5],
        "pose": {f.name: round(getattr(face.pose, f.name), 1) for f in fields(face.pose)},
        "eyes_open": round(face.eyes_open, 3),
        "mouth_open": round(face.mouth_open, 3),
        "smile": round(face.smile, 3),
        "age": {**{f.name: round(getattr(face.age, f.name), 1) for f in fields(face.age)}, "band": face.age.band},
        "quality": {f.name: _measure(getattr(face.quality, f.name)) for f in fields(face.quality)},
        "words": list(face.quality.words),
    }
    if mesh:
        row["mesh"] = [_round(point, 2) for point in face.mesh]
    if labels:
        row["labels"] = {
            "female": round(labels.female, 3),
            "race": {name: round(share, 3) for name, share in labels.race.items()},
        }
    return row


def photo_row(
    path: str, photo: Photo, faces: Sequence[Face], *, mesh: bool = False, labels: Sequence[Labels] = ()
) -> dict[str, Any]:
    return {
        "path": path,
        "width": photo.width,
        "height": photo.height,
        "frames": photo.meta.get("frames", 1),
        "faces": [face_row(f, mesh=mesh, labels=known) for f, known in zip_longest(faces, labels)],
        "error": None,
    }


def failed_row(path: str, error: str) -> dict[str, Any]:
    return {"path": path, "width": None, "height": None, "frames": None, "faces": [], "error": error}


def origin(names: Iterable[str], seconds: float) -> dict[str, Any]:
    """What made the answer: device, weights with sha256, terms and training data, seconds."""
    device = f"{settings().device} ({platform.machine()})"
    return {"device": device, "weights": weights.told(*sorted(set(names))), "seconds": round(seconds, 3)}


def _measure(measure: Measure) -> dict[str, Any]:
    return {"value": round(measure.value, 3), "word": measure.word, "good": measure.good}


def _round(values: Iterable[Any], digits: int) -> list[float]:
    return [round(float(v), digits) for v in values]
