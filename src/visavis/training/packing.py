"""A slice of a data set in one file: what another machine needs to train, and no photo of test."""

from __future__ import annotations

import hashlib
import heapq
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visavis.core.errors import InputError, missing_extra
from visavis.core.progress import track
from visavis.core.types import Floats, Template
from visavis.faces import align
from visavis.media.photo import decode_photo
from visavis.media.write import write_bytes
from visavis.training.prepare import Prepared, prepare
from visavis.training.rows import IMAGES, Broken, Row, Source, rows, source

QUALITY = 85  # of WebP
# Around the corners of all templates' crops, as a share of their span: room for a mesh that falls a little otherwise.
MARGIN = 0.03
SIDE = 176  # px: about the side of an upright face's square with its margin
LONGEST = 100  # letters of a label
UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
OWN = ("image", "person", "split", "key", "facts", "double", *IMAGES)
REST = 8192  # bytes of a file beside its rows: schema and footer


def pack(data: str, budget: str, out: Path, frames: bool = False) -> str:
    """Writes a parquet file of at most `budget` ("60MB") and says what is in it.

    Columns: image (the face with its surroundings), person, split (train or val), key (sha256 of the photo, hex) and
    small labels. frames: portrait frames instead, with facts (what was seen on the photo) and double (it looks like
    an earlier photo of another person). Raises InputError where the budget is no size or holds no face, or `out` is
    no .parquet file.
    """
    most = size_of(budget)
    if out.suffix != ".parquet":
        raise InputError(f"A pack is a .parquet file, not {out.name}.")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise missing_extra("table", "Packing a data set") from error
    src = source(data)
    if src.frames:
        raise InputError(f"{src.name} is a pack of frames already.")
    prepared = prepare(src, ["portrait", "vector_a"] if frames else [])
    made = _frames(src, prepared, most) if frames else _photos(src, prepared, most)
    if not made:
        raise InputError(f"{budget} holds no face of {src.name}; give --budget more.")
    terms = src.known.terms if src.known else "unknown"
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(made).replace_schema_metadata(
            {"source": src.name, "terms": terms, "holds": "frames" if frames else "photos"}
        ),
        buffer,
        row_group_size=500,
        compression="zstd",
        use_dictionary=False,
    )
    write_bytes(out, buffer.getvalue())
    people = len({record["person"] for record in made})
    return f"{len(made)} of {len(prepared)} faces of {people} persons, {len(buffer.getvalue()) / 1e6:.1f} MB: {out}"


def _photos(src: Source, prepared: Prepared, most: int) -> list[dict[str, Any]]:
    places = {prepared.keys[i]: place for place, i in enumerate(order(prepared))}
    meshes = dict(zip(prepared.keys, prepared.facts["mesh"], strict=True))
    names = _scalar_labels(prepared)
    kept: list[tuple[int, int, dict[str, Any]]] = []  # a heap, the last in order on top
    left, end = most - REST, len(prepared)  # end: the first place that no longer fits
    for row in track(rows(src, Broken()), f"packing {src.name}"):
        place = places.pop(row.key, end)  # a photo that stands twice is packed once
        if place >= end:
            continue
        record = _record(row, meshes[row.key], names)
        heapq.heappush(kept, (-place, _size(record), record))
        left -= _size(record)
        while left < 0 and kept:
            last, freed, _ = heapq.heappop(kept)
            left, end = left + freed, -last
    return [record for *_, record in sorted(kept, key=lambda item: -item[0])]


def _frames(src: Source, prepared: Prepared, most: int) -> list[dict[str, Any]]:
    from visavis.training.frames import records

    made, left = [], most - REST
    chosen = track(order(prepared), f"packing {src.name}")
    for record in records(prepared, list(chosen), _scalar_labels(prepared)):
        left -= _size(record)
        if left < 0:
            break
        made.append(record)
    return made


def _size(record: dict[str, Any]) -> int:
    return sum(len(value) if isinstance(value, bytes) else 8 + len(str(value)) for value in record.values())


def size_of(text: str) -> int:
    """Bytes of "60MB", "500kB" or "1.5GB"; raises InputError for other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]?)b", text.strip().lower())
    size = int(float(match[1]) * UNITS[match[2]]) if match else 0
    if size < 1:
        raise InputError(f"--budget is a size such as 60MB or 500kB, not {text!r}.")
    return size


def order(prepared: Prepared) -> list[int]:
    """The rows in the order in which they are packed: each person's first photo by hash, then the second of each."""
    hashes = [hashlib.sha256(b"visavis:pack" + key).digest() for key in prepared.keys]
    seen: Counter[str] = Counter()
    turns = []
    for i in sorted(range(len(prepared)), key=hashes.__getitem__):
        turns.append((seen[prepared.persons[i]], i))
        seen[prepared.persons[i]] += 1
    return [i for _, i in sorted(turns, key=lambda turn: turn[0])]


def picture(image: bytes, mesh: Floats) -> bytes:
    """The photo's own bytes where it is a face crop already; else the face with its surroundings as WebP.

    mesh: [468, 2 or 3]. The cut is upright in the photo, not in the face, and ends where the photo ends: a face that
    is looked at again has the same crops, and its tilt, size, sharpness and padding are those on the photo. Its pixels
    are as fine as those of the portrait crop, never finer than the photo's.
    """
    from PIL import Image

    photo = decode_photo(image)
    if max(photo.width, photo.height) <= SIDE and photo.meta["format"] in ("JPEG", "WEBP"):
        return image
    corners = np.concatenate([_corners(mesh, template) for template in align.SIZES])
    low, high = corners.min(0), corners.max(0)
    margin = MARGIN * (high - low).max()
    size = (photo.width, photo.height)
    x1, y1 = np.clip(np.floor(low - margin), 0, np.array(size) - 1).astype(int)
    x2, y2 = np.clip(np.ceil(high + margin), (x1 + 1, y1 + 1), size).astype(int)
    scale = min(1.0, float(np.hypot(*align.to_template(mesh, "portrait")[:, 0])))
    part = Image.fromarray(photo.pixels[y1:y2, x1:x2])
    part = part.resize((max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    part.save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def _corners(mesh: Floats, template: Template) -> Floats:
    size = align.SIZES[template]
    frame = np.array([[0, 0], [size, 0], [0, size], [size, size]])
    return np.asarray(align.apply(align.invert(align.to_template(mesh, template)), frame), np.float32)


def _record(row: Row, mesh: Floats, names: Sequence[str]) -> dict[str, Any]:
    image = picture(row.image, mesh)
    labels = {name: row.labels.get(name) for name in names}
    return {"image": image, "person": row.person, "split": row.split, "key": row.key.hex(), **labels}


def _scalar_labels(prepared: Prepared) -> list[str]:
    names = {name: None for labels in prepared.labels for name in labels if name not in OWN and name[:2] != "__"}
    return [name for name in names if _is_scalar([labels.get(name) for labels in prepared.labels])]


def _is_scalar(values: Sequence[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) != 1 or not kinds <= {bool, int, float, str}:
        return False
    return str not in kinds or all(len(value) <= LONGEST for value in values if value is not None)
