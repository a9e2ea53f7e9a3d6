"""Who is on the photos of a run, and did they agree? Looked up in the album before anything is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from visavis.core.errors import InputError, RefusedError
from visavis.core.settings import own_album, settings
from visavis.core.types import Face
from visavis.faces.analyse import embed_faces
from visavis.faces.score import DIFFERENT, FLOOR_COVERED, calibration
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


def look_up(
    groups: Sequence[Sequence[Face]],
    album: str | os.PathLike[str] | None,
    ask: Ask | None,
    named: Sequence[int] = (),
) -> list[Consent]:
    """The consents of whom the album knows on the faces, group by group; one `not on record` for a group with nobody.

    album: path or URL; None: the one of the settings. named: numbers of people in it who are meant, whatever the
    photos show. Where the album has somebody and no consent, or one that has run out, `ask` decides; without it, or
    where the answer is no, RefusedError is raised; InputError where somebody named an album that is not there.
    """
    where = settings().album if album is None else os.fspath(album)
    if "://" not in where and not Path(where).expanduser().exists():
        if where != own_album():
            raise InputError(
                f"There is no album {where}, so that no consent can be looked up: add photos to it, "
                "name another one, or leave the check out with --no-consent-check."
            )
        return [Consent("not on record") for _ in groups]
    store = Store(where)
    try:
        with store.read() as connection:
            known = {person.id: person for person in people(connection)}
        found = [_on(store, faces) for faces in groups]
    finally:
        store.close()
    if found:
        found[0] |= {number: True for number in named if number in known}
    made = list[Consent]()
    for sure in found:
        here = [(known[number], certain) for number, certain in sure.items() if number in known]
        made += [_of(person, certain, ask) for person, certain in here] or [Consent("not on record")]
    return made


def _of(person: Person, certain: bool, ask: Ask | None) -> Consent:
    over = person.until is not None and person.until < date.today()
    if person.consent is not None and not over:
        return Consent("given", person.id, person.consent, person.until)
    called = person.called if certain else f"{person.called}, who may be on the photo,"
    lack = f"the consent of {called} ended on {person.until}" if over else f"{called} has given no consent"
    if ask is not None and ask(f"On record, {lack}. Do they agree to this?"):
        return Consent("agreed", person.id)
    raise RefusedError(
        f"Refused: {lack}. Record a new one with `visavis person add NAME --consent WHAT --until DATE`, "
        "or leave the check out with --no-consent-check."
    )


def _on(store: Store, faces: Sequence[Face]) -> dict[int, bool]:
    """Numbers of the people whom each face shows or may show, the most alike one of each, and whether it is certain.

    A question too many costs a word, one too few somebody's consent. So a candidate counts who is not plainly somebody
    else; and of covered faces and children, of whom no table can say that they are rarer than 1 in 1,000, the most
    alike one counts however large the album is.
    """
    with store.read() as connection:
        grouped = is_grouped(connection)
    if not grouped:
        with store.write() as connection:
            group_people(connection)
    found = dict[int, bool]()
    with store.read() as connection:
        loaded = None if store.postgres else load(connection)
        for face, vector in zip(faces, embed_faces(faces), strict=True):
            covered = not face.quality.covered.good
            told = find(connection, Query(vector, covered), loaded, limit=None)
            person = told.hits[0].person if told.hits else None
            if person is None:
                continue
            unclear = covered or calibration().may_be_child(vector[None]).any()
            candidate = told.verdict == "candidates" and told.hits[0].rate <= DIFFERENT
            if told.verdict == "found" or candidate or (unclear and told.hits[0].rate <= FLOOR_COVERED):
                found[person] = found.get(person, False) or told.verdict == "found"
    return found
