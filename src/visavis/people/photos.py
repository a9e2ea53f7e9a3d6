"""Photos in an album: which files are known, adding one as a transaction, files that moved or went."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from visavis.core.errors import InputError
from visavis.media import paths
from visavis.media.regions import Region
from visavis.people import schema
from visavis.people.record import RECIPE, FaceRecord, PhotoRecord

Status = Literal["unchanged", "added", "changed", "moved", "copied", "unreadable"]
SAME_PLACE = 0.5  # intersection over union of two boxes of one face
TIED = 0.2  # the same for a box that another program drew


@dataclass(frozen=True)
class FileFacts:
    """path: absolute; size in bytes, modified_ns: of the file when it was looked at."""

    path: str
    size: int
    modified_ns: int

    @staticmethod
    def of(path: str | os.PathLike[str]) -> FileFacts:
        """Raises OSError."""
        absolute = os.path.abspath(path)
        found = os.stat(absolute)
        return FileFacts(absolute, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Added:
    """What became of one file; faces: in the album now; left_out: faces of people who were forgotten."""

    status: Status
    faces: int = 0
    left_out: int = 0
    problem: str | None = None


def is_unchanged(connection: sa.Connection, facts: FileFacts) -> bool:
    """Whether the album holds this file as it is, looked at by the present recipe. Not read again, be it poor."""
    found = connection.execute(
        sa.select(schema.file.c.size, schema.file.c.modified_ns, schema.file.c.missing, schema.photo.c.recipe)
        .join(schema.photo)
        .where(schema.file.c.path == facts.path)
    ).first()
    return found == (facts.size, facts.modified_ns, False, RECIPE)


def has_forgotten(connection: sa.Connection, facts: FileFacts) -> bool:
    """Whether somebody who was forgotten stood on this file."""
    found = connection.scalar(
        sa.select(sa.func.count())
        .select_from(schema.forgotten)
        .join(schema.photo, schema.photo.c.sha256 == schema.forgotten.c.sha256)
        .join(schema.file)
        .where(schema.file.c.path == facts.path)
    )
    return bool(found)


def add_known(connection: sa.Connection, facts: FileFacts, sha256: str) -> Added | None:
    """The file is another place, or only another date, of a photo that was looked at; None where it must be."""
    row = connection.execute(sa.select(schema.photo).where(schema.photo.c.sha256 == sha256)).first()
    if row is None or row.recipe != RECIPE:
        return None
    places = connection.execute(
        sa.select(schema.file.c.path, schema.file.c.photo_id).where(
            sa.or_(schema.file.c.path == facts.path, schema.file.c.photo_id == row.id)
        )
    ).all()
    old = next((photo for path, photo in places if path == facts.path), None)
    _set_file(connection, facts, row.id)
    _drop_abandoned(connection, old)
    if row.problem:
        return Added("unreadable", problem=row.problem)
    status: Status = "unchanged"
    if old != row.id:
        status = "copied" if any(not _is_gone(path) for path, _ in places if path != facts.path) else "moved"
    return Added(status, faces=_count(connection, row.id))


def add_photo(connection: sa.Connection, facts: FileFacts, record: PhotoRecord, *, bring_back: bool = False) -> Added:
    """Adds one photo that was looked at, or puts a new look in the place of an older one.

    What a user said of a face holds for the face that is now in its place. bring_back: faces of forgotten people too.
    """
    before = connection.scalar(sa.select(schema.file.c.photo_id).where(schema.file.c.path == facts.path))
    same = connection.scalar(sa.select(schema.photo.c.id).where(schema.photo.c.sha256 == record.sha256))
    said = _faces_on(connection, {before, same} - {None})
    ties = _ties(connection, said)
    values = {
        "recipe": RECIPE,
        "problem": record.problem,
        "width": record.width,
        "height": record.height,
        "taken": record.taken,
    }
    if same is None:
        made = connection.execute(sa.insert(schema.photo).values(sha256=record.sha256, **values)).inserted_primary_key
        photo_id = int(made[0]) if made else 0
    else:
        photo_id = int(same)
        connection.execute(sa.update(schema.photo).where(schema.photo.c.id == photo_id).values(**values))
        connection.execute(sa.delete(schema.face).where(schema.face.c.photo_id == photo_id))
    _set_file(connection, facts, photo_id)
    _drop_abandoned(connection, before)
    gone = [] if bring_back else _forgotten(connection, record.sha256)
    faces = [face for face in record.faces if not any(overlap(face.box, box) > SAME_PLACE for box in gone)]
    there = set(connection.scalars(sa.select(schema.face.c.id).where(schema.face.c.id.in_([row.id for row in said]))))
    kept = set()
    for face in faces:
        old = max((row for row in said if row.id not in kept), key=lambda row: overlap(face.box, row[:4]), default=None)
        if old is not None and overlap(face.box, old[:4]) <= SAME_PLACE:
            old = None
        kept |= {old.id} if old else set()
        _add_face(connection, photo_id, face, old, same=old is not None and old.id not in there)
    _tie_again(connection, ties, kept - there)
    touch(connection)
    if bring_back:
        connection.execute(sa.delete(schema.forgotten).where(schema.forgotten.c.sha256 == record.sha256))
    if record.problem:
        return Added("unreadable", problem=record.problem)
    status: Status = "added" if before is None and same is None else "changed"
    return Added(status, faces=len(faces), left_out=len(record.faces) - len(faces))


def add_suggestions(connection: sa.Connection, path: str, regions: Sequence[Region]) -> int:
    """Names that other programs wrote, tied to the faces whose boxes overlap most; how many found a face."""
    where = schema.face.c
    rows = connection.execute(
        sa.select(where.id, where.x1, where.y1, where.x2, where.y2)
        .join(schema.file, schema.file.c.photo_id == where.photo_id)
        .where(schema.file.c.path == path)
    ).all()
    tied = 0
    for region in regions:
        best = max(rows, key=lambda row: overlap(row[1:], region.box), default=None)
        if best is None or overlap(best[1:], region.box) < TIED:
            continue
        same = schema.suggestion.c.face_id == best[0], schema.suggestion.c.name == region.name
        connection.execute(sa.delete(schema.suggestion).where(*same))
        connection.execute(sa.insert(schema.suggestion).values(face_id=best[0], name=region.name))
        tied += 1
    return tied


def face_on(connection: sa.Connection, path: str | os.PathLike[str], number: int) -> int:
    """The id of face `number` (as `look` numbers them) on a file of the album; InputError where it is not there."""
    found = connection.scalar(
        sa.select(schema.face.c.id)
        .join(schema.file, schema.file.c.photo_id == schema.face.c.photo_id)
        .where(schema.file.c.path == os.path.abspath(path), schema.face.c.number == number)
    )
    if found is None:
        raise InputError(
            f"{paths.shown(path)} has no face {number} in this album; it may belong to a forgotten person."
        )
    return int(found)


def missing_below(connection: sa.Connection, folders: Sequence[str], seen: Iterable[str]) -> list[str]:
    """Marks files of the album below the folders that were not seen and are gone; their paths, without those whose
    photo lies elsewhere now (it moved)."""
    present = set(seen)
    gone = []
    for path, photo_id in connection.execute(
        sa.select(schema.file.c.path, schema.file.c.photo_id).where(~schema.file.c.missing)
    ).all():
        below = any(Path(path).is_relative_to(folder) for folder in folders)
        if not below or path in present or not _is_gone(path):
            continue
        elsewhere = connection.scalars(
            sa.select(schema.file.c.path).where(schema.file.c.photo_id == photo_id, schema.file.c.path != path)
        ).all()
        if any(os.path.exists(other) for other in elsewhere):
            connection.execute(sa.delete(schema.file).where(schema.file.c.path == path))
        else:
            connection.execute(sa.update(schema.file).where(schema.file.c.path == path).values(missing=True))
            gone.append(path)
    return gone


def _is_gone(path: str) -> bool:
    """Not there, as opposed to: in a folder that cannot be read now."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def touch(connection: sa.Connection) -> None:
    """The album changed since people were last grouped."""
    connection.execute(sa.delete(schema.about).where(schema.about.c.key == "grouped"))


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x1, y1, x2, y2."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    common = wide * high
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def _set_file(connection: sa.Connection, facts: FileFacts, photo_id: int) -> None:
    connection.execute(sa.delete(schema.file).where(schema.file.c.path == facts.path))
    connection.execute(
        sa.insert(schema.file).values(
            path=facts.path, photo_id=photo_id, size=facts.size, modified_ns=facts.modified_ns, missing=False
        )
    )


def _drop_abandoned(connection: sa.Connection, photo_id: int | None) -> None:
    """A photo to which no file belongs any more goes, its faces with it."""
    if photo_id is not None and not connection.scalar(
        sa.select(sa.func.count()).select_from(schema.file).where(schema.file.c.photo_id == photo_id)
    ):
        connection.execute(sa.delete(schema.photo).where(schema.photo.c.id == photo_id))


def _faces_on(connection: sa.Connection, photos: set[Any]) -> list[Any]:
    where = schema.face.c
    kept = (where.id, where.person_id, where.by_user, where.rejected)
    query = sa.select(where.x1, where.y1, where.x2, where.y2, *kept).where(where.photo_id.in_(photos))
    return list(connection.execute(query.order_by(where.id)).all())


def _ties(connection: sa.Connection, faces: Sequence[Any]) -> list[tuple[sa.Table, tuple[str, ...], dict[str, Any]]]:
    """Rows that hang on these faces and go with them; each with its columns that name a face."""
    ids = [row.id for row in faces]
    found: list[tuple[sa.Table, tuple[str, ...], dict[str, Any]]] = []
    for table, names in ((schema.different, ("first", "second")), (schema.suggestion, ("face_id",))):
        rows = connection.execute(sa.select(table).where(sa.or_(*(table.c[name].in_(ids) for name in names))))
        found += [(table, names, dict(row)) for row in rows.mappings()]
    return found


def _tie_again(connection: sa.Connection, ties: Sequence[Any], new: set[int]) -> None:
    """Puts back what hung on faces that were made anew."""
    for table, names, row in ties:
        ends = {row[name] for name in names}
        there = connection.scalar(sa.select(sa.func.count()).select_from(schema.face).where(schema.face.c.id.in_(ends)))
        if ends & new and there == len(ends):
            connection.execute(sa.insert(table).values(row))


def _add_face(connection: sa.Connection, photo_id: int, face: FaceRecord, old: Any, *, same: bool) -> None:
    """old: the face that was in its place before, if any; same: its row is gone, and this one has its number."""
    x1, y1, x2, y2 = face.box
    made = connection.execute(
        sa.insert(schema.face).values(
            **({"id": old.id} if same else {}),
            photo_id=photo_id,
            number=face.number,
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            vector=face.vector,
            mean=face.mean,
            deviation=face.deviation,
            eyes_px=face.eyes_px,
            sharpness=face.sharpness,
            words=face.words,
            seconds=face.seconds,
            person_id=old.person_id if old else None,
            by_user=bool(old and old.by_user),
            rejected=bool(old and old.rejected),
        )
    ).inserted_primary_key
    connection.execute(sa.insert(schema.crop).values(face_id=made[0] if made else 0, jpeg=face.jpeg))


def _forgotten(connection: sa.Connection, sha256: str) -> list[tuple[float, ...]]:
    where = schema.forgotten.c
    rows = connection.execute(sa.select(where.x1, where.y1, where.x2, where.y2).where(where.sha256 == sha256))
    return [tuple(row) for row in rows]


def _count(connection: sa.Connection, photo_id: int) -> int:
    found = connection.scalar(
        sa.select(sa.func.count()).select_from(schema.face).where(schema.face.c.photo_id == photo_id)
    )
    return int(found or 0)
