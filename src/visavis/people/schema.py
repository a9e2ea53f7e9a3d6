"""The tables of an album, the same in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

from visavis.faces.embed import LENGTH

NEWEST = "0001"  # of the migrations
METADATA = MetaData()


class Vector(TypeDecorator[Any]):
    """float32 [128]: raw bytes in SQLite, pgvector's type in PostgreSQL."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        if dialect.name == "postgresql":
            from pgvector.sqlalchemy import VECTOR

            return dialect.type_descriptor(VECTOR(LENGTH))
        return dialect.type_descriptor(LargeBinary())

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        vector = np.ascontiguousarray(value, np.float32)
        return vector if dialect.name == "postgresql" else vector.tobytes()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return np.frombuffer(value, np.float32) if isinstance(value, bytes) else np.asarray(value, np.float32)


def _of(table: str, **options: Any) -> ForeignKey:
    return ForeignKey(f"{table}.id", ondelete="CASCADE", **options)


# Facts about the album itself: which visavis wrote it, what changed since the last grouping.
about = Table("about", METADATA, Column("key", String, primary_key=True), Column("value", String, nullable=False))
# One row a content; a file that is found again under another name is the same photo.
photo = Table(
    "photo",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("recipe", String, nullable=False),
    Column("problem", String),  # why it could not be read; such a photo is not tried again
    Column("width", Integer, nullable=False, default=0),
    Column("height", Integer, nullable=False, default=0),
    Column("taken", DateTime),
    sqlite_autoincrement=True,  # a number that a user has seen is never given again
)
file = Table(
    "file",
    METADATA,
    Column("path", String, primary_key=True),
    Column("photo_id", Integer, _of("photo"), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("missing", Boolean, nullable=False, default=False),
)
person = Table(
    "person",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True),  # NULL: found by grouping, named by nobody
    Column("consent", String),
    Column("until", Date),
    sqlite_autoincrement=True,
)
face = Table(
    "face",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("photo_id", Integer, _of("photo"), nullable=False, index=True),
    Column("number", Integer, nullable=False),  # the id that `look` gives it
    *(Column(name, Float, nullable=False) for name in ("x1", "y1", "x2", "y2")),
    Column("vector", Vector, nullable=False),
    Column("mean", Float, nullable=False),  # of the nearest cohort distances, with their deviation
    Column("deviation", Float, nullable=False),
    Column("eyes_px", Float, nullable=False),
    Column("sharpness", Float, nullable=False),
    Column("words", String, nullable=False, default=""),  # why it is poor for comparing
    Column("seconds", Float),  # of a video
    Column("rejected", Boolean, nullable=False, default=False),  # a person said: this is no face
    Column("person_id", Integer, ForeignKey("person.id", ondelete="SET NULL"), index=True),
    Column("by_user", Boolean, nullable=False, default=False),  # a person said whose it is: no run changes that
    UniqueConstraint("photo_id", "number"),
    sqlite_autoincrement=True,
)
crop = Table(
    "crop",
    METADATA,
    Column("face_id", Integer, _of("face"), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
)
# "These two are different people", said about two faces; what is the same lies in face.person_id.
different = Table(
    "different",
    METADATA,
    Column("first", Integer, _of("face"), primary_key=True),
    Column("second", Integer, _of("face"), primary_key=True),
)
# Names that other programs wrote into photos.
suggestion = Table(
    "suggestion",
    METADATA,
    Column("face_id", Integer, _of("face"), primary_key=True),
    Column("name", String, primary_key=True),
)
# before: JSON, the rows as they were before the user's step; undo puts them back.
journal = Table(
    "journal",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", DateTime, nullable=False),
    Column("what", String, nullable=False),
    Column("before", String, nullable=False),
)
# Where a forgotten person stood, so that the same file does not bring them back: no biometric.
forgotten = Table(
    "forgotten",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    *(Column(name, Float, nullable=False) for name in ("x1", "y1", "x2", "y2")),
)
