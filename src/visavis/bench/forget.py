"""`visavis bench forget`: an album is made, a person is forgotten, and every byte of the database is read for traces.

The search is not the one of `forget` itself: any 24 bytes of a vector or picture count, at any place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from visavis.app.library import Album
from visavis.bench.album import database, postgres
from visavis.bench.figures import Figure, write
from visavis.bench.variants import write_variants
from visavis.core.settings import scratch
from visavis.people import schema

PHOTOS = 16
WINDOW, STEP = 24, 64
TABLES = 650
PERSON = "Someone"


def run() -> None:
    """Writes results/forget.json."""
    started = time.time()
    with scratch("forget-") as top, postgres() as server:
        photos = Path(top) / "photos"
        photos.mkdir()
        write_variants(photos, PHOTOS)
        figures: list[Figure] = []
        folder = Path(top) / "sqlite"
        figures += _forgotten("sqlite", Album(folder / "album.db"), photos, [folder])
        data = _data_directory(server)
        figures += _forgotten("postgres", Album(database(server, "forget")), photos, [data])
    total = sum(figure.value for figure in figures if figure.name.endswith(".bytes_found"))
    write("forget", [Figure("bytes_found", total, unit="places", better="lower"), *figures], seed=0, started=started)


def _forgotten(kind: str, album: Album, photos: Path, folders: Sequence[Path]) -> list[Figure]:
    """Places with traces before (or the search would prove nothing) and after; whom a search finds after."""
    album.add(photos)
    most = album.people()[0]
    album.name(most.called, PERSON)
    traces = _traces(album, PERSON)
    if album.store.postgres:  # what is still in memory cannot be found in files
        with album.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("CHECKPOINT"))
    before = _count(traces, folders)
    receipt = album.forget(PERSON)
    album.close()
    after = _count(traces, folders)
    return [
        Figure(f"{kind}.bytes_found", float(after), unit="places", better="lower", n=len(traces)),
        Figure(f"{kind}.bytes_found_before", float(before), unit="places", better="neither", n=len(traces)),
        Figure(f"{kind}.receipt.bytes_found", float(receipt.bytes_found), unit="places", better="lower"),
        Figure(f"{kind}.still_found", float(len(receipt.still_found)), unit="people", better="lower", n=receipt.faces),
    ]


def _traces(album: Album, called: str) -> list[bytes]:
    person, face = schema.person.c, schema.face.c
    with album.store.read() as connection:
        rows = connection.execute(
            sa.select(face.vector, schema.crop.c.jpeg)
            .join(schema.person, face.person_id == person.id)
            .join(schema.crop, schema.crop.c.face_id == face.id)
            .where(person.name == called)
        ).all()
    # The first bytes of a JPEG are tables, the same in every one.
    blobs = [blob for row in rows for blob in (row[0].tobytes(), bytes(row[1])[TABLES:])]
    return [blob[at : at + WINDOW] for blob in blobs for at in range(0, len(blob) - WINDOW, STEP)]


def _count(traces: Sequence[bytes], folders: Sequence[Path]) -> int:
    """How many of the traces lie in any file below the folders."""
    left = set(traces)
    for path in (p for folder in folders for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        left -= {trace for trace in left if trace in data}
    return len(set(traces)) - len(left)


def _data_directory(server: str) -> Path:
    import psycopg

    with psycopg.connect(server) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0])
