"""Is a made picture still this person, told by the judge, and is it more than a copy of the photo?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.faces.frame import Frame, bearing, vectors_a
from visavis.faces.judge import judge_portraits

ANCHORS = "judge_b_anchors"
COPIED, MAYBE = 0.8, 0.5  # copy-paste: whatever the likeness is, and where it is above 1
HALF = 0.5  # likeness


@dataclass(frozen=True)
class Likeness:
    """likeness: by the judge, 0 = as alike as strangers, 1 = as two photos of one person usually are, to the photos
    shown; a: the same by recogniser A, which may have helped to make the picture; copy_paste: 1 = pose, expression and
    light of a photo that was shown, 0 = as far from it as two photos of one person usually are."""

    likeness: float
    a: float
    copy_paste: float

    @property
    def words(self) -> str:
        """For people: what the numbers mean, in one line."""
        said = f"likeness to this photo {self.likeness:.2f}, copy-paste {self.copy_paste:.2f}"
        if self.likeness > 1:
            said += "; closer than two photos of one person usually are"
            said += ": may be copied" if self.copy_paste > MAYBE else ""
        if self.copy_paste > COPIED:
            said += "; pose, expression and light are the photo's own"
        return said


@dataclass(frozen=True, eq=False)
class Anchors:
    """n, p: mean cosine of two strangers and of two photos of one person, by the judge and by A; accepted: the judge's
    cosine that 1 in 1,000 pairs of strangers pass; spread: deviation of
    each of faces.frame.BEARING over photos; apart: mean distance of two photos of one person in these deviations."""

    n: float
    p: float
    n_a: float
    p_a: float
    accepted: float
    spread: NDArray[np.float64]
    apart: float


@cache
def anchors() -> Anchors:
    """The shipped ones (`visavis bench judge` measures them)."""
    found = json.loads(weights.path(ANCHORS).read_text())
    looks, a, accepted = found["looks"], found["a"], found["thresholds"]["0.001"]
    return Anchors(found["n"], found["p"], a["n"], a["p"], accepted, np.array(looks["spread"]), looks["apart"])


def likeness(made: Sequence[Frame], shown: Sequence[Frame]) -> list[Likeness]:
    """Of each made picture to one person's photos that the system was shown (at least one)."""
    if not made:
        return []
    known = anchors()
    by_judge, by_a = (
        (vectors[: len(made)] @ vectors[len(made) :].T).mean(1)
        for vectors in (_judged([*made, *shown]), vectors_a([*made, *shown]))
    )
    looks = np.stack([bearing(frame) for frame in [*made, *shown]])
    copied = 1 - apart(looks[: len(made)], looks[len(made) :], known.spread).min(1) / known.apart
    return [
        Likeness(
            float((b - known.n) / (known.p - known.n)),
            float((a - known.n_a) / (known.p_a - known.n_a)),
            float(max(c, 0)),
        )
        for b, a, c in zip(by_judge, by_a, copied, strict=True)
    ]


def recognised(made: Sequence[Frame], shown: Sequence[Sequence[Frame]]) -> tuple[str, ...]:
    """For people: who of several is missing or doubled on one picture with these faces, how many faces are nobody's. A
    face is somebody's from half way between strangers and two photos of one person."""
    alike = np.array([[one.likeness for one in likeness(made, photos)] for photos in shown]).reshape(len(shown), -1)
    whose = np.where(alike.max(0) >= HALF, alike.argmax(0), -1) if made else np.empty(0, int)
    said = []
    for number in range(len(shown)):
        count = int((whose == number).sum())
        if count != 1:
            said.append(f"person {number + 1} is {f'there {count} times' if count else 'not recognised'}")
    nobody = int((whose < 0).sum())
    return (
        (*said, f"{nobody} {'face is' if nobody == 1 else 'faces are'} nobody's who was shown")
        if nobody
        else tuple(said)
    )


def likeness_of_all(made: Sequence[Frame], shown: Sequence[Sequence[Frame]]) -> list[Likeness] | None:
    """Of each person on one picture with these faces, which are taken in the order that suits the people best; None
    where there are more or fewer faces than people."""
    if len(made) != len(shown):
        return None
    found = [likeness(made, photos) for photos in shown]
    orders = itertools.permutations(range(len(made)))
    best = max(orders, key=lambda order: sum(found[i][face].likeness for i, face in enumerate(order)))
    return [found[i][face] for i, face in enumerate(best)]


def alike(frames: Sequence[Frame]) -> float | None:
    """How alike pictures of one person are to each other, by the judge: the mean over pairs, 0 = as strangers, 1 = as
    two photos of one person usually are; None for fewer than two."""
    if len(frames) < 2:
        return None
    known, vectors = anchors(), _judged(frames)
    cosines = (vectors @ vectors.T)[np.triu_indices(len(frames), 1)]
    return float((cosines.mean() - known.n) / (known.p - known.n))


def apart(a: NDArray[np.float64], b: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [N, M]: how far bearings a [N, 7] lie from b [M, 7], root mean square in deviations."""
    off = (a[:, None] - b[None]) / spread
    return np.asarray(np.sqrt((off**2).mean(2)))


def _judged(frames: Sequence[Frame]) -> NDArray[np.float32]:
    return judge_portraits(np.stack([frame.pixels for frame in frames]))
