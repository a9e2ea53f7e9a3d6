"""`visavis create portrait`: portraits of one person, each with its likeness."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visavis.app import document
from visavis.app.say import say
from visavis.core.progress import steps
from visavis.core.task import Outcome
from visavis.core.tasks import CreatePortrait
from visavis.run.output import Made, write_sheet
from visavis.run.runner import portraits


def use(inputs: CreatePortrait, quiet: bool, options: Mapping[str, Any]) -> Outcome:
    """Writes each picture as soon as it is judged, and at the end (or when stopped) all of them on one sheet."""
    started = time.monotonic()
    tell = (lambda note: None) if quiet else say
    run = portraits(inputs, options, ask=_ask if sys.stdin.isatty() and not quiet else None, tell=tell)
    folder, made = Path(inputs.out), list[tuple[Path, Made]]()
    if not quiet:
        for consent in run.consents:
            say(f"consent: {consent.words}")
    try:
        with steps(run.card.slug, 100) as bar:
            for picture in run.pictures(lambda share: bar(round(100 * share), "")):
                path = folder / f"{picture.seed:05d}.png"
                picture.save(path)
                made.append((path, picture))
    finally:
        if made:
            write_sheet(folder / "sheet.png", [picture.pixels for _, picture in made], run.facts)
    if not quiet:
        for path, picture in made:
            say(f"{path}  {'; '.join([picture.words, *picture.notes])}")
        say(f"{len(made)} pictures in {time.monotonic() - started:.1f} s: {folder / 'sheet.png'}")
    result = {
        "schema": "visavis.create.portrait/1",
        "notes": list(run.notes),
        "pictures": [{"path": str(path), **picture.facts} for path, picture in made],
        "sheet": str(folder / "sheet.png"),
        **document.origin(run.facts["weights"], time.monotonic() - started),
    }
    return Outcome(result, None)


def _ask(question: str) -> bool:
    import typer

    return typer.confirm(question)
