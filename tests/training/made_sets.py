"""Data sets that tests write: real folders, parquet files and WebDataset tars."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from visavis.training.splits import Split, share


def person_in(split: Split, number: int = 0) -> str:
    """The name of a person whom the hash puts there."""
    names = (f"person{i}" for i in range(10_000))
    return [name for name, _ in zip((n for n in names if share(n) == split), range(number + 1), strict=False)][number]


def folder_of(top: Path, photos: Mapping[str, bytes]) -> Path:
    for name, data in photos.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    return top


def parquet_of(path: Path, rows: Sequence[Mapping[str, Any]], group: int = 4) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=group)
    return path


def tar_of(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Each row becomes NUMBER.jpg and, for its labels, NUMBER.json."""
    with tarfile.open(path, "w") as tar:
        for number, row in enumerate(rows):
            labels = {name: value for name, value in row.items() if name != "image"}
            parts = {"jpg": row["image"], "json": json.dumps(labels).encode()}
            for ending, data in parts.items():
                info = tarfile.TarInfo(f"{number:04}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()
