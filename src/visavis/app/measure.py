"""`visavis measure likeness`: are made pictures the people, or copies of the photos that were shown?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from visavis.app import document
from visavis.app.say import say
from visavis.core import weights
from visavis.core.progress import track
from visavis.core.task import Outcome
from visavis.core.tasks import MeasureLikeness
from visavis.faces.analyse import needs
from visavis.faces.judge import JUDGES
from visavis.run.measure import Measured, measured
from visavis.run.multiid import ALIKE

SCORES = {"sim_gt": "likeness to the truth", "sim_ref": "to the reference", "copy_paste": "copy-paste"}


def use(inputs: MeasureLikeness, quiet: bool) -> Outcome:
    started, used = time.monotonic(), [*needs("yunet"), *JUDGES]
    weights.fetch(used)
    rows = [_row(one) for one in track(measured(Path(inputs.folder)), "pictures")]
    means = {name: _mean([row[name] for row in rows if row[name] is not None]) for name in SCORES}
    missed = sum(row["sim_gt"] is None for row in rows)
    alike = sum(row["copy_paste"] is None for row in rows) - missed
    if not quiet:
        for row in rows:
            counted = f"{row['faces']} faces for {row['people']} people: no score"
            say(f"{row['path']}  {counted if row['sim_gt'] is None else _words(row)}")
        say(f"mean of {len(rows) - missed} pictures: {_words(means)}, by {JUDGES[0]}; {missed} without a score")
        if alike:
            say(f"{alike} without copy-paste: reference and truth are hardly two photos")
    result = {
        "schema": "visavis.measure.likeness/1",
        "pictures": rows,
        **means,
        "missed": missed,
        "alike": alike,
        "judge": JUDGES[0],
        **document.origin(used, time.monotonic() - started),
    }
    return Outcome(result)


def _row(one: Measured) -> dict[str, Any]:
    row: dict[str, Any] = {"path": str(one.picture), "people": one.people, "faces": one.faces, **dict.fromkeys(SCORES)}
    if one.scores is not None:
        two = one.scores.copy_paste[one.scores.between >= ALIKE]
        row |= {"sim_gt": _mean(one.scores.sim_gt), "sim_ref": _mean(one.scores.sim_ref), "copy_paste": _mean(two)}
    return row


def _mean(values: Any) -> float | None:
    return round(float(sum(values) / len(values)), 4) if len(values) else None


def _words(means: dict[str, Any]) -> str:
    return ", ".join(f"{words} {means[name]:.3f}" for name, words in SCORES.items() if means[name] is not None)
