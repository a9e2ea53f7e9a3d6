"""`visavis create identity`: people whom nobody has met, each on several pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visavis.app import document
from visavis.app.say import say
from visavis.core.progress import steps
from visavis.core.task import Outcome
from visavis.core.tasks import CreateIdentity
from visavis.run.identities import MadeUp, identities
from visavis.run.output import write_sheet


def use(inputs: CreateIdentity, quiet: bool, options: Mapping[str, Any]) -> Outcome:
    """Writes OUT/PERSON/PICTURE.png of each person as soon as they are judged, and at the end (or when stopped) a sheet
    with a row for each."""
    started = time.monotonic()
    run = identities(inputs, options)
    folder, people = Path(inputs.out), list[MadeUp]()
    paths = list[list[str]]()
    try:
        with steps(run.card.slug, 100) as bar:
            for person in run.people(lambda share: bar(round(100 * share), "")):
                own = [folder / f"{person.seed:05d}" / f"{i:02d}.png" for i in range(len(person.pictures))]
                for path, picture in zip(own, person.pictures, strict=True):
                    picture.save(path)
                people.append(person)
                paths.append([str(path) for path in own])
    finally:
        if people:
            pictures = [picture.pixels for person in people for picture in person.pictures]
            write_sheet(folder / "sheet.png", pictures, run.facts, inputs.photos)
    if not quiet:
        for told in (*run.notes, *(person.words for person in people)):
            say(told)
        say(f"{len(people)} people in {time.monotonic() - started:.1f} s: {folder / 'sheet.png'}")
    rows = [
        {"seed": person.seed, "alike": person.alike, "pictures": own} for person, own in zip(people, paths, strict=True)
    ]
    result = {
        "schema": "visavis.create.identity/1",
        "notes": list(run.notes),
        "people": rows,
        "sheet": str(folder / "sheet.png"),
        **document.origin(run.facts["weights"], time.monotonic() - started),
    }
    return Outcome(result, None)
