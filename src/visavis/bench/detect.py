"""`visavis bench detect`: faces found and false boxes on labelled photos, by face height, for both detectors."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, results_folder, write
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.errors import missing_extra
from visavis.core.progress import track
from visavis.faces.detect import DETECTORS, detect, keep
from visavis.faces.mesh import fit_mesh
from visavis.media.write import write_bytes

DEFAULT = "yunet"
# FDDB's boxes reach further up than WIDER's: one overlap that is fair to both.
SAME = 0.4
LOWEST = 0.3
BANDS = {"16-20": (16, 20), "20-40": (20, 40), "40-80": (40, 80), "80": (80, np.inf)}
COUNTED_FROM = 16


@dataclass(frozen=True, eq=False)
class Outcome:
    """One photo: labelled heights [G] and the score [G] at which each face is found (-1: never); scores [F] of false
    boxes; share [G] of the photo's height that a face takes."""

    height: NDArray[np.float64]
    share: NDArray[np.float64]
    found_at: NDArray[np.float64]
    false: NDArray[np.float64]


def run() -> None:
    """Writes results/detect.json, detect_curve.csv and detect_curve.png."""
    started = time.time()
    file = data_folder("detect") / "detect.parquet"
    rows = list(parquet_rows([file], ["image", "boxes", "invalid"]))
    figures: list[Figure] = []
    curves: dict[str, NDArray[np.float64]] = {}
    for name, detector in DETECTORS.items():
        outcomes = [
            judge(
                decode(row["image"]),
                np.array(row["boxes"], np.float64).reshape(-1, 4),
                np.array(row["invalid"], bool),
                name,
            )
            for row in track(rows, f"detecting with {name}")
        ]
        figures += measures(name, outcomes, detector.threshold)
        if name == DEFAULT:
            figures += measures("default", outcomes, detector.threshold)
        curves[name] = curve(outcomes)
    write("detect", figures, seed=0, started=started, notes=NOTES)
    _save(curves)


NOTES = (
    "recall.NAME.BAND: share of labelled faces of that height in pixels (40: from 40 px on, half: over half the photo) "
    "that a box overlaps by at least 0.4; false_boxes_per_photo: boxes that overlap no label, valid or not. "
    "Some of these are true faces that nobody labelled.",
)


def judge(pixels: NDArray[np.uint8], boxes: NDArray[np.float64], invalid: NDArray[np.bool_], name: str) -> Outcome:
    """Each label gets the best free box that overlaps it enough, highest scores first; invalid and tiny labels make the
    boxes on them neither true nor false."""
    detections = [d for d in detect(pixels, name, LOWEST) if keep(d, fit_mesh(pixels, d).presence)]
    height = boxes[:, 3] - boxes[:, 1]
    counted = ~invalid & (height >= COUNTED_FROM)
    found_at, false = np.full(len(boxes), -1.0), []
    for detection in sorted(detections, key=lambda d: -d.score):
        overlap = _overlap(detection.box, boxes)
        free = np.where(counted & (found_at < 0), overlap, 0)
        if free.max(initial=0) >= SAME:
            found_at[int(free.argmax())] = detection.score
        elif not _excused(detection.box, boxes[~counted]):
            false.append(detection.score)
    share = height / len(pixels)
    return Outcome(height[counted], share[counted], found_at[counted], np.array(false))


def measures(name: str, outcomes: Sequence[Outcome], threshold: float) -> list[Figure]:
    """Recall in each band and false boxes a photo at one threshold; intervals by redrawing photos."""
    photo = np.repeat(np.arange(len(outcomes)), [len(o.height) for o in outcomes])
    height, share, at = (np.concatenate([getattr(o, f) for o in outcomes]) for f in ("height", "share", "found_at"))
    chosen = {band: (height >= low) & (height < high) for band, (low, high) in BANDS.items()}
    chosen |= {"40": height >= 40, "half": share >= 0.5}
    figures = []
    for band, rows in chosen.items():
        if rows.any():
            hit = at[rows] >= threshold
            low_high = bootstrap(hit, units=photo[rows])
            figures.append(Figure(f"recall.{name}.{band}", float(hit.mean()), *low_high, n=int(rows.sum())))
    false = np.array([(o.false >= threshold).sum() for o in outcomes])
    figures.append(
        Figure(f"false_boxes_per_photo.{name}", float(false.mean()), *bootstrap(false), "boxes", "lower", len(outcomes))
    )
    figures.append(Figure(f"threshold.{name}", threshold, unit="score", better="neither"))
    return figures


def curve(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """[T, 3]: threshold, recall from 40 px on, false boxes a photo."""
    height, at = (np.concatenate([getattr(o, f) for o in outcomes]) for f in ("height", "found_at"))
    false = np.concatenate([o.false for o in outcomes])
    rows = []
    for threshold in np.arange(LOWEST, 0.99, 0.01):
        rows.append((threshold, (at[height >= 40] >= threshold).mean(), (false >= threshold).sum() / len(outcomes)))
    return np.array(rows)


def _overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box with many."""
    common = _common(box, boxes)
    size, sizes = np.prod(box[2:] - box[:2]), np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(common / np.maximum(size + sizes - common, 1e-9))


def _excused(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> bool:
    """Does half of the box lie in a label that does not count, or overlap it enough?"""
    inside = _common(box, boxes) / np.prod(box[2:] - box[:2])
    return bool((inside >= 0.5).any() or (_overlap(box, boxes) >= 0.3).any())


def _common(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.asarray(np.prod(size.clip(0), axis=1))


def _save(curves: dict[str, NDArray[np.float64]]) -> None:
    lines = ["detector,threshold,recall_from_40_px,false_boxes_per_photo"]
    lines += [f"{name},{t:.2f},{r:.4f},{f:.4f}" for name, rows in curves.items() for t, r, f in rows]
    write_bytes(results_folder() / "detect_curve.csv", ("\n".join(lines) + "\n").encode())
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Drawing the curve") from error
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes = canvas.subplots()
    for name, rows in curves.items():
        axes.plot(rows[:, 2], rows[:, 1], label=name)
        at = int(np.abs(rows[:, 0] - DETECTORS[name].threshold).argmin())
        axes.plot(rows[at, 2], rows[at, 1], "o", color=axes.lines[-1].get_color())
    axes.set(xlabel="false boxes a photo", ylabel="faces found, from 40 px on", xlim=(0, 1), ylim=(0.8, 1))
    axes.legend()
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=120)
    write_bytes(results_folder() / "detect_curve.png", out.getvalue())
