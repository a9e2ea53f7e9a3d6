"""Packs of portrait frames: small, and another machine trains on them without looking at any photo again.

A pack says of each frame what was seen on the photo, as the cache has it, but for the mesh: of that only the five
points by which the frame was cut.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.progress import say, track
from visavis.core.types import Pixels
from visavis.faces.mesh import LEFT_EYE, MOUTH, NOSE_TIP, RIGHT_EYE, five_points
from visavis.media.photo import decode_photo
from visavis.training.cache import CHUNK, KEY, batched
from visavis.training.doubles import without_doubles
from visavis.training.prepare import FACTS, FRAMES, Prepared, column
from visavis.training.rows import Broken, Row, Source, rows
from visavis.training.splits import Labels

QUALITY = 78  # of WebP
RECORD = np.dtype([*(field for field in FACTS if field[0] != "mesh"), ("five", "<f4", (5, 2))])
OF_FIVE = (LEFT_EYE, RIGHT_EYE, (NOSE_TIP,), (MOUTH[0],), (MOUTH[1],))


def records(prepared: Prepared, order: Sequence[int], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a pack in this order. prepared: with the columns portrait and vector_a; names: of the labels kept."""
    from PIL import Image

    kept, stored = {*without_doubles(prepared).keys}, prepared.column("portrait")
    places = stored.rows(prepared.keys)
    for i in order:
        file = io.BytesIO()
        Image.fromarray(stored.array()[places[i]]).save(file, "WEBP", quality=QUALITY, method=6)
        key, labels = prepared.keys[i], prepared.labels[i]
        yield {
            "image": file.getvalue(),
            "person": str(prepared.persons[i]),
            "split": str(prepared.splits[i]),
            "key": key.hex(),
            "facts": _packed(prepared.facts[i]).tobytes(),
            "double": key not in kept,
            **{name: labels.get(name) for name in names},
        }


def read(data: Source, columns: Sequence[str], labels: Sequence[str]) -> Prepared:
    """The rows of a pack, their frames in the cache. Raises InputError for columns that frames cannot give."""
    lacking = [name for name in columns if name != "portrait"]
    if lacking:
        raise InputError(f"{data.name} is a pack of frames, which gives no {lacking[0]}; pack photos for that.")
    broken, stored = Broken(), column("portrait", FRAMES)
    seen: dict[bytes, tuple[Row, NDArray[Any]]] = {}
    for batch in batched(track(rows(data, broken, labels), f"reading {data.name}"), CHUNK):
        new: dict[bytes, Pixels] = {}
        for row in batch:
            if row.split == "test":
                continue
            try:
                key, facts = bytes.fromhex(row.labels["key"]), np.frombuffer(row.labels["facts"], RECORD, 1)
                if len(key) != KEY or not isinstance(row.labels["double"], bool):
                    raise ValueError
                if stored.rows([key])[0] < 0:
                    new[key] = _frame(row.image)
            except (InputError, KeyError, TypeError, ValueError):
                broken.add(row.name, "no frame with its facts")
                continue
            seen[key] = row, facts
        if new:
            stored.add(list(new), np.stack(list(new.values())))
    if broken.total:
        say(f"{data.name}: {broken.sentence()}")
    if not seen:
        raise InputError(f"{data.name} holds no frame for training. {broken.sentence()}".strip())
    found = [row for row, _ in seen.values()]
    persons, splits = np.array([row.person for row in found]), np.array([row.split for row in found])
    kept: list[Labels] = [{k: v for k, v in row.labels.items() if k not in ("key", "facts")} for row in found]
    facts = _unpacked(np.concatenate([facts for _, facts in seen.values()]))
    return Prepared(data.name, list(seen), persons, splits, kept, facts, 0, broken, FRAMES)


def _packed(facts: NDArray[Any]) -> NDArray[Any]:
    record = np.zeros((), RECORD)
    for name in RECORD.names or ():
        record[name] = five_points(facts["mesh"]) if name == "five" else facts[name]
    return record


def _unpacked(packed: NDArray[Any]) -> NDArray[Any]:
    """Facts whose mesh has the five points and nothing else."""
    facts = np.zeros(len(packed), FACTS)
    for name in RECORD.names or ():
        if name != "five":
            facts[name] = packed[name]
    for number, points in enumerate(OF_FIVE):
        facts["mesh"][:, list(points), :2] = packed["five"][:, number, None]
    return facts


def _frame(image: bytes) -> Pixels:
    pixels = decode_photo(image).pixels
    if pixels.shape != column("portrait").shape:
        raise InputError("This is no portrait frame.")
    return pixels
