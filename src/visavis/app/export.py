"""Who is where, for other programs: JSON, CSV, folders of links, XMP sidecars."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from visavis.core.errors import InputError
from visavis.media.regions import Region, write_regions
from visavis.media.write import portable_name, unique_names, write_bytes
from visavis.people import schema

Kind = Literal["json", "csv", "links", "xmp"]
COLUMNS = ("person", "name", "face", "path", "x1", "y1", "x2", "y2", "by_user")
# What a spreadsheet takes for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(connection: sa.Connection, out: str | os.PathLike[str], kind: Kind) -> int:
    """How many faces (or, for sidecars and links, files) were written. For xmp, `out` is not used: a sidecar lies
    beside its photo; only names that a user gave are written."""
    rows = faces(connection)
    if kind == "json":
        document = {"schema": "visavis.album/1", "faces": rows}
        write_bytes(out, json.dumps(document, ensure_ascii=False, indent=1).encode())
        return len(rows)
    if kind == "csv":
        text = io.StringIO()
        sheet = csv.DictWriter(text, COLUMNS)
        sheet.writeheader()
        sheet.writerows({key: _cell(value) for key, value in row.items() if key in COLUMNS} for row in rows)
        write_bytes(out, text.getvalue().encode())
        return len(rows)
    return _links(rows, Path(out)) if kind == "links" else _sidecars(rows)


def faces(connection: sa.Connection) -> list[dict[str, Any]]:
    """One row for each face of a person on each file that is there; boxes in shares 0..1 of the upright photo."""
    face, person, photo = schema.face.c, schema.person.c, schema.photo.c
    found = connection.execute(
        sa.select(
            person.id.label("person"),
            person.name,
            face.id.label("face"),
            schema.file.c.path,
            *(face[side] for side in ("x1", "y1", "x2", "y2")),
            face.by_user,
            photo.width,
            photo.height,
            face.seconds,
        )
        .join(schema.person, face.person_id == person.id)
        .join(schema.photo, face.photo_id == photo.id)
        .join(schema.file, schema.file.c.photo_id == photo.id)
        .where(~face.rejected, ~schema.file.c.missing)
        .order_by(person.id, schema.file.c.path, face.id)
    )
    return [dict(row) for row in found.mappings()]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _links(rows: list[dict[str, Any]], out: Path) -> int:
    """OUT/NAME/photo.jpg -> the photo; people without a name are person-ID."""
    by_person: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_person[row["person"]].append(row)
    written = 0
    taken: set[str] = set()
    for person, theirs in by_person.items():
        folder = portable_name(theirs[0]["name"] or f"person-{person}")
        if folder.casefold() in taken:
            folder = f"{folder}-{person}"
        taken.add(folder.casefold())
        paths = sorted({row["path"] for row in theirs})
        for path, name in zip(paths, unique_names(paths, suffix=""), strict=True):
            target = out / folder / (name + Path(path).suffix)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_symlink():
                    target.unlink()
                target.symlink_to(path)
            except OSError as error:
                raise InputError(f"{target} cannot be linked ({error.strerror}).") from error
            written += 1
    return written


def _sidecars(rows: list[dict[str, Any]]) -> int:
    by_path: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["name"] and row["seconds"] is None:
            by_path[row["path"]].append(row)
    written, problems = 0, []
    for path, theirs in by_path.items():
        if os.path.exists(path):
            regions = [Region(row["name"], (row["x1"], row["y1"], row["x2"], row["y2"])) for row in theirs]
            try:
                write_regions(path, regions, (theirs[0]["width"], theirs[0]["height"]))
                written += 1
            except InputError as error:
                problems.append(str(error))
    if problems:
        raise InputError(f"{written} sidecars were written, {len(problems)} were not. The first: {problems[0]}")
    return written
