"""`visavis verify`: what a picture says of its making."""

from __future__ import annotations

import dataclasses
from typing import Any

from visavis.app.say import say
from visavis.core.album_tasks import Verify
from visavis.core.errors import InputError
from visavis.core.task import Outcome
from visavis.run.verify import verify


def use(inputs: Verify, quiet: bool) -> Outcome:
    """Reads back every picture; the good ones are done whatever becomes of the others."""
    rows, failed = list[dict[str, Any]](), list[str]()
    for file in map(str, inputs.files):
        try:
            verdict = verify(file)
        except InputError as error:
            failed.append(str(error))
            rows.append({"path": file, "error": str(error)})
            continue
        rows.append({**dataclasses.asdict(verdict), "error": None})
        for sentence in () if quiet else verdict.sentences:
            say(f"{verdict.path}  {sentence}")
    return Outcome({"schema": "visavis.verify/1", "files": rows}, _failure(failed))


def _failure(failed: list[str]) -> str | None:
    if len(failed) < 2:
        return failed[0] if failed else None
    return f"{len(failed)} files were not read. The first: {failed[0]}"
