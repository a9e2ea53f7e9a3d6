"""`visavis verify`: what a picture says of its making."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from visavis.app import forms
from visavis.app.say import say, say_json


def verify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="pictures")],
    as_json: forms.Json = False,
) -> None:
    """Read back what a picture says of its making: signed manifest, invisible mark, the record beside it."""
    from visavis.run.verify import verify as read_back

    found = [read_back(file) for file in files]
    if as_json:
        say_json({"schema": "visavis.verify/1", "files": [dataclasses.asdict(verdict) for verdict in found]})
        return
    for verdict in found:
        for sentence in verdict.sentences:
            say(f"{verdict.path}  {sentence}")
