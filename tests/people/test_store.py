"""Opening albums: new, older, newer, foreign, damaged, locked, full, and servers that refuse or go away."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.people.conftest import face, looks_of

from visavis.core.errors import InputError
from visavis.people import persons, photos, schema
from visavis.people import store as store_module
from visavis.people.grouping import group_people
from visavis.people.store import COPY, Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def sentences(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 400 and "sqlalche" not in text.lower()
    return text


def paths_in(store: Store) -> list[str]:
    with store.read() as connection:
        return sorted(connection.scalars(sa.select(schema.file.c.path)))


def fill(store: Store, count: int) -> None:
    for number, vector in enumerate(looks_of(1, count)):
        record = photos.PhotoRecord(f"{number:064}", None, 400, 300, None, (face(vector),))
        with store.write() as connection:
            photos.add_photo(connection, photos.FileFacts(f"/{number:05}.jpg", 1000, 1), record)


def test_the_migrated_schema_is_the_one_in_the_code(store: Store) -> None:
    with store.engine.connect().execution_options(reads=True) as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.METADATA) == []


def test_a_second_open_is_quick_and_changes_nothing(store: Store, where: str, put: Callable) -> None:
    put("/a.jpg", face(looks_of(1, 1)[0]))
    with store.read() as connection:
        before = [connection.execute(sa.select(table)).all() for table in (schema.about, schema.file, schema.photo)]
    start = time.perf_counter()
    again = Store(where)
    assert time.perf_counter() - start < 2
    with again.read() as connection:
        after = [connection.execute(sa.select(table)).all() for table in (schema.about, schema.file, schema.photo)]
    again.close()
    assert after == before and before[1]


def test_a_newer_album_is_refused_with_the_version_that_wrote_it(store: Store, where: str) -> None:
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(sa.update(schema.about).where(schema.about.c.key == "visavis").values(value="42.7"))
    store.close()
    with pytest.raises(InputError, match=r"visavis 42\.7") as error:
        Store(where)
    sentences(error)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the newest schema one that is newer than those before."""

    def upgrade() -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(store_module.MIGRATIONS, folder)
        (folder / "versions" / "0002_more.py").write_text(
            "from alembic import op\nimport sqlalchemy as sa\nrevision = '0002'\ndown_revision = '0001'\n"
            "def upgrade():\n    op.create_table('more', sa.Column('id', sa.Integer, primary_key=True))\n"
        )
        monkeypatch.setattr(store_module, "MIGRATIONS", folder)
        monkeypatch.setattr(schema, "NEWEST", "0002")

    return upgrade


def test_an_older_album_is_migrated_and_keeps_its_photos_and_what_was_said(
    store: Store, where: str, put: Callable, next_version: Callable[[], None]
) -> None:
    for number, vector in enumerate([*looks_of(1, 2), *looks_of(2, 1)]):
        put(f"/{number}.jpg", face(vector))
    with store.write() as connection:
        group_people(connection)
        persons.split(connection, "#1", [1], "Ana")
        persons.differ(connection, "Ana", "#1")
    said = _said(store)
    assert len(said[0]) > 1 and said[1] and said[2]
    store.close()
    next_version()
    newer = Store(where)
    assert _said(newer) == said
    with newer.read() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "0002"
        assert connection.scalar(sa.text("SELECT count(*) FROM more")) == 0
    assert sorted(paths_in(newer)) == ["/0.jpg", "/1.jpg", "/2.jpg"]
    newer.close()


def _said(store: Store) -> tuple[list[tuple[str | None, int]], list[int], list[tuple[int, int]]]:
    """Names, the faces that a user gave to somebody, and who is not the same."""
    with store.read() as connection:
        people = [(person.name, person.faces) for person in persons.people(connection)]
        by_user = list(connection.scalars(sa.select(schema.face.c.id).where(schema.face.c.by_user)))
        differ = [
            tuple(row) for row in connection.execute(sa.select(schema.different.c.first, schema.different.c.second))
        ]
    return people, by_user, differ


def test_an_older_file_is_copied_before_it_migrates(tmp_path: Path, next_version: Callable[[], None]) -> None:
    path = tmp_path / "album.db"
    old = Store(path)
    fill(old, 2)
    old.close()
    next_version()
    Store(path).close()
    copy = tmp_path / f"album.db{COPY}0001"
    assert mode(copy) == 0o600
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert kept.execute("SELECT count(*) FROM file").fetchone() == (2,)
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_album_and_what_lies_beside_it_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "album.db"
        opened = Store(path)
        fill(opened, 1)
        assert {p.name: oct(mode(p)) for p in tmp_path.glob("album.db*")} == {
            name: oct(0o600) for name in ("album.db", "album.db-wal", "album.db-shm")
        }
        opened.close()
        path.chmod(0o644)
        Store(path).close()
        assert mode(path) == 0o600
    finally:
        os.umask(before)


def test_what_is_no_file_or_no_database_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("Dear diary, " * 200)
    (tmp_path / "folder").mkdir()
    for path in (text, tmp_path / "folder", tmp_path / "text.db" / "below.db", f"{tmp_path}/nul\0.db"):
        with pytest.raises(InputError) as error:
            Store(path)
        sentences(error)
    assert text.read_text() == "Dear diary, " * 200


@pytest.mark.parametrize("table", ["recipes", "alembic_version"])
def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, table: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"CREATE TABLE {table} (version_num TEXT)")
        other.execute(f"INSERT INTO {table} VALUES ('ab12')")
        other.commit()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(InputError, match="something else") as error:
        Store(path)
    sentences(error)
    assert path.read_bytes() == before and mode(path) == 0o644


def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "album.db"
    Store(path).close()
    path.chmod(0o400)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write any file")
    with pytest.raises(InputError, match="read-only"):
        Store(path)


@pytest.mark.parametrize("damage", ["middle", "cut"])
def test_a_damaged_album_is_called_damaged(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "album.db"
    opened = Store(path)
    fill(opened, 60)
    opened.close()
    size = path.stat().st_size
    with path.open("r+b") as handle:
        if damage == "cut":
            handle.truncate(size // 2)
        else:
            handle.seek(4096 * 3)
            handle.write(b"\xa5" * (size - 4096 * 3))

    def use() -> None:
        again = Store(path)
        try:
            with again.read() as connection:
                for table in schema.METADATA.sorted_tables:
                    connection.execute(sa.select(table)).all()
        finally:
            again.close()

    with pytest.raises(InputError, match="damaged") as error:
        use()
    sentences(error)


def test_a_writer_waits_for_another_and_then_says_so(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "WAIT_SECONDS", 1)
    first, second = Store(where), Store(where)
    with first.write():
        start = time.perf_counter()
        with pytest.raises(InputError, match="in use") as error, second.write():
            pass
        assert 0.5 < time.perf_counter() - start < 8
    sentences(error)
    with second.write() as connection:  # the lock is free again
        photos.touch(connection)
    first.close()
    second.close()


def test_two_writers_at_once_both_succeed(where: str) -> None:
    failed: list[Exception] = []

    def write(prefix: str) -> None:
        try:  # both also make the album
            store = Store(where)
            for number in range(15):
                facts = photos.FileFacts(f"/{prefix}{number}", 1, 1)
                with store.write() as connection:
                    photos.add_photo(connection, facts, photos.PhotoRecord(f"{prefix}{number:063}", None, 4, 3))
            store.close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(prefix,)) for prefix in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    store = Store(where)
    assert len(paths_in(store)) == 45
    store.close()


def test_a_reader_is_not_blocked_by_a_writer(store: Store, put: Callable) -> None:
    put("/a.jpg")
    with store.write() as connection:
        connection.execute(sa.delete(schema.file))
        start = time.perf_counter()
        assert paths_in(store) == ["/a.jpg"]
        assert time.perf_counter() - start < 1
    assert paths_in(store) == []


def test_a_failed_write_leaves_nothing(store: Store, put: Callable) -> None:
    put("/a.jpg")
    with pytest.raises(InputError), store.write() as connection:  # noqa: PT012
        connection.execute(sa.delete(schema.file))
        connection.execute(sa.text("SELECT * FROM no_such_table"))
    assert paths_in(store) == ["/a.jpg"]


def test_a_full_disk_keeps_what_was_added_before(tmp_path: Path) -> None:
    store = Store(tmp_path / "album.db")
    fill(store, 3)
    store.close()

    @sa.event.listens_for(store.engine, "connect")
    def limit(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    with pytest.raises(InputError, match="full") as error:
        fill(store, 200)
    sentences(error)
    store.close()
    again = Store(tmp_path / "album.db")
    assert paths_in(again)[:3] == ["/00000.jpg", "/00001.jpg", "/00002.jpg"]
    fill(again, 200)
    assert len(paths_in(again)) == 200
    again.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/db",
        "postgresql://me:s3cret@127.0.0.1:port/db",
        "postgresql://me@127.0.0.1:1/db?password=s3cret",
        "mysql://me:s3cret@localhost/db",
        "sqlite:///s3cret.db",
        "://s3cret",
        "postgresql://me:s3cret@127.0.0.1:1/db?nonsense=1",
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InputError) as error:
        Store(url)
    assert "s3cret" not in sentences(error)


def test_a_server_refuses_a_wrong_password_and_database_in_a_sentence(server: str, tmp_path: Path) -> None:
    for url, words in (
        (server.replace("/postgres?", "/nowhere?"), "no such database"),
        (server.replace("postgres:@", "stranger:s3cret@"), "refuses"),
    ):
        assert url != server
        with pytest.raises(InputError, match=words) as error:
            Store(url)
        assert "s3cret" not in sentences(error)


@pytest.mark.parametrize("where", ["postgres"], indirect=True)
def test_the_password_is_not_in_the_name_of_an_album(where: str) -> None:
    for url in (where.replace("postgres:@", "postgres:s3cret@"), f"{where}&password=s3cret"):
        assert "s3cret" in url
        store = Store(url)
        assert "s3cret" not in store.name and "postgresql" in store.name
        store.close()


@pytest.mark.parametrize("where", ["postgres"], indirect=True)
def test_a_server_that_drops_the_connection_loses_only_the_step_at_hand(
    where: str, store: Store, put: Callable
) -> None:
    put("/a.jpg")
    killer = Store(where)
    with pytest.raises(InputError) as error, store.write() as connection:  # noqa: PT012
        connection.execute(sa.delete(schema.file))
        backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        with killer.read() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        connection.execute(sa.text("SELECT 1"))
    assert "kept" in sentences(error)
    assert paths_in(store) == ["/a.jpg"]
    with killer.read() as other:  # an idle connection that went away is replaced unseen
        for pid in other.scalars(
            sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        ).all():
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    put("/b.jpg")
    assert paths_in(store) == ["/a.jpg", "/b.jpg"]
    killer.close()


@pytest.mark.parametrize("where", ["postgres"], indirect=True)
def test_a_database_of_another_program_with_migrations_is_refused(where: str, server: str) -> None:
    engine = sa.create_engine(where.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('0001')"))
    engine.dispose()
    with pytest.raises(InputError, match="something else"):
        Store(where)
