"""The one format of figures (design, section 14): results/NAME.json, written by the command that measured them."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from visavis.core.settings import private_folder, settings, usable_cores
from visavis.media.write import write_bytes

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Figure:
    """One number with its 95 % interval. name: lower case with dots; value: a finite number."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = "share"
    better: Better = "higher"
    n: int | None = None


def results_folder() -> Path:
    """`results` of the current folder: figures belong to the checkout in which the command runs."""
    return Path("results")


def measured_folder(package: Path = Path(__file__).parents[1]) -> Path | None:
    """`results` of the checkout in which the package lies, wherever the command runs; None where it lies in none."""
    top = package.parents[1]
    return top / "results" if package.parent.name == "src" and (top / "pyproject.toml").is_file() else None


def document(figures: Sequence[Figure], *, seed: int, started: float, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON of a measurement. started: time.time() at the start of the command."""
    made: dict[str, Any] = {
        "command": " ".join(["pytest" if "pytest" in sys.argv[0] else "visavis", *map(_shown, sys.argv[1:])]),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _changed(),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "seconds": round(time.time() - started, 1),
        "figures": [_row(f) for f in figures],
    }
    return {**made, "notes": list(notes)} if notes else made


def _shown(argument: str) -> str:
    """A folder of this machine tells a reader nothing but its name; a setting KEY=PATH names its run, too."""
    key, equals, value = argument.rpartition("=")
    if not value.startswith("/"):
        return argument
    return f"{key}{equals}{'/'.join(Path(value).parts[-2:])}" if equals else Path(value).name


def write(name: str, figures: Sequence[Figure], *, seed: int, started: float, notes: Sequence[str] = ()) -> Path:
    """Writes results/NAME.json atomically."""
    path = results_folder() / f"{name}.json"
    text = json.dumps(document(figures, seed=seed, started=started, notes=notes), indent=1) + "\n"
    write_bytes(path, text.encode())
    return path


def kept(name: str, part: str, measure: Callable[[], list[Figure]]) -> list[Figure]:
    """What a part of the measurement `name` came to. A long one that was cut off goes on with the parts that it has,
    where the checkout is still the same commit, without changes."""
    commit = _git("rev-parse", "HEAD")
    if commit == "unknown" or _changed():
        return measure()
    path = settings().cache / "bench" / f"{name}-{commit[:12]}" / f"{part}.json"
    if path.is_file():
        return [Figure(**row) for row in json.loads(path.read_text("utf-8"))]
    made = measure()
    private_folder(path.parent)
    write_bytes(path, json.dumps([_row(figure) for figure in made]).encode())
    return made


def read(folder: Path) -> list[tuple[str, Figure]]:
    """All figures of a results folder as (file stem, figure)."""
    rows: list[tuple[str, Figure]] = []
    for path in sorted(folder.rglob("*.json")):
        for row in json.loads(path.read_text())["figures"]:
            rows.append((path.relative_to(folder).with_suffix("").as_posix(), Figure(**row)))
    return rows


def figures_of(name: str, folder: Path | None = None) -> dict[str, Figure]:
    """The figures of results/NAME.json, or of another folder's; none where there is no such file, or one of somebody
    else's making."""
    try:
        rows = json.loads(((folder or results_folder()) / f"{name}.json").read_text("utf-8"))["figures"]
        return {str(row["name"]): Figure(**{**row, "value": float(row["value"])}) for row in rows}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def values_of(name: str) -> dict[str, float]:
    """Their values alone."""
    return {figure: found.value for figure, found in figures_of(name).items()}


def machine() -> str:
    """Processor, cores that may be used, memory, Python: what a reader needs to place a time."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return f"{_processor()}, {usable_cores()} cores, {memory:.0f} GB, Python {platform.python_version()}"


def bootstrap(
    values: NDArray[Any], *, seed: int = 0, draws: int = 1000, units: NDArray[Any] | None = None
) -> tuple[float, float]:
    """95 % interval of the mean of `values` [N]; with `units` [N] whole units (people, photos) are drawn."""
    random = np.random.default_rng(seed)
    values = np.asarray(values, np.float64)
    if units is None:
        weights = random.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
        means = weights @ values / len(values)
    else:
        _, index = np.unique(units, return_inverse=True)
        count = int(index.max()) + 1
        sums, sizes = np.bincount(index, values, count), np.bincount(index, minlength=count)
        weights = random.multinomial(count, np.full(count, 1 / count), size=draws)
        means = (weights @ sums) / (weights @ sizes)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _row(figure: Figure) -> dict[str, Any]:
    row = {key: value for key, value in asdict(figure).items() if value is not None}
    for key in ("value", "low", "high"):
        if key in row:
            row[key] = float(f"{float(row[key]):.6g}")
    return row


def _changed() -> bool:
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"))


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
