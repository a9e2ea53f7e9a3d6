"""`visavis bench crash`: `album add` ended by kill -9 at random moments; the same command again must complete it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from visavis.bench.album import database, postgres
from visavis.bench.figures import Figure, write
from visavis.bench.variants import write_variants
from visavis.core.progress import track
from visavis.core.settings import scratch, settings
from visavis.people import schema
from visavis.people.store import Store

KILLS, PHOTOS = 10, 80
KINDS = ("sqlite", "postgres")
Content = Counter[tuple[str, int]]


def run() -> None:
    """Writes results/crash.json: photos (with their faces) lost and doubled, over ten kills on each database."""
    started = time.time()
    random = np.random.default_rng(0)
    lost, doubled, inside = Counter[str](), Counter[str](), 0
    with scratch("crash-") as top, postgres() as server:
        photos = Path(top) / "photos"
        photos.mkdir()
        write_variants(photos, PHOTOS)
        whole = str(Path(top) / "whole.db")
        begun = time.perf_counter()
        _wait(_start(whole, photos))
        seconds = time.perf_counter() - begun
        expected = _content(whole)
        for kind in KINDS:
            for number in track(range(KILLS), f"killing on {kind}"):
                where = str(Path(top) / f"{number}.db") if kind == "sqlite" else database(server, f"crash_{number}")
                process = _start(where, photos)
                time.sleep(seconds * random.uniform(0.4, 0.97))
                os.killpg(process.pid, 9)
                process.wait()
                inside += 0 < sum(_content(where).values()) < sum(expected.values())
                _wait(_start(where, photos))
                found = _content(where)
                lost[kind] += sum((expected - found).values())
                doubled[kind] += sum((found - expected).values())
    figures = [
        Figure("lost", float(lost.total()), unit="photos", better="lower", n=2 * KILLS),
        Figure("doubled", float(doubled.total()), unit="photos", better="lower", n=2 * KILLS),
        *(Figure(f"{kind}.lost", float(lost[kind]), unit="photos", better="lower", n=KILLS) for kind in KINDS),
        Figure("killed_between_first_and_last", float(inside), unit="kills", n=2 * KILLS),
    ]
    write("crash", figures, seed=0, started=started)


def _start(where: str, photos: Path) -> subprocess.Popen[bytes]:
    """In a group of its own, so that its helper processes are killed with it."""
    program = [sys.executable, "-c", "from visavis.app.cli import main; main()"]
    environment = {**os.environ, "VISAVIS_ALBUM": where, "VISAVIS_THREADS": str(settings().threads)}
    return subprocess.Popen(
        [*program, "album", "add", str(photos)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise RuntimeError(f"visavis album add ended with {process.returncode}")


def _content(where: str) -> Content:
    """(sha256, faces) of every file in the album, with how often it is there; an album that was not made is empty."""
    store = Store(where)
    with store.read() as connection:
        rows = connection.execute(
            sa.select(schema.photo.c.sha256, sa.func.count(schema.face.c.id), schema.file.c.path)
            .join(schema.file, schema.file.c.photo_id == schema.photo.c.id)
            .join(schema.face, schema.face.c.photo_id == schema.photo.c.id, isouter=True)
            .group_by(schema.photo.c.sha256, schema.file.c.path)
        ).all()
    store.close()
    return Counter((row[0], row[1]) for row in rows)
