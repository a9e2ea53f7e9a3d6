"""Verification figures on a user's own pairs."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, document
from visavis.bench.recogniser import Recogniser
from visavis.core import weights
from visavis.core.errors import InputError, missing_extra
from visavis.core.progress import track
from visavis.core.types import Face
from visavis.faces.analyse import find_faces, needs
from visavis.faces.score import calibration, scores
from visavis.media.write import write_bytes

RATES = ((1e-2, "1e-2"), (1e-3, "1e-3"), (1e-4, "1e-4"))
BEYOND = 10


@dataclass(frozen=True)
class Pair:
    a: str
    b: str
    same: bool
    group: str


def verify(pairs_file: Path, recogniser: Recogniser, out: Path) -> list[Figure]:
    """Writes verify.json, det.csv, det.png (with the extra [bench]) and scores.csv into `out`.

    A pair with a photo that cannot be read or shows no face scores lowest: it counts as an error where it is the same
    person. The largest face of a photo is taken. Raises InputError for a file without the columns or without pairs of
    both kinds.
    """
    started = time.time()
    pairs = read_pairs(pairs_file)
    weights.fetch(needs("yunet", embedding=True))
    faces = {path: _largest(path) for path in track(sorted({p for pair in pairs for p in (pair.a, pair.b)}), "looking")}
    seen = {path: face for path, face in faces.items() if face}
    order = {path: row for row, path in enumerate(seen)}
    vectors = recogniser.vectors(list(seen.values()))
    score = np.array([_score(pair, order, vectors, recogniser) for pair in pairs])
    same = np.array([pair.same for pair in pairs])
    rows = figures(score, same, np.array([pair.a for pair in pairs]), np.array([pair.group for pair in pairs]))
    rows.append(Figure("photos.without_face", len(faces) - len(seen), unit="photos", better="lower", n=len(faces)))
    write_bytes(out / "verify.json", json.dumps(document(rows, seed=0, started=started), indent=1).encode())
    write_bytes(
        out / "scores.csv",
        _csv(
            ("a", "b", "same", "group", "score", "box_a", "box_b"),
            [
                (p.a, p.b, int(p.same), p.group, f"{s:.6f}", _box(faces[p.a]), _box(faces[p.b]))
                for p, s in zip(pairs, score, strict=True)
            ],
        ),
    )
    curve = det(score, same)
    write_bytes(out / "det.csv", _csv(("threshold", "false_match_rate", "false_non_match_rate"), curve.tolist()))
    _plot(curve, out / "det.png", recogniser.name)
    return rows


def read_pairs(path: Path) -> list[Pair]:
    """Rows of a CSV with columns a, b, same, optional group; paths are relative to the file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}.") from error
    if not rows or not {"a", "b", "same"} <= rows[0].keys():
        raise InputError(f"{path} needs a first line that names the columns a, b and same.")
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    pairs = []
    for line, row in enumerate(rows, 2):
        answer = words.get((row["same"] or "").strip().lower())
        if answer is None or not row["a"] or not row["b"]:
            raise InputError(f"{path}, line {line}: a and b are photos and same is 1 or 0.")
        pairs.append(Pair(str(path.parent / row["a"]), str(path.parent / row["b"]), answer, row.get("group") or ""))
    if len({pair.same for pair in pairs}) < 2:
        raise InputError(f"{path} needs pairs of both kinds: the same person and different people.")
    return pairs


def figures(
    score: NDArray[np.float64], same: NDArray[np.bool_], units: NDArray[Any], groups: NDArray[Any]
) -> list[Figure]:
    """Accuracy by ten folds, EER, and true matches at false-match rates that at least BEYOND strangers support."""
    right = ten_folds(score, same)
    rows = [Figure("accuracy", float(right.mean()), *bootstrap(right, units=units), n=len(score))]
    curve = det(score, same)
    at = int(np.argmin(np.abs(curve[:, 1] - curve[:, 2])))
    rows.append(Figure("eer", float(curve[at, 1:].mean()), better="lower", n=len(score)))
    strangers, genuine = np.sort(score[~same])[::-1], score[same]
    for rate, label in RATES:
        if len(strangers) * rate >= BEYOND:
            hit = genuine > strangers[int(rate * len(strangers))]
            rows.append(
                Figure(f"tar_at_far_{label}", float(hit.mean()), *bootstrap(hit, units=units[same]), n=len(genuine))
            )
    names = [name for name in np.unique(groups) if name]
    if names and len(strangers) >= 100 * BEYOND:
        threshold = strangers[len(strangers) // 100]
        for name in names:
            false = score[(groups == name) & ~same] > threshold
            if len(false):
                rows.append(
                    Figure(
                        f"group.{name}.far_at_1e-2",
                        float(false.mean()),
                        *bootstrap(false),
                        better="lower",
                        n=len(false),
                    )
                )
    return rows


def ten_folds(score: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[N]: was each pair answered rightly at the threshold that is best on the other nine folds (dealt by a seed)?"""
    fold = np.random.default_rng(0).permutation(len(score)) % min(10, len(score))
    right = np.zeros(len(score), bool)
    for k in np.unique(fold):
        test = fold == k
        right[test] = (score[test] > best_threshold(score[~test], same[~test])) == same[test]
    return right


def best_threshold(scores: NDArray[Any], same: NDArray[np.bool_]) -> float:
    """The threshold with the most pairs right: the middle between two neighbouring scores."""
    order = np.argsort(scores, kind="stable")
    ranked, is_same = scores[order].astype(np.float64), same[order]
    # right[i]: pairs told right when the first i are called different
    right = np.concatenate([[0], np.cumsum(~is_same)]) + np.concatenate([np.cumsum(is_same[::-1])[::-1], [0]])
    edges = np.concatenate([[ranked[0] - 1], (ranked[1:] + ranked[:-1]) / 2, [ranked[-1] + 1]])
    return float(edges[int(np.argmax(right))])


def det(score: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[T, 3]: threshold, false-match rate, false-non-match rate, from the strictest threshold on."""
    thresholds = np.unique(score)[::-1]
    strangers, genuine = np.sort(score[~same]), np.sort(score[same])
    false = 1 - np.searchsorted(strangers, thresholds) / len(strangers)
    missed = np.searchsorted(genuine, thresholds) / len(genuine)
    return np.stack([thresholds, false, missed], 1)


def _score(pair: Pair, order: dict[str, int], vectors: Any, recogniser: Recogniser) -> float:
    if pair.a not in order or pair.b not in order:
        return float("-inf")
    a, b = vectors[[order[pair.a]]], vectors[[order[pair.b]]]
    if recogniser.file is not None:
        return float((a @ b.T)[0, 0])
    cohort = calibration().cohort
    return float(scores(a, b, cohort.statistics(a), cohort.statistics(b))[0, 0])


def _largest(path: str) -> Face | None:
    try:
        faces = find_faces(path)
    except InputError:
        return None
    return faces[0] if faces else None


def _box(face: Face | None) -> str:
    return " ".join(f"{v:.0f}" for v in face.box) if face else ""


def _csv(head: tuple[str, ...], rows: Any) -> bytes:
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue().encode()


def _plot(curve: NDArray[np.float64], path: Path, name: str) -> None:
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Drawing the DET curve") from error
    import io

    canvas = Canvas(figsize=(5, 5), layout="constrained")
    axes = canvas.subplots()
    shown = (curve[:, 1] > 0) & (curve[:, 2] > 0)
    axes.plot(curve[shown, 1], curve[shown, 2])
    scale = "log" if shown.any() else "linear"  # without an error there is nothing to show on a logarithmic scale
    axes.set(xscale=scale, yscale=scale, xlabel="false-match rate", ylabel="false-non-match rate", title=name)
    axes.grid(True, which="both", alpha=0.3)
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=120)
    write_bytes(path, out.getvalue())
