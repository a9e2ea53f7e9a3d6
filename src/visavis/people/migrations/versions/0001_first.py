"""The first version."""

import sqlalchemy as sa
from alembic import op

from visavis.people.schema import Vector

revision = "0001"
down_revision = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "about", sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False)
    )
    op.create_table(
        "photo",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("recipe", sa.String, nullable=False),
        sa.Column("problem", sa.String),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("taken", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "file",
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("photo_id", sa.Integer, sa.ForeignKey("photo.id", ondelete="CASCADE"), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified_ns", sa.BigInteger, nullable=False),
        sa.Column("missing", sa.Boolean, nullable=False),
    )
    op.create_index("ix_file_photo_id", "file", ["photo_id"])
    op.create_table(
        "person",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, unique=True),
        sa.Column("consent", sa.String),
        sa.Column("until", sa.Date),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "face",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("photo_id", sa.Integer, sa.ForeignKey("photo.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("x1", "y1", "x2", "y2")),
        sa.Column("vector", Vector, nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("mean", "deviation", "eyes_px", "sharpness")),
        sa.Column("words", sa.String, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("rejected", sa.Boolean, nullable=False),
        sa.Column("person_id", sa.Integer, sa.ForeignKey("person.id", ondelete="SET NULL")),
        sa.Column("by_user", sa.Boolean, nullable=False),
        sa.UniqueConstraint("photo_id", "number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_face_photo_id", "face", ["photo_id"])
    op.create_index("ix_face_person_id", "face", ["person_id"])
    op.create_table(
        "crop",
        sa.Column("face_id", sa.Integer, sa.ForeignKey("face.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Statistics hold samples of the values: copies of faces that no delete reaches.
        op.execute("ALTER TABLE face ALTER COLUMN vector SET STATISTICS 0")
        op.execute("ALTER TABLE crop ALTER COLUMN jpeg SET STATISTICS 0")
    op.create_table(
        "different",
        *(
            sa.Column(name, sa.Integer, sa.ForeignKey("face.id", ondelete="CASCADE"), primary_key=True)
            for name in ("first", "second")
        ),
    )
    op.create_table(
        "suggestion",
        sa.Column("face_id", sa.Integer, sa.ForeignKey("face.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("before", sa.String, nullable=False),
    )
    op.create_table(
        "forgotten",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("x1", "y1", "x2", "y2")),
    )
    op.create_index("ix_forgotten_sha256", "forgotten", ["sha256"])
