"""What an album keeps of one photo: plain values, so that other processes can look and this one writes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from visavis.core.errors import InputError
from visavis.core.files import sha256_of
from visavis.core.types import Face, Floats
from visavis.faces import embed
from visavis.faces.analyse import embed_faces, find_faces
from visavis.faces.score import calibration
from visavis.faces.track import tracks
from visavis.media import paths
from visavis.media.photo import decode_photo
from visavis.media.video import frames, taken

CROP = 96  # side of the small picture of a face, pixels
# Whose vectors and statistics are in the album: another detector, recogniser or cohort makes another recipe.
RECIPE = f"{embed.RECIPE}+1"


@dataclass(frozen=True, eq=False)
class FaceRecord:
    """box: x1, y1, x2, y2 as shares of the photo's sides; vector: float32 [128]; mean, deviation: of its nearest
    cohort distances; words: why it is poor, or ""; seconds: of a video; jpeg: a small picture of it."""

    number: int
    box: tuple[float, float, float, float]
    vector: Floats
    mean: float
    deviation: float
    eyes_px: float
    sharpness: float
    words: str
    jpeg: bytes
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class PhotoRecord:
    """problem: why the photo could not be read; then it has no faces."""

    sha256: str
    problem: str | None = None
    width: int = 0
    height: int = 0
    taken: datetime | None = None
    faces: tuple[FaceRecord, ...] = ()


def look_at(path: str | Path) -> PhotoRecord:
    """Reads a photo once: its hash is of the very bytes that were looked at.

    Raises InputError where the file cannot be opened; what is open but no photo comes back with its `problem`.
    """
    data = paths.read_file(path, lambda head, size: None)
    digest = hashlib.sha256(data).hexdigest()
    try:
        photo = decode_photo(data, paths.shown(path))
    except InputError as error:
        return PhotoRecord(digest, problem=str(error))
    faces = find_faces(photo)
    return PhotoRecord(digest, None, photo.width, photo.height, photo.meta.get("taken"), records(faces))


def look_at_video(path: str | Path) -> PhotoRecord:
    """Follows the faces through a video and keeps the best looks of each; otherwise as `look_at`."""
    digest = sha256_of(Path(path))
    looks: list[tuple[Face, float]] = []
    try:
        for track in tracks(frames(path)):
            looks += zip(track.faces, track.seconds, strict=True)
    except InputError as error:
        if not looks:
            return PhotoRecord(digest, problem=str(error))
    if not looks:
        return PhotoRecord(digest, taken=taken(path))
    photo = looks[0][0].photo
    found = records([face for face, _ in looks], [seconds for _, seconds in looks])
    return PhotoRecord(digest, None, photo.width, photo.height, taken(path), found)


def records(faces: Sequence[Face], seconds: Sequence[float | None] = ()) -> tuple[FaceRecord, ...]:
    """Faces of one photo, or of one video with their times."""
    vectors = embed_faces(faces)
    statistics = calibration().cohort.statistics(vectors)
    times = seconds or [None] * len(faces)
    return tuple(
        FaceRecord(
            number=face.id if not seconds else number,
            box=_shares(face),
            vector=vector,
            mean=float(mean),
            deviation=float(deviation),
            eyes_px=face.quality.size_px.value,
            sharpness=face.quality.sharpness.value,
            words=", ".join(face.quality.words),
            jpeg=_small(face),
            seconds=time,
        )
        for number, (face, vector, (mean, deviation), time) in enumerate(
            zip(faces, vectors, statistics, times, strict=True), 1
        )
    )


def _shares(face: Face) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = face.box
    return x1 / face.photo.width, y1 / face.photo.height, x2 / face.photo.width, y2 / face.photo.height


def _small(face: Face) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    picture = Image.fromarray(np.asarray(face.crop("portrait").pixels)).resize((CROP, CROP), Image.Resampling.LANCZOS)
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
