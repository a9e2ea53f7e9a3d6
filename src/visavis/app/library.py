"""`visavis.Album`: the album as Python sees it; the command line stands on the same calls."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from visavis.app import export
from visavis.app.adding import Report, add
from visavis.app.serve import leftovers
from visavis.core.errors import InputError
from visavis.core.settings import settings
from visavis.core.task import PhotoLike
from visavis.core.types import Face
from visavis.faces.analyse import embed_faces, find_faces, pick
from visavis.media.photo import open_photo
from visavis.people import persons
from visavis.people.forget import Receipt, forget
from visavis.people.grouping import Question, group_people, is_grouped, open_questions
from visavis.people.journal import undo
from visavis.people.loaded import Loaded, load
from visavis.people.persons import Person
from visavis.people.photos import face_on
from visavis.people.search import Found, Query, find
from visavis.people.store import Store, changes
from visavis.training import cache


class Album:
    """People on many photos, in one SQLite file or a PostgreSQL database.

    where: a path, or postgresql://USER:PASSWORD@HOST/DATABASE; left out: the setting VISAVIS_ALBUM, else album.db in
    the user's data folder. Every method raises InputError in one sentence for what the user can mend.
    """

    def __init__(self, where: str | os.PathLike[str] | None = None) -> None:
        self._where = settings().album if where is None else os.fspath(where)
        self.store = Store(self._where)
        self._loaded: tuple[int, Loaded] | None = None

    def __enter__(self) -> Album:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    def add(
        self,
        *sources: str | os.PathLike[str],
        read_names: bool = False,
        bring_back: bool = False,
        processes: int | None = 1,
    ) -> Report:
        """Adds photos, videos and all below folders; what the album holds already is skipped.

        read_names: take names from XMP as suggestions. bring_back: faces of people who were forgotten too.
        processes: with more than 1 (None: one a core), a script needs the usual `if __name__ == "__main__":`.
        """
        return add(self.store, sources, read_names=read_names, bring_back=bring_back, processes=processes)

    def people(self) -> list[Person]:
        """Everybody, grouped anew where photos were added since; those on most photos first."""
        self.group()
        with self.store.read() as connection:
            return [replace(person, album=self._where) for person in persons.people(connection)]

    def group(self, *, again: bool = False) -> list[Question]:
        """Groups all faces that nobody named, where something changed; people who may be one, most alike first."""
        with self.store.read() as connection:
            if not again and is_grouped(connection):
                return []
        with self.store.write() as connection:
            return group_people(connection)

    def questions(self) -> list[Question]:
        """People who may be one, as the last grouping left them open."""
        with self.store.read() as connection:
            return open_questions(connection)

    def suggestions(self) -> dict[int, list[str]]:
        """Names that other programs wrote for the faces of each person (by id)."""
        with self.store.read() as connection:
            return persons.suggestions(connection)

    def faces(self, called: str) -> list[dict[str, Any]]:
        """The faces of a person, as `export` writes them."""
        with self.store.read() as connection:
            person = persons.find_person(connection, called)
            return [row for row in export.faces(connection) if row["person"] == person.id]

    def find(self, photo: PhotoLike | Face, *, face: int = 0) -> Found:
        """Who in the album is on a photo. face: which face of it, from 1; 0: the main one."""
        if isinstance(photo, Face):
            wanted = photo
        else:
            opened = open_photo(photo)
            wanted = pick(find_faces(opened), face, opened.name)
        query = Query(embed_faces([wanted])[0], covered=not wanted.quality.covered.good)
        self.group()
        with self.store.read() as connection:
            if self.store.postgres:
                return find(connection, query)
            now = changes(connection)
            if self._loaded is None or self._loaded[0] != now:
                self._loaded = (now, load(connection))
            return find(connection, query, self._loaded[1])

    def person(
        self,
        name: str,
        photos: Sequence[str | os.PathLike[str]] = (),
        *,
        consent: str | None = None,
        until: str | date | None = None,
    ) -> Person:
        """A person by name: made where nobody is called so, with the main face of each photo.

        consent: what they agreed to; until: the last day of that (YYYY-MM-DD).
        """
        last, name = _day(until), persons.clean_name(name)
        chosen = [pick(find_faces(Path(path)), 0, os.fspath(path)).id for path in photos]
        if photos:
            self.add(*photos)
        with self.store.write() as connection:
            faces = [face_on(connection, path, number) for path, number in zip(photos, chosen, strict=True)]
            persons.add_person(connection, name, faces, consent, last)
            return replace(persons.find_person(connection, name), album=self._where)

    def name(self, called: str, new: str) -> str:
        """Names a person (an older name, or #ID); says what changed."""
        with self.store.write() as connection:
            return persons.name(connection, called, new)

    def merge(self, kept: str, other: str) -> str:
        """Two people are one."""
        with self.store.write() as connection:
            return persons.merge(connection, kept, other)

    def differ(self, first: str, second: str) -> str:
        """Two people are not one: they are never joined, and not asked about again."""
        with self.store.write() as connection:
            return persons.differ(connection, first, second)

    def split(self, called: str, faces: Sequence[int], new: str | None = None) -> str:
        """Takes faces, by their ids in the album, out of a person."""
        with self.store.write() as connection:
            return persons.split(connection, called, faces, new)

    def reject(self, faces: Sequence[int]) -> str:
        """These are no faces."""
        with self.store.write() as connection:
            return persons.reject(connection, faces)

    def undo(self) -> str:
        """Takes back the last name, merge, split, reject or person; says which."""
        with self.store.write() as connection:
            return undo(connection)

    def export(self, out: str | os.PathLike[str], kind: export.Kind = "json") -> int:
        """Writes who is where: a JSON or CSV file, folders of links to the photos, or XMP sidecars beside them."""
        self.group()
        with self.store.read() as connection:
            return export.write(connection, out, kind)

    def forget(self, called: str, *, receipts: str | os.PathLike[str] | None = None) -> Receipt:
        """Forgets a person for good, and proves it; cannot be undone. receipts: folder of the receipt, left out: the
        one in the user's data folder."""
        self._loaded = None
        with self.store.read() as connection:
            person = persons.find_person(connection, called)

        def elsewhere(photos: set[str]) -> None:
            cache.forget(photos)
            with self.store.read() as connection:
                known = {one.id for one in persons.people(connection)}
            leftovers.forget(person.id, leftovers.album_called(self._where), known)

        return forget(self.store, called, None if receipts is None else Path(receipts), elsewhere)


def photos_of(person: Person, most: int = 4) -> list[Face]:
    """The best faces of a person on photos of their album; InputError where none is there any more."""
    store, faces = Store(person.album or settings().album), list[Face]()
    try:
        with store.read() as connection:
            found = persons.best_photos(connection, person.id, most)
    finally:
        store.close()
    for path, number in found:
        with contextlib.suppress(InputError):  # the file may have gone since
            faces.append(pick(find_faces(path), number, path))
    if not faces:
        raise InputError(f"No photo of {person.called} can be found; name one of theirs.")
    return faces


def _day(until: str | date | None) -> date | None:
    if until is None or isinstance(until, date):
        return until
    try:
        return date.fromisoformat(until)
    except ValueError as error:
        raise InputError(f"The last day of a consent is written YYYY-MM-DD, not {until!r}.") from error
