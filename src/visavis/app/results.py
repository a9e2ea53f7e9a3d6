"""`visavis results`: the figures that commands have written."""

from __future__ import annotations

from pathlib import Path

from visavis.app.say import table
from visavis.bench.figures import read
from visavis.core.errors import InputError


def show(pattern: str, folder: str) -> None:
    """Prints every figure whose name (or file) holds the pattern."""
    if not Path(folder).is_dir():
        raise InputError(f"There is no folder {folder} here; run in a checkout or name it with --folder.")
    rows = [(file, f) for file, f in read(Path(folder)) if pattern.replace("/", ".") in f"{file}.{f.name}"]
    if not rows:
        raise InputError(f"No figure is named like {pattern!r}.")
    lines = []
    for file, f in rows:
        interval = "" if f.low is None or f.high is None else f"{f.low:.4g} to {f.high:.4g}"
        lines.append((file, f.name, f"{f.value:.4g}", interval, f.unit, "" if f.n is None else f"{f.n:,}"))
    table(("file", "figure", "value", "95 %", "unit", "n"), lines)
