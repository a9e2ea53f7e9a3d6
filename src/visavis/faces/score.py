"""From two vectors to an answer: a score normalised by a drawn cohort, and tables of how often strangers reach it.

A plain distance means different things for different faces: some lie where many others lie. Each face's distance is
therefore counted in deviations from its K nearest cohort distances and averaged over both faces (adaptive symmetric
score normalisation, Matějka et al., Interspeech 2017). The cohort is drawn from a Gaussian mixture fitted to the
vectors of strangers, so that no person's vector is shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.types import Face, Floats, Match

FLOOR = 1e-7
FLOOR_COVERED = 1e-3
DIFFERENT = 0.01
CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Cohort:
    """Vectors of drawn strangers, float32 [D, L] of unit length, and how many of the nearest count."""

    vectors: Floats
    nearest: int

    @staticmethod
    def draw(arrays: Mapping[str, NDArray[Any]]) -> Cohort:
        """The cohort of a mixture: means [M, L], shares [M], factor [L, L] (or [M, L, L]), draws, nearest, seed.

        Drawn by numpy's RandomState, whose stream is promised never to change.
        """
        random = np.random.RandomState(int(arrays["seed"]))
        draws = int(arrays["draws"])
        means, shares = arrays["means"].astype(np.float64), arrays["shares"].astype(np.float64)
        chosen = random.choice(len(means), size=draws, p=shares / shares.sum())
        noise = random.standard_normal((draws, means.shape[1]))
        vectors = means[chosen] + noise @ arrays["factor"].astype(np.float64).T
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Cohort(vectors.astype(np.float32), int(arrays["nearest"]))

    def statistics(self, vectors: Floats) -> Floats:
        """float32 [N, 2]: mean and deviation of the nearest cohort distances; vectors [N, L] of unit length."""
        parts = [self._statistics(vectors[i : i + CHUNK]) for i in range(0, len(vectors), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, 2), np.float32)

    def _statistics(self, vectors: Floats) -> Floats:
        nearest = np.partition(distances(vectors, self.vectors), self.nearest - 1, axis=1)[:, : self.nearest]
        return np.stack([nearest.mean(1), nearest.std(1)], 1).astype(np.float32)


def distances(a: Floats, b: Floats) -> Floats:
    """float32 [N, M]: Euclidean distances of unit vectors a [N, L] and b [M, L]."""
    return np.asarray(np.sqrt(np.maximum(2 - 2 * (a @ b.T), 0)), np.float32)


def scores(a: Floats, b: Floats, statistics_a: Floats, statistics_b: Floats) -> Floats:
    """float32 [N, M]: normalised scores of every pair, higher for more alike. a and b may be swapped freely."""
    d = distances(a, b)
    by_a = (statistics_a[:, :1] - d) / statistics_a[:, 1:]
    by_b = (statistics_b[None, :, 0] - d) / statistics_b[None, :, 1]
    return np.asarray((by_a + by_b) / 2, np.float32)


@dataclass(frozen=True, eq=False)
class Rates:
    """A measured curve: at each score the share of stranger pairs that score at least this high.

    score: float64 [P] rising; rate, worst: float64 [P] falling, for all and for the worst measured group;
    measured: the smallest rate that enough pairs support; below, a fitted tail's upper limit (extrapolated).
    """

    score: NDArray[np.float64]
    rate: NDArray[np.float64]
    worst: NDArray[np.float64]
    measured: float

    @staticmethod
    def of(row: Mapping[str, Any]) -> Rates:
        score, rate, worst = (np.array(row[key], np.float64) for key in ("score", "rate", "worst"))
        return Rates(score, rate, worst, float(row["measured"]))

    def at(self, score: NDArray[Any] | float) -> NDArray[np.float64]:
        """[..., 2]: rate for all and for the worst group; never lower than the curve's end, 1 below its start."""
        curves = []
        for curve in (self.rate, self.worst):
            between = np.exp(np.interp(score, self.score, np.log(curve), left=0.0))
            # The end is given back exactly: a limit that equals it must count as reached.
            curves.append(np.where(np.asarray(score) >= self.score[-1], curve[-1], np.maximum(between, curve[-1])))
        return np.stack(curves, -1)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that turns vectors of one recogniser into answers."""

    cohort: Cohort
    everyone: Rates
    children: Rates
    same_score: NDArray[np.float64]
    same_rate: NDArray[np.float64]
    child: NDArray[np.float64]
    origin: Mapping[str, Any]

    @staticmethod
    def of(mixture: Mapping[str, NDArray[Any]], table: Mapping[str, Any], child: NDArray[Any]) -> Calibration:
        """From what `visavis calibrate` writes."""
        return Calibration(
            cohort=Cohort.draw(mixture),
            everyone=Rates.of(table["everyone"]),
            children=Rates.of(table["children"]),
            same_score=np.array(table["same_person"]["score"]),
            same_rate=np.array(table["same_person"]["rate"]),
            child=np.asarray(child, np.float64),
            origin={**table["origin"], "pairs": table["pairs"]},
        )

    @staticmethod
    def load(cohort: Path, table: Path, child: Path) -> Calibration:
        """From three files."""
        from safetensors.numpy import load

        mixture, flag = load(cohort.read_bytes()), load(child.read_bytes())
        return Calibration.of(mixture, json.loads(table.read_text("utf-8")), flag["weights"])

    @staticmethod
    def read(folder: str | Path) -> Calibration:
        """From the folder that `visavis calibrate --out` wrote; raises InputError where a file is missing or broken."""
        top = Path(folder)
        files = (top / "cohort.safetensors", top / "false_match_table.json", top / "child.safetensors")
        try:
            return Calibration.load(*files)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(
                f"{folder} holds no calibration: {error}. `visavis calibrate --out` writes one."
            ) from error

    def may_be_child(self, vectors: Floats) -> NDArray[np.bool_]:
        """[N]: a logistic regression on the vector; it only chooses the table."""
        return np.asarray(vectors @ self.child[:-1] + self.child[-1] > 0)

    def missed(self, score: float) -> float:
        """Share of same-person pairs that score this low or lower."""
        return float(np.interp(score, self.same_score, self.same_rate))


@cache
def calibration() -> Calibration:
    """The shipped calibration of recogniser A."""
    return Calibration.load(*(weights.path(name) for name in ("cohort", "false_match_table", "child")))


def match(
    a: Face,
    b: Face,
    *,
    max_false_match: float = 1e-3,
    ready: Calibration | None = None,
    vectors: Floats | None = None,
) -> Match:
    """The answer for two faces; swapping them changes nothing but their order in `Match.faces`.

    ready: another calibration than the shipped one. vectors: float32 [2, L] of the recogniser that `ready` was made
    for, where that is not A.
    """
    ready = ready or calibration()
    if vectors is None:
        vectors = np.stack([a.embedding, b.embedding])
        statistics = np.stack([_statistics(ready, face) for face in (a, b)])
    else:
        statistics = ready.cohort.statistics(vectors)
    score = float(scores(vectors[:1], vectors[1:], statistics[:1], statistics[1:])[0, 0])
    children = bool(ready.may_be_child(vectors).any())
    curve = ready.children if children else ready.everyone
    rate, worst = (float(value) for value in curve.at(score))
    covered = not (a.quality.covered.good and b.quality.covered.good)
    if covered:
        rate, worst = max(rate, FLOOR_COVERED), max(worst, FLOOR_COVERED)
    missed = ready.missed(score)
    poor = [f"face {f.id} of {f.photo.name} is {', '.join(f.quality.words)}" for f in (a, b) if f.quality.words]
    unclear = covered or any(not m.good for f in (a, b) for m in (f.quality.size_px, f.quality.sharpness))
    same = True if rate <= max_false_match else False if missed <= DIFFERENT and not unclear else None
    return Match(
        same=same,
        score=score,
        false_match_rate=rate,
        false_match_rate_worst_group=max(rate, worst),
        false_non_match_rate=missed,
        table={
            **ready.origin,
            "name": "children" if children else "everyone",
            "measured_to": curve.measured,
            "extrapolated": rate < curve.measured,
        },
        faces=(a, b),
        reasons=tuple(_reasons(children, covered, curve, rate, poor)),
    )


def _statistics(ready: Calibration, face: Face) -> Floats:
    """[2]: the face's own, remembered, so that comparing many faces with each other costs one cohort search a face."""
    kept = face.__dict__.get("_cohort_statistics")
    if kept is None or kept[0] is not ready:
        kept = (ready, ready.cohort.statistics(face.embedding[None])[0])
        face.__dict__["_cohort_statistics"] = kept
    found: Floats = kept[1]
    return found


def _reasons(children: bool, covered: bool, curve: Rates, rate: float, poor: list[str]) -> list[str]:
    said = [f"Poor for comparing: {'; '.join(poor)}."] if poor else []
    if children:
        said.append(f"One of them may be a child: the children's table was used, which ends at {curve.measured:g}.")
    elif rate < curve.measured:
        said.append(f"Extrapolated: measured down to {curve.measured:.0e}, below it the upper limit of a fitted tail.")
    if covered:
        said.append(f"A covered face is never told a rate below {FLOOR_COVERED:g}.")
    return said


def standardised(vectors: Floats, *, raw: bool = False) -> Floats:
    """float32 [N, 128] of unit length: A's vectors without what all strangers share, which is 83 % of them.

    raw: in strangers' deviations, of a length of about sqrt(128).
    """
    strangers = calibration().cohort.vectors
    made = (vectors - strangers.mean(0)) / strangers.std(0)
    length = 1.0 if raw else np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
    return np.asarray(made / length, np.float32)
