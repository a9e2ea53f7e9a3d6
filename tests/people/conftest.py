from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from visavis.faces.score import calibration
from visavis.people.photos import Added, FileFacts, add_photo
from visavis.people.record import FaceRecord, PhotoRecord
from visavis.people.store import Store


@pytest.fixture
def store(where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    opened = Store(where)
    yield opened
    opened.close()


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def looks_of(person: int, count: int, spread: float = 0.02) -> np.ndarray:
    """float32 [count, 128]: vectors as near to one another as photos of one person, and people as strangers."""
    strangers = calibration().cohort.vectors
    centre = strangers[person * 37 % len(strangers)]
    noise = np.random.default_rng(person).normal(0, spread, (count, len(centre)))
    return unit(centre + noise)


def face(vector: np.ndarray, number: int = 1, left: float = 0.1, words: str = "") -> FaceRecord:
    mean, deviation = calibration().cohort.statistics(vector[None])[0]
    jpeg = b"\xff\xd8" + hashlib.sha512(vector.tobytes()).digest() * 30
    box = (left, 0.2, left + 0.15, 0.5)
    return FaceRecord(number, box, vector, float(mean), float(deviation), 60.0, 0.9, words, jpeg)


@pytest.fixture
def put(store: Store) -> Callable[..., Added]:
    """put(path, face, ...): a photo with these faces in the album; the file need not exist."""

    def put_(path: str, *faces: FaceRecord, content: str = "", bring_back: bool = False, taken=None) -> Added:
        digest = hashlib.sha256((content or path).encode()).hexdigest()
        record = PhotoRecord(digest, None, 400, 300, taken, tuple(faces))
        with store.write() as connection:
            return add_photo(connection, FileFacts(path, 1000, 1), record, bring_back=bring_back)

    return put_
