"""Forgetting a person: their vectors, pictures and name leave every file that visavis owns, and that is proved."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from visavis.core.errors import InputError
from visavis.core.files import write_whole
from visavis.core.settings import private_folder, settings
from visavis.core.types import Floats
from visavis.people import schema
from visavis.people.journal import rows_of
from visavis.people.loaded import load
from visavis.people.persons import find_person
from visavis.people.photos import touch
from visavis.people.search import Query, find
from visavis.people.store import COPY, Store

PIECE = 32  # bytes that are searched for; a row may be cut where a page of the file ends
OUT_OF_REACH = (
    "your own photos and their sidecars",
    "exports, and outputs made of this person before",
    "sheets and weights of training runs",
    "backups, snapshots and replicas of the album",
    "freed blocks of the disk that were not overwritten yet",
)


@dataclass(frozen=True)
class Receipt:
    """faces, photos: what was forgotten; searched: files that were read byte by byte; bytes_found: places in them
    that still held a vector or a picture of this person; still_found: people in the album whom the search takes for
    them now; kept: what stays, so that the same files do not bring them back (hash and box, no biometric)."""

    at: str
    album: str
    faces: int
    photos: int
    searched: tuple[str, ...]
    bytes_found: int
    still_found: tuple[str, ...]
    kept: tuple[dict[str, object], ...]
    out_of_reach: tuple[str, ...] = OUT_OF_REACH
    note: str = "A new photo of this person makes a new face without a name."
    file: str = field(default="", compare=False)


def forget(
    store: Store, called: str, receipts: Path | None = None, elsewhere: Callable[[set[str]], object] | None = None
) -> Receipt:
    """Forgets a person for good; raises InputError where nobody is called so, or others have the album open.

    elsewhere: takes the sha256 of the person's photos and removes what other rooms keep of them, before the search.
    """
    with store.read() as connection:
        person = find_person(connection, called)
        vectors, crops = _remains(connection, person.id)
        away = _files_to_delete(store)
    if store.postgres:
        with store.write() as connection:
            kept = _delete(connection, person.id)
        _rewrite_postgres(store)
    else:
        kept = _delete_alone(store, person.id)
    for path in away:
        path.unlink(missing_ok=True)
    if elsewhere:
        elsewhere({str(row["sha256"]) for row in kept})
    searched = owned_files(store)
    pieces = [*_pieces(v.tobytes() for v in vectors), *_pieces(crops)]
    receipt = Receipt(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        album=store.name,
        faces=len(vectors),
        photos=len({row["sha256"] for row in kept}),
        searched=tuple(str(path) for path in searched),
        bytes_found=sum(bytes_in(path, pieces) for path in searched),
        still_found=_still_found(store, vectors),
        kept=tuple(kept),
        out_of_reach=(
            *OUT_OF_REACH,
            *(("the server's files",) if store.postgres and not _data_directory(store) else ()),
        ),
    )
    return _written(receipt, receipts or private_folder(settings().data / "receipts"))


def owned_files(store: Store) -> list[Path]:
    """Every file of visavis that could hold a face: the album with what SQLite lays beside it, or the files of a
    PostgreSQL server where they can be read from here; caches, jobs and temporary files."""
    found: list[Path] = []
    if store.path is not None:
        found += sorted(store.path.parent.glob(f"{store.path.name}*"))
    else:
        top = _data_directory(store)
        found += sorted(path for path in top.rglob("*") if path.is_file()) if top else []
    now = settings()
    for folder in (now.cache, now.tmp, now.data / "jobs"):
        found += sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return list(dict.fromkeys(found))


def bytes_in(path: Path, pieces: Sequence[bytes]) -> int:
    """How many of the pieces a file holds; a file that vanished holds none."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, PermissionError):
        return 0
    return sum(piece in data for piece in pieces)


def _remains(connection: sa.Connection, person: int) -> tuple[list[Floats], list[bytes]]:
    where = schema.face.c
    rows = connection.execute(
        sa.select(where.vector, schema.crop.c.jpeg)
        .join(schema.crop, schema.crop.c.face_id == where.id, isouter=True)
        .where(where.person_id == person)
    ).all()
    return [row[0] for row in rows], [bytes(row[1]) for row in rows if row[1]]


def _pieces(blobs: Iterable[bytes]) -> list[bytes]:
    """Three pieces of each: wherever a page ends, at least one of them is whole."""
    return [
        blob[at : at + PIECE]
        for blob in blobs
        for at in (len(blob) // 4, len(blob) // 2, len(blob) - PIECE)
        if len(blob) >= PIECE
    ]


def _delete(connection: sa.Connection, person: int) -> list[dict[str, object]]:
    """Rows of the person go; for each face the file's hash and box stay. Journal entries about them go as well."""
    where = schema.face.c
    faces = connection.execute(
        sa.select(where.id, schema.photo.c.sha256, where.x1, where.y1, where.x2, where.y2)
        .join(schema.photo)
        .where(where.person_id == person)
    ).all()
    kept: list[dict[str, object]] = [
        dict(zip(("sha256", "x1", "y1", "x2", "y2"), row[1:], strict=True)) for row in faces
    ]
    if kept:
        connection.execute(sa.insert(schema.forgotten), kept)
    ids = {row[0] for row in faces}
    about = [
        entry
        for entry, before in connection.execute(sa.select(schema.journal.c.id, schema.journal.c.before))
        if any(
            (table == "person" and key == (person,))
            or (table != "person" and ids & set(key))
            or (row or {}).get("person_id") == person
            for table, key, row in rows_of(before)
        )
    ]
    for start in range(0, len(about), 500):
        connection.execute(sa.delete(schema.journal).where(schema.journal.c.id.in_(about[start : start + 500])))
    connection.execute(sa.delete(schema.face).where(where.person_id == person))
    connection.execute(sa.delete(schema.person).where(schema.person.c.id == person))
    touch(connection)
    return kept


def _delete_alone(store: Store, person: int) -> list[dict[str, object]]:
    """SQLite leaves its write-ahead log only where no other connection is open, which is the point."""
    store.close()
    try:
        with contextlib.closing(sqlite3.connect(str(store.path), timeout=2, isolation_level=None)) as alone:
            alone.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        raise InputError(
            f"Another program has the album {store.name} open; close it, so that nothing stays there."
        ) from error
    with store.write() as connection:
        kept = _delete(connection, person)
    store.close()
    with contextlib.closing(sqlite3.connect(str(store.path), isolation_level=None)) as alone:
        alone.execute("PRAGMA secure_delete=ON")
        alone.execute("PRAGMA temp_store=MEMORY")  # VACUUM's copy does not touch a disk
        alone.execute("VACUUM")
        alone.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return kept


def _rewrite_postgres(store: Store) -> None:
    """New table files without the rows; then the write-ahead log, whose old segments are reused and overwritten, is
    driven around once where the role may do that."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("face", "crop", "person", "suggestion", "different", "journal"):
            connection.execute(sa.text(f'VACUUM FULL "{table}"'))
            connection.execute(sa.text(f'REINDEX TABLE "{table}"'))
        try:
            connection.execute(sa.text("CHECKPOINT"))
            segments = connection.scalar(sa.text("SELECT count(*) FROM pg_ls_waldir()")) or 0
            for _ in range(int(segments) + 2):
                connection.execute(sa.text("SELECT pg_logical_emit_message(false, 'visavis', 'forget')"))
                connection.execute(sa.text("SELECT pg_switch_wal()"))
                connection.execute(sa.text("CHECKPOINT"))
        except sa.exc.DBAPIError:
            pass  # a role without these rights: the receipt names the server's files as out of reach


def _files_to_delete(store: Store) -> list[Path]:
    """Copies that were made before a migration: they hold everybody."""
    return sorted(store.path.parent.glob(f"{store.path.name}{COPY}*")) if store.path else []


def _data_directory(store: Store) -> Path | None:
    try:
        with store.engine.connect() as connection:
            top = Path(str(connection.scalar(sa.text("SHOW data_directory"))))
    except sa.exc.DBAPIError:
        return None
    return top if os.access(top, os.R_OK | os.X_OK) else None


def _still_found(store: Store, vectors: Sequence[Floats]) -> tuple[str, ...]:
    """Whom the album takes for this person now, by kept copies of their vectors: nobody, unless they are in it twice
    or somebody resembles them closely."""
    with store.read() as connection:
        faces = load(connection)
        names = set()
        for vector in vectors:
            found = find(connection, Query(np.asarray(vector, np.float32)), faces)
            if found.verdict == "found":
                hit = found.hits[0]
                names.add(hit.called)
    return tuple(sorted(names))


def _written(receipt: Receipt, folder: Path) -> Receipt:
    stamp = receipt.at.replace(":", "").replace("+0000", "")
    path = folder / f"forget-{stamp}-{os.urandom(3).hex()}.json"
    facts = asdict(receipt) | {"schema": "visavis.receipt/1"}
    del facts["file"]
    write_whole(path, [json.dumps(facts, indent=1).encode()])
    path.chmod(0o600)
    return Receipt(**(asdict(receipt) | {"file": str(path), "kept": receipt.kept}))
