"""The album's part of the demo: somebody is found by a photo that was kept back, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visavis.app.library import Album
from visavis.core.settings import scratch
from visavis.core.types import Face
from visavis.people.forget import Receipt
from visavis.people.photos import FileFacts, add_photo
from visavis.people.record import PhotoRecord, records
from visavis.people.search import Found

NAME = "person 1"


@dataclass(frozen=True)
class Story:
    """people: groups that the album makes; kept_back: the face that was searched for; before, after: what the search
    says before and after forgetting; proof: the receipt's file."""

    people: int
    kept_back: Face
    before: Found
    receipt: Receipt
    proof: bytes
    after: Found


def tell(photos: Sequence[Sequence[Face]], members: Sequence[Face]) -> Story | None:
    """photos: the faces of each photo; members: of one person, who is searched for by the best of their photos.

    None where that person is on one photo only. Nothing of the album stays.
    """
    if len(members) < 2:
        return None
    kept_back = max(members, key=lambda face: (not face.quality.words, face.area))
    known = next(face for face in members if face is not kept_back)
    with scratch("demo-") as folder, Album(Path(folder) / "album.db") as album:
        for number, faces in enumerate(photos):
            if faces and faces[0].photo is not kept_back.photo:
                _put(album, number, faces)
        people = album.people()
        person = album.find(known).hits[0]
        album.name(person.called, NAME)
        before = album.find(kept_back)
        receipt = album.forget(NAME, receipts=folder)
        proof = Path(receipt.file).read_bytes()
        after = album.find(kept_back)
    return Story(len(people), kept_back, before, receipt, proof, after)


def _put(album: Album, number: int, faces: Sequence[Face]) -> None:
    photo = faces[0].photo
    digest = str(photo.meta.get("sha256", number))
    record = PhotoRecord(digest, None, photo.width, photo.height, photo.meta.get("taken"), records(faces))
    with album.store.write() as connection:
        add_photo(connection, FileFacts(str(photo.meta.get("path", photo.name)), 0, 0), record)
