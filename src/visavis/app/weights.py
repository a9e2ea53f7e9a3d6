"""`visavis weights`: what the store knows, bring it here, check it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say, say_json, table
from visavis.core import weights
from visavis.core.settings import settings

app = typer.Typer(
    help="The files that visavis works with: what they are, fetch them, check them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def show(as_json: forms.Json = False) -> None:
    """Every file: source, size, terms, is it here."""
    if as_json:
        _document([_row(entry) for entry in weights.entries()])
        return
    head = ("name", "source", "MB", "terms", "here", "trained on")
    table(
        head,
        [(e.name, _source(e), f"{e.bytes / 1e6:.1f}", _terms(e), e.state, e.trained_on) for e in weights.entries()],
    )
    say(f"Fetched files lie in {settings().weights}; copied to another machine they work there without a connection.")


@app.command("fetch")
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="which; all when none is named")
    ] = None,
    licence: forms.Licence = None,
    as_json: forms.Json = False,
) -> None:
    """Bring files here, for work without a connection."""
    forms.set_common(licence=licence)
    done = weights.fetch(names or ())
    if as_json:
        _document([{**_row(entry), "fetched": fetched} for entry, fetched in done])
        return
    table(("name", "done", "file"), [(e.name, "fetched" if new else "was here", str(e.location)) for e, new in done])


@app.command("verify")
def verify(as_json: forms.Json = False) -> None:
    """Compare every sha256; exit 2 on a damaged file."""
    found = weights.verify()
    if as_json:
        _document([{**_row(entry), "state": state} for entry, state in found])
    else:
        table(("name", "state", "file"), [(e.name, state, str(e.location)) for e, state in found])
    damaged = [str(e.location) for e, state in found if state == "damaged"]
    if damaged:
        sys.stderr.write(f"Damaged: {', '.join(damaged)}. `visavis weights fetch` brings them again.\n")
        raise typer.Exit(2)


def _terms(entry: weights.Entry) -> str:
    return f"{entry.terms} ({entry.licence})" if entry.licence else entry.terms


def _source(entry: weights.Entry) -> str:
    return "shipped" if entry.source == "shipped" else f"{entry.source} {entry.origin}"


def _row(entry: weights.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "file": entry.file,
        "state": entry.state,
        "source": entry.source,
        "origin": entry.origin,
        "bytes": entry.bytes,
        "download_bytes": entry.download,
        "terms": entry.terms,
        "licence": entry.licence,
        "trained_on": entry.trained_on,
        "sha256": entry.sha256,
    }


def _document(rows: list[dict[str, Any]]) -> None:
    say_json({"schema": "visavis.weights/1", "folder": str(settings().weights), "weights": rows})
