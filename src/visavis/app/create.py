"""`visavis create`: pictures of faces."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from visavis.app import document
from visavis.app.say import say
from visavis.core import weights
from visavis.core.errors import absent
from visavis.core.progress import track
from visavis.core.task import Outcome
from visavis.core.tasks import CreateFaces
from visavis.core.types import Pixels
from visavis.run import mark, provenance
from visavis.run.output import write, write_sheet


def use(inputs: CreateFaces, quiet: bool) -> Outcome:
    """Writes each face as soon as it is done, and at the end (or when stopped) all of them on one sheet."""
    started = time.monotonic()
    try:
        from visavis.bases.load import base
    except ModuleNotFoundError as error:
        raise absent(error, "Making pictures") from error
    chosen = base(inputs.base)
    chosen.check(inputs.prompt)
    provenance.ready()
    folder, rows = Path(inputs.out), list[dict[str, Any]]()
    made: list[Pixels] = []
    settings: dict[str, Any] = {"seed": inputs.seed, "steps": inputs.steps, "guidance": inputs.guidance}
    known = {"base": inputs.base, "prompt": inputs.prompt, "terms": chosen.terms}
    facts = {"task": "create.faces", **known, **settings, "weights": weights.told(inputs.base)}
    try:
        for picture in track(chosen.pictures(inputs.prompt, inputs.n, **settings), "faces", inputs.n):
            path = folder / f"{inputs.seed + len(made):05d}.png"
            marked = mark.embed(picture)
            write(path, marked, facts | {"seed": inputs.seed + len(made)})
            made.append(marked)
            rows.append({"path": str(path), "seed": inputs.seed + len(made) - 1})
    finally:
        if made:
            write_sheet(folder / "sheet.png", made, facts)
    if not quiet:
        say(f"{len(made)} faces in {time.monotonic() - started:.1f} s: {folder / 'sheet.png'}")
    result = {
        "schema": "visavis.create.faces/1",
        "prompt": inputs.prompt,
        "base": inputs.base,
        "terms": chosen.terms,
        **{name: settings[name] for name in ("steps", "guidance")},
        "pictures": rows,
        "sheet": str(folder / "sheet.png"),
        **document.origin([inputs.base], time.monotonic() - started),
    }
    return Outcome(result, None)
