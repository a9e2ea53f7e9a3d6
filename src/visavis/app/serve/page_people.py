"""What the album says on the page: cards of people and faces, open questions, findings, reports, receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from visavis.app import words
from visavis.app.album import verdict
from visavis.app.library import Album
from visavis.app.serve import page_words as say
from visavis.app.words import one_in
from visavis.core.settings import settings
from visavis.people import schema
from visavis.people.persons import best_photos, counted
from visavis.people.search import Found, Hit

PEOPLE, FACES = "vv-people", "vv-faces"  # ids of the groups of checkboxes that look like cards
ASKED = 10

Row = Mapping[str, Any]


def exists() -> bool:
    """Whether there is an album; to open one would make it."""
    place = settings().album
    return "://" in place or Path(place).expanduser().exists()


def best_crops(people: Sequence[int]) -> list[bytes]:
    """JPEG of the best face of each person as the album keeps it, b"" where it has none."""
    face = schema.face.c
    query = (
        sa.select(face.person_id, schema.crop.c.jpeg)
        .join(schema.crop, schema.crop.c.face_id == face.id)
        .where(face.person_id.in_(people), ~face.rejected)
        .order_by(face.words == "", face.eyes_px)  # of each person the last one counts
    )
    return _read(query, people)


def crops(faces: Sequence[int]) -> list[bytes]:
    """JPEG of each face."""
    where = schema.crop.c
    return _read(sa.select(where.face_id, where.jpeg).where(where.face_id.in_(faces)), faces)


def _read(query: Any, ids: Sequence[int]) -> list[bytes]:
    if not ids:
        return []
    with Album() as album, album.store.read() as connection:
        known = {row[0]: row[1] for row in connection.execute(query)}
    return [known.get(id, b"") for id in ids]


def pictures(group: str, jpegs: Sequence[bytes]) -> str:
    """The picture of each card of such a group; beside the checkbox and its label, which say who it is."""
    rules = (
        f"#{group} label:nth-of-type({i})::before{{background-image:url({say.data_uri(jpeg)})}}"
        for i, jpeg in enumerate(jpegs, 1)
        if jpeg
    )
    return f"<style>{''.join(rules)}</style>"


def choices(people: Sequence[Row]) -> list[tuple[str, int]]:
    """Whoever cannot see the picture knows those without a name by a photo of theirs."""
    with Album() as album, album.store.read() as connection:
        best = {row["id"]: best_photos(connection, row["id"], 1) for row in people if not row["name"]}
    photos = {id: Path(found[0][0]).name for id, found in best.items() if found}
    return [(_label(row, photos.get(row["id"])), row["id"]) for row in people]


def _label(row: Row, photo: str | None) -> str:
    said = row["name"] or f"#{row['id']}"
    if not row["name"] and row["suggested"]:
        said += f" ({', '.join(row['suggested'])}?)"
    said += f": {counted(row['photos'], 'photo')}" + (f", such as {photo}" if photo else "")
    if row["consent"]:
        said += f", agreed: {row['consent']}" + (f" until {row['until']}" if row["until"] else "")
    return said


def face_choices(faces: Sequence[Row]) -> list[tuple[str, int]]:
    return [(f"{row['face']}: {row['path']}", row["face"]) for row in faces]


def questions(asked: Sequence[Row], called: Mapping[int, str]) -> str:
    """Who may be one person; those who are not shown now are left out."""
    said = [
        f"{called[q['first']]} and {called[q['second']]}: about {one_in(q['rate'])} strangers look this alike."
        for q in asked
        if q["first"] in called and q["second"] in called
    ]
    if not said:
        return ""
    how = "The same person? Choose both, then Merge or Not the same."
    return say.block(say.paragraph(how), say.listed(said[:ASKED]))


def found(document: Row) -> str:
    """Of `album.find`."""
    hits = tuple(Hit(**row) for row in document["hits"])
    rows = [(hit.called, str(hit.faces), f"{hit.expected:.2g}") for hit in hits]
    head = ("person", "faces", "strangers expected to score as well")
    told = say.heading(verdict(Found(hits, document["searched"])))
    return say.block(f'<div class="vv-verdict">{told}</div>', say.table(head, rows, "Who it may be") if rows else "")


def added(document: Row) -> str:
    """Of `album.add`."""
    counts = ", ".join(f"{count} {word}" for word, count in sorted(document["counts"].items())) or "no photo"
    first = f"{counts}; {counted(document['faces'], 'new face')}."
    said = []
    if document["names"]:
        said.append(f"{counted(document['names'], 'name')} suggested by the photos.")
    if document["left_out"]:
        said.append(f"{counted(document['left_out'], 'face')} of forgotten people left out.")
    told = [f"{path}: {reason}" for path, reason in document["skipped"]] + [f"{p}: gone" for p in document["gone"]]
    return say.block(say.paragraph(first, say.SAID), *map(say.paragraph, said), say.listed(told[: say.SHOWN]))


def receipt(called: str, document: Row) -> str:
    """Of `forget`."""
    *said, _ = words.receipt(document)
    return say.block(say.heading(f"{called} is forgotten"), say.listed([*said, "The receipt is kept on the server."]))
