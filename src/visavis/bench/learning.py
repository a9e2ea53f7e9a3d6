"""`visavis bench learning SLUG=RUN ...`: likeness over training samples, as the runs wrote it down while they went on.

The cosine of recogniser A between a picture and the photo that was shown, of people left out of the training: the judge
is not asked before the weights are final. A takes part in the training, and no other photo of the person is looked at,
so that `visavis bench create` alone says how like somebody the pictures are.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visavis.bench.figures import Figure, results_folder, write
from visavis.core.errors import InputError, missing_extra
from visavis.media.write import write_bytes
from visavis.training.runs import run_folder

LOGGED = "val.likeness_a"

Points = list[tuple[int, float]]  # samples seen, likeness


def run(named: Sequence[str]) -> None:
    """Writes results/learning.json and learning.png. named: SLUG=RUN, where RUN is a system's last run; those that it
    started from come before it. Raises InputError where one of them is gone."""
    started, curves = time.time(), dict[str, list[Points]]()
    for text in named:
        slug, _, name = text.partition("=")
        if not name:
            raise InputError(f"{text} is not SLUG=RUN, as in instantid=my-run.")
        curves[slug], _ = _stages(run_folder(name))
    figures = [
        Figure(f"{slug}.likeness_a.{samples}", value, unit="cosine", better="neither")
        for slug, stages in curves.items()
        for points in stages
        for samples, value in points
    ]
    notes = [
        "the last part of a name: samples seen",
        "where a run goes on from another, people and losses may be others",
    ]
    write("learning", figures, seed=0, started=started, notes=notes)
    _draw(curves)


def _stages(folder: Path) -> tuple[list[Points], int]:
    """Of a run and those before it, each with its points, and how many samples all of them saw."""
    try:
        facts = json.loads((folder / "run.json").read_text("utf-8"))
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    except OSError as error:
        raise InputError(f"{folder} holds no run any more ({error.strerror}).") from error
    start, batch = facts["config"].get("start"), facts["config"]["schedule"]["batch"]
    before, seen = _stages(Path(start).parent) if start else (list[Points](), 0)
    points = [(seen + row["step"] * batch, row[LOGGED]) for row in rows if LOGGED in row]
    return [*before, points], seen + facts["best"]["step"] * batch


def _draw(curves: dict[str, list[Points]]) -> None:
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError as error:
        raise missing_extra("ml", "Drawing the curve") from error
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes: Any = canvas.subplots()
    for number, (slug, stages) in enumerate(curves.items()):
        for points in filter(None, stages):
            axes.plot(*zip(*points, strict=True), "o-", color=f"C{number}", markersize=3, label=slug)
            slug = "_"  # a name once in the legend
    axes.set(xlabel="training samples", ylabel="cosine by A to the photo shown", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=120)
    write_bytes(results_folder() / "learning.png", out.getvalue())
