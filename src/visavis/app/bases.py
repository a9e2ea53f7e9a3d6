"""`visavis bases`: the generators that pictures come from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say, say_json, table
from visavis.core import weights
from visavis.core.errors import InputError

BASES = {"nano": "text to faces, 128 px", "autoencoder": "pictures of faces to latents and back"}


def bases(
    name: Annotated[str | None, typer.Argument(help="one of them; all when none is named")] = None,
    words: Annotated[bool, typer.Option("--words", help="the words that it knows")] = False,
    as_json: forms.Json = False,
) -> None:
    """The generators that visavis knows: what they do, their size and terms; with --words, what one can be told."""
    if name is not None and name not in BASES:
        raise InputError(f"There is no base {name!r}; known are {', '.join(BASES)}.")
    if words:
        _words(name or "nano", as_json)
        return
    rows = [_row(key) for key in BASES if name in (None, key)]
    if as_json:
        say_json({"schema": "visavis.bases/1", "bases": rows})
        return
    table(
        ("name", "MB", "terms", "trained on", "what"),
        [(r["name"], f"{r['bytes'] / 1e6:.0f}", r["terms"], r["trained_on"], r["what"]) for r in rows],
    )


def _row(name: str) -> dict[str, Any]:
    parts = weights.parts(name)
    facts = {"terms": parts[0].terms, "trained_on": parts[0].trained_on} if parts else {}
    here = {"terms": "-", "trained_on": "not trained yet", **facts}
    return {"name": name, "what": BASES[name], "bytes": sum(entry.bytes for entry in parts), **here}


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
