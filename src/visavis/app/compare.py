"""`visavis compare`: same person, different people or undecided, with the rate at which strangers score as high."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

from visavis.app import document, words
from visavis.app.say import say
from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.task import Outcome
from visavis.core.tasks import Compare
from visavis.core.types import Match
from visavis.faces.analyse import embed_faces, find_faces, needs, pick
from visavis.faces.score import match
from visavis.media.photo import open_photo


def use(inputs: Compare, quiet: bool) -> Outcome:
    """Compares the main or chosen faces, or with `all` every pair of faces; no face at all is an InputError."""
    started = time.monotonic()
    if len(inputs.face) > 2:
        raise InputError("--face N is given at most twice: once for each photo.")
    used = [*needs(inputs.detector, embedding=True), "cohort", "false_match_table", "child"]
    numbers = [*inputs.face, 0, 0]
    photos = [open_photo(source) for source in (inputs.a, inputs.b)]
    weights.fetch(used)
    found = [find_faces(photo, detector=inputs.detector) for photo in photos]
    names = [str(source) for source in (inputs.a, inputs.b)]
    if inputs.all:
        for faces, photo in zip(found, photos, strict=True):
            pick(faces, 1, photo.name)
        chosen = found
    else:
        chosen = [[pick(faces, n, photo.name)] for faces, n, photo in zip(found, numbers[:2], photos, strict=True)]
    for faces in chosen:
        embed_faces(faces)
    matches = [match(a, b, max_false_match=inputs.max_false_match) for a, b in product(*chosen)]
    if not quiet:
        for one in matches:
            _say(one, names, [len(faces) for faces in found])
    rows = [_row(one) for one in matches]
    result = {
        "schema": "visavis.compare/1",
        **({"pairs": rows} if inputs.all else rows[0]),
        "photos": [{"path": name, "faces_found": len(faces)} for name, faces in zip(names, found, strict=True)],
        **document.origin(used, time.monotonic() - started),
    }
    return Outcome(result)


def _row(one: Match) -> dict[str, Any]:
    return {
        "same": one.same,
        "verdict": one.verdict,
        "words": words.strangers(one),
        "score": round(one.score, 4),
        "false_match_rate": one.false_match_rate,
        "false_match_rate_worst_group": one.false_match_rate_worst_group,
        "false_non_match_rate": one.false_non_match_rate,
        "table": dict(one.table),
        "reasons": list(one.reasons),
        "faces": [{"id": f.id, "box": [round(v, 1) for v in f.box], "words": list(f.quality.words)} for f in one.faces],
    }


def _say(one: Match, names: list[str], counts: list[int]) -> None:
    say(f"{one.verdict}: {words.strangers(one)}.")
    for reason in one.reasons:
        say(f"  {reason}")
    for face, name, count in zip(one.faces, names, counts, strict=True):
        say(f"  {name}: face {face.id} of {count}, box {words.box(face)}; {words.condition(face)}")
    pairs = f"{sum(one.table['pairs'].values()):,} pairs of strangers"
    measured = f"rates measured on {pairs} ({one.table['data']}) by `{one.table['command']}`"
    say(f"  score {one.score:.2f} (no percent); {measured}")
