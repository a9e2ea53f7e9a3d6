"""Opening an album: one SQLite file, or a PostgreSQL database with pgvector by its URL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from visavis.core.errors import InputError, missing_extra
from visavis.core.settings import private_folder
from visavis.media.paths import shown
from visavis.people import schema

VERSION = version("visavis")
WAIT_SECONDS = 10  # for another writer
COPY = ".before-leaving-"  # beside the album, then the version that it had
CHANGES = "changes"  # counts the transactions, so that what was read before can be told from what is there now
MIGRATIONS = Path(__file__).parent / "migrations"


class Store:
    """An open album. `read` and `write` give a connection; write is one transaction, all or nothing."""

    def __init__(self, where: str | os.PathLike[str]) -> None:
        """where: path of a SQLite file (made where it is absent), or postgresql://... Raises InputError."""
        text = os.fspath(where)
        self.path = None if "://" in text else Path(text).expanduser().absolute()
        self.engine = _engine(_url(text) if self.path is None else _file_url(self.path))
        self.name = _called(self.engine.url) if self.path is None else shown(self.path)
        with self._told():
            _migrate(self)
        if self.path is not None:
            self.path.chmod(0o600)

    @property
    def postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._told(), self.engine.connect() as connection:
            yield connection.execution_options(reads=True)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._told(), self.engine.begin() as connection:
            _lock(connection)
            yield connection
            value = sa.cast(sa.cast(schema.about.c.value, sa.Integer) + 1, sa.String)
            connection.execute(sa.update(schema.about).where(schema.about.c.key == CHANGES).values(value=value))

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            raise InputError(_why(self.name, error)) from None
        except exc.SQLAlchemyError as error:
            raise InputError(f"The album {self.name} cannot be used ({type(error).__name__}).") from None


def changes(connection: sa.Connection) -> int:
    """How many transactions the album has seen."""
    return int(connection.scalar(sa.select(schema.about.c.value).where(schema.about.c.key == CHANGES)) or 0)


def _lock(connection: sa.Connection) -> None:
    """One writer at a time, as SQLite has it; released with the transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('visavis.album'))"))


def _called(url: sa.URL) -> str:
    """The URL for messages: a password may stand before the host or among the options."""
    options = {key: value for key, value in url.query.items() if "password" not in key.lower()}
    return url.set(query=options).render_as_string(hide_password=True)


def _url(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        raise InputError("The album's URL is none: postgresql://USER:PASSWORD@HOST:PORT/DATABASE.") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise InputError(f"An album is a file or a postgresql:// URL, not {url.get_backend_name()}://.")
    try:
        import pgvector  # noqa: F401
        import psycopg  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("postgres", "An album in PostgreSQL") from error
    return url.set(drivername="postgresql+psycopg")


def _file_url(path: Path) -> sa.URL:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        private_folder(path.parent)
        _make(path)
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or error
        raise InputError(f"The album {shown(path)} cannot be opened ({detail}).") from error
    else:
        if not stat.S_ISREG(mode):
            raise InputError(f"The album {shown(path)} is no file.")
        if not os.access(path, os.W_OK):
            raise InputError(f"The album {shown(path)} is read-only; an album must be writable.")
    return sa.URL.create("sqlite", database=str(path))


def _make(path: Path) -> None:
    """Empty, which is a database to SQLite: what it lays beside a file takes over the file's mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputError(f"The album {shown(path)} cannot be made ({error.strerror}).") from error


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": WAIT_SECONDS})
    engine = sa.create_engine(url, connect_args={"timeout": WAIT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # visavis begins its transactions itself, see below
        # A hostile file may carry a schema that runs functions when it is read.
        for pragma in (
            "trusted_schema=OFF",
            "cell_size_check=ON",
            "foreign_keys=ON",
            "secure_delete=ON",
            "synchronous=NORMAL",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables or "about" in tables:  # a database of something else stays as it is
            connection.execute("PRAGMA journal_mode=WAL").close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # The lock is taken at the start: a second writer waits instead of failing in the middle.
        mode = "" if connection.get_execution_options().get("reads") else " IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN{mode}")

    return engine


def _migrate(store: Store) -> None:
    """To the newest schema; before an older file is changed, a copy is kept beside it."""
    with store.engine.connect().execution_options(reads=True) as connection:
        tables = set(sa.inspect(connection).get_table_names())
        at = None
        if "alembic_version" in tables:
            at = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        others = tables & set(schema.METADATA.tables) if store.postgres else tables
        if (at is None and others) or (at is not None and "about" not in tables):
            raise InputError(f"{store.name} is a database of something else; name another one for the album.")
        if at == schema.NEWEST:
            return
        known = {found.name.split("_")[0] for found in (MIGRATIONS / "versions").glob("[0-9]*.py")}
        if at is not None and at not in known:
            wrote = connection.scalar(sa.select(schema.about.c.value).where(schema.about.c.key == "visavis"))
            raise InputError(
                f"The album {store.name} was written by visavis {wrote}, which is newer than this one ({VERSION}); "
                "install that version or a later one."
            )
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    with store.engine.begin() as connection:
        _lock(connection)
        if at is not None and store.path is not None:
            copy = store.path.with_name(f"{store.path.name}{COPY}{at}")
            # Another program may have come first; its copy is the one of the older album.
            if connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == at:
                _copy(store.path, copy)
        with EnvironmentContext(Config(), scripts, fn=lambda now, _: scripts._upgrade_revs("head", now)) as environment:
            environment.configure(connection=connection)
            environment.run_migrations()
        connection.execute(sa.delete(schema.about).where(schema.about.c.key == "visavis"))
        connection.execute(sa.insert(schema.about).values(key="visavis", value=VERSION))
        if connection.scalar(sa.select(schema.about.c.value).where(schema.about.c.key == CHANGES)) is None:
            connection.execute(sa.insert(schema.about).values(key=CHANGES, value="0"))


def _copy(path: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    _make(copy)
    with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(copy)) as new:
        old.backup(new)


def _why(name: str, error: exc.DBAPIError) -> str:
    text = str(error.orig).lower()
    if "locked" in text or "lock timeout" in text:
        return f"The album {name} is in use by another program; try again when that is done."
    if "not a database" in text or "malformed" in text or "corrupt" in text:
        return f"The album {name} is damaged or no album; restore it from a backup, or name another file."
    if "disk is full" in text or "no space" in text:
        return f"The disk of the album {name} is full; what was added before is kept."
    if "readonly" in text or "read-only" in text:
        return f"The album {name} cannot be written; an album must be writable."
    if "password" in text or "authentication" in text or "role" in text:
        return f"The server of {name} refuses this user or password."
    if "does not exist" in text and "database" in text:
        return f"The server of {name} has no such database."
    if "vector" in text and "extension" in text:
        return f"The server of {name} lacks the extension pgvector, or this user may not create it."
    if error.connection_invalidated or isinstance(error, exc.OperationalError):
        return f"The album {name} cannot be reached; what was added before is kept."
    return f"The album {name} cannot be used ({type(error.orig).__name__})."
