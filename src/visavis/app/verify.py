"""`visavis verify`: what a picture says of its making."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say, say_json
from visavis.core.errors import InputError


def verify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="pictures")],
    as_json: forms.Json = False,
) -> None:
    """Read back what a picture says of its making: signed manifest, invisible mark, the record beside it."""
    from visavis.run.verify import verify as read_back

    rows, failed = list[dict[str, Any]](), list[str]()
    for file in files:
        try:
            verdict = read_back(file)
        except InputError as error:
            failed.append(str(error))
            rows.append({"path": file, "error": str(error)})
            continue
        rows.append({**dataclasses.asdict(verdict), "error": None})
        for sentence in () if as_json else verdict.sentences:
            say(f"{verdict.path}  {sentence}")
    if as_json:
        say_json({"schema": "visavis.verify/1", "files": rows})
    if failed:
        raise InputError(
            failed[0] if len(failed) == 1 else f"{len(failed)} files were not read. The first: {failed[0]}"
        )
