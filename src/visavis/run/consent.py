"""Who is on the photos of a run, and did they agree? Looked up in the album before anything is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from visavis.core.errors import RefusedError
from visavis.core.settings import settings
from visavis.core.types import Face
from visavis.faces.analyse import embed_faces
from visavis.people.grouping import group_people, is_grouped
from visavis.people.loaded import load
from visavis.people.persons import Person, people
from visavis.people.search import Query, find
from visavis.people.store import Store

Ask = Callable[[str], bool]
"""Puts a question to whoever sits there; True for yes."""


@dataclass(frozen=True)
class Consent:
    """What is recorded of one person. person: the album's number of them. state: `given` (on record), `agreed` (said
    when asked), `not on record` (nobody in the album looks like this), `not checked` (the user's wish)."""

    state: Literal["given", "agreed", "not on record", "not checked"]
    person: int | None = None
    purpose: str | None = None
    until: date | None = None

    @property
    def words(self) -> str:
        if self.state == "given":
            return f"given for {self.purpose}" + (f", until {self.until}" if self.until else "")
        return {"agreed": "agreed when asked", "not on record": "nobody in the album looks like this"}.get(
            self.state, self.state
        )

    def plain(self) -> dict[str, str | int | None]:
        return {
            "state": self.state,
            "person": self.person,
            "purpose": self.purpose,
            "until": None if self.until is None else self.until.isoformat(),
        }


def look_up(groups: Sequence[Sequence[Face]], album: str | os.PathLike[str] | None, ask: Ask | None) -> list[Consent]:
    """The consent of the person on each group of faces. album: path or URL; None: the one of the settings.

    Where the album has the person and no consent, or one that has run out, `ask` decides; without it, or where the
    answer is no, RefusedError is raised.
    """
    where = settings().album if album is None else os.fspath(album)
    if "://" not in where and not Path(where).expanduser().exists():
        return [Consent("not on record") for _ in groups]
    store = Store(where)
    try:
        found = [_person(store, faces) for faces in groups]
    finally:
        store.close()
    return [_of(person, ask) for person in found]


def _of(person: Person | None, ask: Ask | None) -> Consent:
    if person is None:
        return Consent("not on record")
    over = person.until is not None and person.until < date.today()
    if person.consent is not None and not over:
        return Consent("given", person.id, person.consent, person.until)
    lack = (
        f"the consent of {person.called} ended on {person.until}" if over else f"{person.called} has given no consent"
    )
    if ask is not None and ask(f"On record, {lack}. Do they agree to this?"):
        return Consent("agreed", person.id)
    raise RefusedError(
        f"Refused: {lack}. Record a new one with `visavis person add NAME --consent WHAT --until DATE`, "
        "or leave the check out with --no-consent-check."
    )


def _person(store: Store, faces: Sequence[Face]) -> Person | None:
    """Whom the album calls found on most of the faces."""
    with store.read() as connection:
        grouped = is_grouped(connection)
    if not grouped:
        with store.write() as connection:
            group_people(connection)
    with store.read() as connection:
        loaded = None if store.postgres else load(connection)
        hits = []
        for face, vector in zip(faces, embed_faces(faces), strict=True):
            found = find(connection, Query(vector, covered=not face.quality.covered.good), loaded)
            if found.verdict == "found" and found.hits[0].person is not None:
                hits.append(found.hits[0].person)
        if not hits:
            return None
        best = max(set(hits), key=hits.count)
        return next(person for person in people(connection) if person.id == best)
