"""Error of the mesh on photos whose points people set: the test split of landmarks68, divided by the eye distance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.geometry import Framed
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.progress import track
from visavis.core.settings import usable_cores
from visavis.core.types import Pixels
from visavis.faces.detect import Detection, detect
from visavis.faces.mesh import fit_mesh, to_68

Points = NDArray[np.float64]
# 300-W's own measure: the distance between the outer eye corners.
EYES = (36, 45)
# Brows, nose, eyes and mouth are the same spots in both; the outline (0 to 16) is not, and is reported apart.
INNER = slice(17, 68)
OUTLINE = slice(0, 17)
OVERLAP = 0.3
FOREHEAD = 0.2


@dataclass(frozen=True, eq=False)
class Errors:
    """float64 [68], in eye distances, of one face: from the detector on with two passes and with one (None where it
    was not found), and framed by the box of the true points."""

    dataset: str
    detected: Points | None
    single: Points | None
    framed: Points


def run(split: str = "test") -> None:
    """Writes results/landmarks.json."""
    started = time.time()
    path = data_folder("landmarks68") / "landmarks68.parquet"
    rows = [row for row in parquet_rows([path], COLUMNS) if row["split"] == split]
    with ThreadPoolExecutor(usable_cores()) as pool:
        errors = list(pool.map(_errors, track(rows, "landmarks")))
    write("landmarks", figures(errors), seed=0, started=started, notes=NOTES)


COLUMNS = ("image", "points", "set", "split")
NOTES = (
    "Mean distance over the 51 inner points of 300-W that the mesh defines too (brows, nose, eyes, mouth), divided by "
    "the distance between the outer eye corners; the 17 points of the outline are reported apart.",
    "error_by_eye_distance is the product's path from the detector on, over the faces it found; single_pass is that "
    "without the second pass; framed starts from the true points' box and forehead.",
    "The test split is Helen only. Each of the points is the middle of two mesh vertices chosen on the train split; "
    "intervals: bootstrap over faces.",
)


def figures(errors: Sequence[Errors]) -> list[Figure]:
    found = [e.detected for e in errors if e.detected is not None]
    single = [e.single for e in errors if e.single is not None]
    rows = [
        _figure("error_by_eye_distance", found, INNER),
        _figure("error_by_eye_distance.single_pass", single, INNER),
        _figure("error_by_eye_distance.framed", [e.framed for e in errors], INNER),
        _figure("error_by_eye_distance.outline", found, OUTLINE),
    ]
    datasets = sorted({e.dataset for e in errors})
    for dataset in datasets if len(datasets) > 1 else ():
        mine = [e.detected for e in errors if e.detected is not None and e.dataset == dataset]
        rows.append(_figure(f"error_by_eye_distance.{dataset.lower()}", mine, INNER))
    over = np.array([e[INNER].mean() > 0.08 for e in found])
    rows.append(Figure("over_8_percent", float(over.mean()), *bootstrap(over), better="lower", n=len(over)))
    rows.append(Figure("not_found", len(errors) - len(found), unit="faces", better="lower", n=len(errors)))
    return rows


def _figure(name: str, errors: Sequence[Points], part: slice) -> Figure:
    means = np.array([e[part].mean() for e in errors])
    return Figure(name, float(means.mean()), *bootstrap(means), unit="eye distances", better="lower", n=len(means))


def _errors(row: dict[str, object]) -> Errors:
    pixels, truth = decode(bytes(row["image"])), np.asarray(row["points"], np.float64)  # type: ignore[call-overload]
    low, high = truth.min(0), truth.max(0)
    # Detectors' boxes reach up the forehead, the points end at the brows.
    low[1] -= FOREHEAD * (high[1] - low[1])
    eyes = np.array([truth[36:42].mean(0), truth[42:48].mean(0), truth[30], truth[48], truth[54]], np.float32)
    framed = Framed(np.concatenate([low, high]), eyes)
    found = _found(pixels, framed.box)
    return Errors(
        str(row["set"]),
        None if found is None else _apart(pixels, found, truth, 2),
        None if found is None else _apart(pixels, found, truth, 1),
        _apart(pixels, framed, truth, 2),
    )


def _apart(pixels: Pixels, face: Detection | Framed, truth: Points, passes: int) -> Points:
    off = to_68(fit_mesh(pixels, face, passes=passes)).astype(np.float64) - truth
    distance: Points = np.hypot(*off.T) / np.hypot(*(truth[EYES[0]] - truth[EYES[1]]))
    return distance


def _found(pixels: Pixels, box: Points) -> Detection | None:
    """The detection that overlaps the true points' box most."""
    best = max(detect(pixels), key=lambda d: _overlap(d.box, box), default=None)
    return best if best is not None and _overlap(best.box, box) >= OVERLAP else None


def _overlap(a: Points, b: Points) -> float:
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))
