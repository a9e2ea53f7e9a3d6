"""`visavis verify FILE`: what a picture says of its making, read back: manifest, invisible mark, the JSON beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from visavis.core.errors import InputError
from visavis.core.types import Photo
from visavis.faces.analyse import find_faces
from visavis.media import paths
from visavis.media.photo import open_photo
from visavis.run import mark, provenance, sidecar

Beside = Literal["matches", "differs", "missing", "damaged"]
NOT_KNOWN = "signer not known to others"


@dataclass(frozen=True)
class Verdict:
    """What was found on a picture.

    ai_made: the mark or an unbroken manifest says so; None where neither says anything
    manifest: `own` (signed by this installation), `valid` (by another), `broken`, `missing`, `unread` (see sentences)
    signed:   the manifest in full, where it could be read
    mark:     the invisible mark
    beside:   whether the JSON beside the picture is there and names its bytes
    facts:    that JSON, {} where there is none
    sentences: all of it for a person
    """

    path: str
    ai_made: bool | None
    manifest: Literal["own", "valid", "broken", "missing", "unread"]
    signed: provenance.Manifest | None
    mark: mark.Reading
    beside: Beside
    facts: Mapping[str, Any]
    sentences: tuple[str, ...]


def verify(path: str | os.PathLike[str]) -> Verdict:
    """Reads back all that `visavis` leaves on a picture. Raises InputError for what is no picture."""
    photo = open_photo(os.fspath(path))
    signed, state, about_manifest = _manifest(path)
    reading, about_mark = _mark(photo)
    beside, facts, about_beside = _beside(path, photo)
    says = signed is not None and signed.ai_made and signed.state != "broken"
    return Verdict(
        path=os.fspath(path),
        ai_made=True if says or reading.found else None,
        manifest=state,
        signed=signed,
        mark=reading,
        beside=beside,
        facts=facts,
        sentences=(about_manifest, *about_mark, about_beside),
    )


State = Literal["own", "valid", "broken", "missing", "unread"]


def _manifest(path: str | os.PathLike[str]) -> tuple[provenance.Manifest | None, State, str]:
    try:
        found = provenance.read(path)
    except InputError as error:
        return None, "unread", f"The C2PA manifest was not read: {error}"
    if found is None:
        return None, "missing", "There is no C2PA manifest: it was never signed, or saved again by another program."
    if found.state == "broken":
        why = f" ({found.problems[0]})" if found.problems else ""
        return found, "broken", f"The C2PA manifest is broken: picture or manifest was changed after signing{why}."
    by = f"made with {found.generator}" if found.generator else "by an unnamed program"
    what = "says that AI made or edited the picture" if found.ai_made else "does not say that AI took part"
    if found.state == "own":
        return found, "own", f"The C2PA manifest {what}, {by}: signed by this installation, {NOT_KNOWN}."
    signer = found.signer or "somebody without a name"
    return found, "valid", f"The C2PA manifest {what}, {by}: signed by {signer}, whom visavis does not know."


def _mark(photo: Photo) -> tuple[mark.Reading, list[str]]:
    sentences = []
    try:
        frames = [face.crop().to_crop for face in find_faces(photo)]
    except InputError as error:
        frames = []
        sentences.append(f"The mark on faces was not looked for: {error}")
    reading = mark.read(photo.pixels, frames)
    chance = f"an unmarked picture scores as high once in {round(1 / reading.false_alarm):,}"
    if reading.found:
        text = f"The invisible mark of a picture made by AI was found (score {reading.score:.1f}; {chance} at most)."
    else:
        text = f"The invisible mark was not found (score {reading.score:.1f}): this does not say that a photo is real."
    return reading, [text, *sentences]


def _beside(path: str | os.PathLike[str], photo: Photo) -> tuple[Beside, Mapping[str, Any], str]:
    where = paths.file_name(sidecar.beside(path))
    try:
        facts = sidecar.read(path)
    except InputError as error:
        return "damaged", {}, str(error)
    if facts is None:
        return "missing", {}, f"There is no {where} beside it."
    if facts["sha256"] != photo.meta["sha256"]:
        return "differs", facts, f"{where} beside it belongs to other bytes: one of the two was changed or replaced."
    return "matches", facts, f"{where} beside it belongs to exactly this file."
