"""What people said about an album, each step with the rows as they were before, so that it can be taken back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from visavis.core.errors import InputError
from visavis.people import schema
from visavis.people.photos import touch

# Columns that a step may change, and how a row is found; vectors and crops never change.
_KEPT = {
    "person": (schema.person, ("id",), ("name", "consent", "until")),
    "face": (schema.face, ("id",), ("person_id", "by_user", "rejected")),
    "different": (schema.different, ("first", "second"), ()),
}


class Step:
    """One step of a user: call `before` on rows that are about to change, then `done`."""

    def __init__(self, connection: sa.Connection, what: str) -> None:
        self.connection, self.what = connection, what
        self._rows: dict[tuple[str, tuple[int, ...]], dict[str, Any] | None] = {}

    def before(self, table: str, keys: Iterable[int | tuple[int, int]]) -> None:
        for key in keys:
            at = key if isinstance(key, tuple) else (key,)
            if (table, at) not in self._rows:
                row = self._rows[table, at] = _row(self.connection, table, at)
                if row and row.get("person_id"):  # somebody unnamed goes with their last face
                    self.before("person", [row["person_id"]])

    def made(self, table: str, key: int) -> None:
        """A row that this step made: undo takes it away."""
        self._rows[table, (key,)] = None

    def done(self) -> None:
        rows = [[table, list(key), row] for (table, key), row in self._rows.items()]
        self.connection.execute(
            sa.insert(schema.journal).values(
                at=datetime.now(UTC).replace(tzinfo=None), what=self.what, before=json.dumps(rows)
            )
        )


def undo(connection: sa.Connection) -> str:
    """Takes the last step back and says which; raises InputError where there is none."""
    last = connection.execute(sa.select(schema.journal).order_by(schema.journal.c.id.desc()).limit(1)).first()
    if last is None:
        raise InputError("There is nothing to undo.")
    rows = json.loads(last.before)
    # People first, so that faces can point to them; people who were made by the step go last.
    for made in (False, True):
        for table, key, row in sorted(rows, key=lambda entry: entry[0] != "person" or made):
            if (row is None) == made:
                _put_back(connection, table, tuple(key), row)
    connection.execute(sa.delete(schema.journal).where(schema.journal.c.id == last.id))
    touch(connection)
    return str(last.what)


def rows_of(before: str) -> list[tuple[str, tuple[int, ...], dict[str, Any] | None]]:
    """The rows that a journal entry holds."""
    return [(table, tuple(key), row) for table, key, row in json.loads(before)]


def _row(connection: sa.Connection, table: str, key: tuple[int, ...]) -> dict[str, Any] | None:
    where, names, kept = _KEPT[table]
    columns = [where.c[name] for name in (*names, *kept)]
    found = connection.execute(sa.select(*columns).where(_is(where, names, key))).mappings().first()
    if found is None:
        return None
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in found.items()}


def _put_back(connection: sa.Connection, table: str, key: tuple[int, ...], row: dict[str, Any] | None) -> None:
    where, names, kept = _KEPT[table]
    if row is None:
        connection.execute(sa.delete(where).where(_is(where, names, key)))
        return
    values = dict(row)
    if values.get("until"):
        values["until"] = date.fromisoformat(values["until"])
    if table == "person" and values["name"] is not None:
        other = sa.select(schema.person.c.id).where(
            schema.person.c.name == values["name"], schema.person.c.id != key[0]
        )
        if connection.scalar(other) is not None:
            raise InputError(f"This cannot be undone: somebody else is called {values['name']!r} now.")
    if _row(connection, table, key) is None:
        faces = {"person": (), "face": key, "different": key}[table]
        if all(_row(connection, "face", (face,)) for face in faces):  # a face that is gone with its photo stays gone
            connection.execute(sa.insert(where).values(**values))
    elif kept:
        connection.execute(sa.update(where).where(_is(where, names, key)).values({n: values[n] for n in kept}))


def _is(table: sa.Table, names: tuple[str, ...], key: tuple[int, ...]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in zip(names, key, strict=True)))
