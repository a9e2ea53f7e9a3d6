"""`visavis bases`: the generators that pictures come from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say, say_json, table
from visavis.bench.figures import values_of
from visavis.core import weights
from visavis.core.errors import InputError

BASES = {"nano": "text to faces, 128 px", "autoencoder": "pictures of faces to latents and back"}
TOLD = {"nano": ("face_found", "asked.gender", "frechet.a"), "autoencoder": ("psnr", "judge_cosine")}


def bases(
    name: Annotated[str | None, typer.Argument(help="one of them; all when none is named")] = None,
    words: Annotated[bool, typer.Option("--words", help="the words that it knows")] = False,
    as_json: forms.Json = False,
) -> None:
    """The generators that visavis knows: what they do, their size and terms and, in a checkout, what was measured of
    them (all of it: `visavis results nano`); with --words, what one can be told."""
    if name is not None and name not in BASES:
        raise InputError(f"There is no base {name!r}; known are {', '.join(BASES)}.")
    if words:
        _words(name or "nano", as_json)
        return
    rows = [_row(key) for key in BASES if name in (None, key)]
    if as_json:
        say_json({"schema": "visavis.bases/1", "bases": rows})
        return
    told = [", ".join(f"{name} {value:.3g}" for name, value in r["figures"].items()) for r in rows]
    table(
        ("name", "MB", "terms", "trained on", "what", "measured"),
        [
            (r["name"], f"{r['bytes'] / 1e6:.0f}", r["terms"], r["trained_on"], r["what"], figures)
            for r, figures in zip(rows, told, strict=True)
        ],
    )


def _row(name: str) -> dict[str, Any]:
    parts = weights.parts(name)
    facts = {"terms": parts[0].terms, "trained_on": parts[0].trained_on} if parts else {}
    here = {"terms": "-", "trained_on": "not trained yet", **facts}
    known = values_of(name)
    figures = {figure: known[figure] for figure in TOLD[name] if figure in known}
    size = sum(entry.bytes for entry in parts)
    return {"name": name, "what": BASES[name], "bytes": size, **here, "figures": figures}


def _words(name: str, as_json: bool) -> None:
    from visavis.bases.nano.words import FREE, NUMBERS, TELLING

    if name != "nano":
        raise InputError(f"{name} reads no words.")
    if as_json:
        say_json({"schema": "visavis.words/1", "base": name, "words": [*TELLING, *NUMBERS], "free": list(FREE)})
        return
    say(", ".join(TELLING))
    say(f"numbers from {NUMBERS[0]} to {NUMBERS[-1]}: ages that somebody looks like")
    say(f"{FREE[0]} to {FREE[-1]}: free words that systems give a meaning")
    say("left and right are the picture's. Any order, for example: a smiling woman of 40, looking left")
