"""What look, compare, verify and the search of the album answered, with boxes drawn on the photos and in the words of
the command line.

Faces are restored from the document, so that nothing is looked for twice and nothing is said twice in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, cast

import numpy as np

from visavis.app import words
from visavis.app.draw import draw_faces
from visavis.app.serve import page_words as say
from visavis.core.errors import InputError
from visavis.core.types import Age, Face, Measure, Perception, Photo, Pose, Quality
from visavis.faces.attributes import Labels
from visavis.media.photo import open_photo

PHOTOS = 24  # of a folder that are shown
GOOD = Measure(0.0, "")


@dataclass(frozen=True)
class Shown:
    """A photo that a document tells of. path: of the file here; name: as its owner calls it."""

    path: str
    name: str


def looked(document: Mapping[str, Any], photos: Sequence[Shown]) -> str:
    """photos: one for each of the document's."""
    rows = document["photos"]
    parts = [say.paragraph(_counted(rows), say.SAID)]
    for row, shown in list(zip(rows, photos, strict=True))[:PHOTOS]:
        if row["error"]:
            parts.append(say.alert(f"{shown.name} was not read: {row['error']}"))
            continue
        parts.append(f'<div class="vv-photo">{_drawn(shown, row["faces"])}{_table(row, shown.name)}</div>')
    if len(rows) > PHOTOS:
        parts.append(say.paragraph(f"{len(rows) - PHOTOS} more photos are in the JSON below."))
    return say.block(*parts)


def _counted(rows: Sequence[Mapping[str, Any]]) -> str:
    count = sum(len(row["faces"]) for row in rows)
    return f"{words.counted(count)} on {len(rows)} photo{'' if len(rows) == 1 else 's'}."


def _table(row: Mapping[str, Any], name: str) -> str:
    photo = Photo(np.zeros((1, 1, 3), np.uint8), name)
    faces = [restored(one, photo) for one in row["faces"]]
    if not faces:
        return ""
    head = ["face", "age", "turned", "expression", "for a comparison it is", "box"]
    rows = [
        [str(f.id), f.age.words, words.gaze(f), words.expression(f), words.condition(f), words.box(f)] for f in faces
    ]
    if "labels" in row["faces"][0]:
        head.append("FairFace's labels")
        rows = [[*cells, Labels(**one["labels"]).words] for cells, one in zip(rows, row["faces"], strict=True)]
    return say.table(head, rows, f"{name}: {words.counted(len(faces))}, numbered as on the photo")


def compared(document: Mapping[str, Any], photos: Sequence[Shown]) -> str:
    """photos: the two."""
    pairs = document.get("pairs") or [document]
    parts = [_verdict(pair, len(pairs) > 1) for pair in pairs[: say.SHOWN]]
    figures = []
    for i, (shown, found) in enumerate(zip(photos, document["photos"], strict=True)):
        faces = list({pair["faces"][i]["id"]: pair["faces"][i] for pair in pairs}.values())
        conditions = "; ".join(f"face {face['id']}: {', '.join(face['words']) or 'good'}" for face in faces)
        caption = f"{shown.name}, {words.counted(found['faces_found'])}. {_capital(conditions)}"
        figures.append(_drawn(shown, faces, caption))
    parts.append(say.gallery(figures, "vv-two"))
    table = pairs[0]["table"]
    parts.append(
        say.paragraph(
            "A rate says how often two strangers would be as alike as this, never how sure it is that two people are "
            f"the same. Measured on {table['data']} by {table['command']}; twins and close relatives are no strangers.",
            "vv-soft",
        )
    )
    return say.block(*parts)


def _verdict(pair: Mapping[str, Any], several: bool) -> str:
    kind = {True: "vv-same", False: "vv-different", None: "vv-open"}[pair["same"]]
    first, second = (face["id"] for face in pair["faces"])
    verdict = f"Face {first} and face {second}: {pair['verdict']}" if several else pair["verdict"]
    score = f"Score {pair['score']:.2f}: a higher one is more alike. It is no percentage."
    return (
        f'<div class="vv-verdict {kind}">{say.heading(_capital(verdict))}'
        f"{say.paragraph(_capital(pair['words']) + '.')}{say.listed(pair['reasons'])}"
        f"{say.paragraph(score, 'vv-soft')}</div>"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def verified(document: Mapping[str, Any], photos: Sequence[Shown]) -> str:
    """photos: one for each of the document's files."""
    parts = []
    for row, shown in zip(document["files"], photos, strict=True):
        if row.get("error"):
            parts.append(say.alert(f"{shown.name} was not read: {row['error']}"))
            continue
        made = row.get("ai_made")
        said = "AI made or edited this picture" if made else "Nothing says that AI took part"
        *sentences, beside = row["sentences"]
        if row["beside"] == "missing":
            beside = (
                f"Its record was not sent along: choose {PurePath(shown.name).stem}.json with it, where you have it."
            )
        sentences.append(beside)
        parts.append(
            f'<div class="vv-photo">{_drawn(shown, ())}<div class="vv-verdict {"vv-open" if made else ""}">'
            f"{say.heading(said)}{say.listed(sentences)}</div></div>"
        )
    return say.block(*parts)


def _drawn(shown: Shown, rows: Sequence[Mapping[str, Any]], caption: str = "") -> str:
    """The photo with the boxes of these faces, as a figure. caption: left out, its name."""
    try:
        photo = open_photo(shown.path)
    except InputError:
        return say.alert(f"{shown.name} went meanwhile: it cannot be shown.")
    pixels = draw_faces(photo, [restored(row, photo) for row in rows])
    alt = f"{shown.name} with {words.counted(len(rows))} marked" if rows else shown.name
    return say.figure(say.data_uri(pixels), alt, [caption or shown.name])


def restored(row: Mapping[str, Any], photo: Photo) -> Face:
    """A face as a document tells of it; what it does not tell is left plain."""
    quality = {name: Measure(**measure) for name, measure in row.get("quality", {}).items()}
    face = Face(
        id=row["id"],
        box=tuple(row["box"]),
        score=row.get("score", 1.0),
        turn=row.get("turn", 0),
        points5=np.array(row.get("points5", ()), np.float32).reshape(-1, 2),
        mesh=np.array(row.get("mesh", ()), np.float32).reshape(-1, 3),
        pose=Pose(**row.get("pose", {"yaw": 0.0, "pitch": 0.0, "roll": 0.0})),
        eyes_open=row.get("eyes_open", 1.0),
        mouth_open=row.get("mouth_open", 0.0),
        smile=row.get("smile", 0.0),
        quality=Quality(**{name: quality.get(name, GOOD) for name in Quality.__dataclass_fields__}),
        photo=photo,
        perception=cast(Perception, None),  # nothing is asked of it: all that is wanted is in the row
    )
    if "age" in row:
        face.__dict__["age"] = Age(*(row["age"][name] for name in ("years", "low", "high")))
    return face
