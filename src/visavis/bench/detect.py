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
from visavis.faces.detect import DETECTORS, Detection, detect, keep
from visavis.faces.mesh import fit_mesh
from visavis.media.write import write_bytes

DEFAULT = "yunet"
# FDDB's boxes reach further up than WIDER's: one overlap that is fair to both.
SAME = 0.4
LOWEST = 0.3
BANDS = {"16-20": (16, 20), "20-40": (20, 40), "40-80": (40, 80), "80": (80, np.inf)}
COUNTED_FROM = 16


@dataclass(frozen=True, eq=False)
class Labelled:
    """A photo; boxes [N, 4] cut at its border; height [N] before that; counted [N]: valid and large enough."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    height: NDArray[np.float64]
    counted: NDArray[np.bool_]

    @staticmethod
    def of(pixels: NDArray[np.uint8], labels: Sequence[Sequence[float]], invalid: Sequence[bool]) -> Labelled:
        boxes = np.array(labels, np.float64).reshape(-1, 4)
        height = boxes[:, 3] - boxes[:, 1]
        border = np.array([pixels.shape[1], pixels.shape[0]] * 2)
        counted = ~np.array(invalid, bool) & (height >= COUNTED_FROM)
        return Labelled(pixels, boxes.clip(0, border), height, counted)


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
    photos = [
        Labelled.of(decode(row["image"]), row["boxes"], row["invalid"])
        for row in parquet_rows([file], ["image", "boxes", "invalid"])
    ]
    figures: list[Figure] = []
    curves: dict[str, NDArray[np.float64]] = {}
    for name, detector in DETECTORS.items():
        # As a user calls it; the curve's lower threshold lets more boxes have a say in where a face is.
        outcomes = [judge(photo, name, detector.threshold) for photo in track(photos, f"detecting with {name}")]
        figures += measures(name, outcomes, detector.threshold)
        if name == DEFAULT:
            figures += measures("default", outcomes, detector.threshold)
        curves[name] = curve([judge(photo, name, LOWEST) for photo in track(photos, f"the curve of {name}")])
    figures += known_pictures()
    write("detect", figures, seed=0, started=started, notes=NOTES)
    _save(curves)


NOTES = (
    "recall.NAME.BAND: share of labelled faces of that height in pixels (40, 80: or more; half: over half the photo) "
    "that a box overlaps by at least 0.4; false_boxes_per_photo: boxes that overlap no label, valid or not. "
    "Most of these are true faces that nobody labelled: heads from the side, half hidden or out of focus.",
)


def judge(photo: Labelled, name: str, threshold: float) -> Outcome:
    """Each label gets the best free box that overlaps it enough, highest scores first; invalid and tiny labels make the
    boxes on them neither true nor false."""
    found_at, false = np.full(len(photo.boxes), -1.0), []
    for detection in sorted(_faces(photo.pixels, name, threshold), key=lambda d: -d.score):
        overlap = _overlap(detection.box, photo.boxes)
        free = np.where(photo.counted & (found_at < 0), overlap, 0)
        if free.max(initial=0) >= SAME:
            found_at[int(free.argmax())] = detection.score
        elif not _excused(detection.box, photo.boxes[~photo.counted]):
            false.append(detection.score)
    height = photo.height[photo.counted]
    return Outcome(height, height / len(photo.pixels), found_at[photo.counted], np.array(false))


def _faces(pixels: NDArray[np.uint8], name: str, threshold: float | None = None) -> list[Detection]:
    return [d for d in detect(pixels, name, threshold) if keep(d, fit_mesh(pixels, d).presence)]


def known_pictures() -> list[Figure]:
    """Faces that the default detector sees on three pictures of scikit-image: a portrait, a cat, a cup."""
    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Looking at the pictures of scikit-image") from error
    pictures = {"astronaut": "astronaut", "cat": "cat", "cup": "coffee"}
    return [
        Figure(f"faces.{name}", len(_faces(getattr(data, picture)(), DEFAULT)), unit="faces", better="neither")
        for name, picture in pictures.items()
    ]


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
    """[T, 3 + bands]: threshold, false boxes a photo, recall from 40 px on, then in each band."""
    height, at = (np.concatenate([getattr(o, f) for o in outcomes]) for f in ("height", "found_at"))
    false = np.concatenate([o.false for o in outcomes])
    rows = []
    for threshold in np.arange(LOWEST, 0.99, 0.01):
        chosen = [(40, np.inf), *BANDS.values()]
        recalls = [(at[(height >= low) & (height < high)] >= threshold).mean() for low, high in chosen]
        rows.append((threshold, (false >= threshold).sum() / len(outcomes), *recalls))
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
    recalls = ",".join(f"recall_{band}" for band in ("40", *BANDS))
    lines = [f"detector,threshold,false_boxes_per_photo,{recalls}".replace("recall_80", "recall_over_80")]
    lines += [
        f"{name},{row[0]:.2f}," + ",".join(f"{v:.4f}" for v in row[1:]) for name, rows in curves.items() for row in rows
    ]
    write_bytes(results_folder() / "detect_curve.csv", ("\n".join(lines) + "\n").encode())
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Drawing the curve") from error
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes = canvas.subplots()
    for name, rows in curves.items():
        axes.plot(rows[:, 1], rows[:, 2], label=name)
        at = int(np.abs(rows[:, 0] - DETECTORS[name].threshold).argmin())
        axes.plot(rows[at, 1], rows[at, 2], "o", color=axes.lines[-1].get_color())
    axes.set(xlabel="false boxes a photo", ylabel="faces found, from 40 px on", xlim=(0, 1), ylim=(0.8, 1))
    axes.legend()
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=120)
    write_bytes(results_folder() / "detect_curve.png", out.getvalue())
