"""Is a made face like the person, or a copy of the photo that was shown? The scores of MultiID-Bench (WithAnyone, arXiv
2510.14975, section 3): another photo of the person is the truth, and likeness to the reference beyond it is copying."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.floating]
EPS = 1e-6
ALIKE = 0.1
MOST = 6  # faces of a picture that are put in every order


@dataclass(frozen=True, eq=False)
class Scores:
    """Of each made face, in its order: cosine to the truth (the main score) and to the reference, and how much nearer
    in angle it is to the reference than to the truth, over the angle between those two (`between`, radians): 1 copies
    the reference, -1 equals the truth. Where that is below ALIKE a copy of the one is a likeness of the other, and the
    third score says nothing."""

    sim_gt: NDArray[np.float64]
    sim_ref: NDArray[np.float64]
    copy_paste: NDArray[np.float64]
    between: NDArray[np.float64]


def scores(made: Vectors, truth: Vectors, reference: Vectors) -> Scores:
    """made, truth, reference: a recogniser's vectors [N, D] of N people, of any length, row i of all three of one."""
    made, truth, reference = map(_unit, (made, truth, reference))
    sim_gt, sim_ref = (made * truth).sum(1), (made * reference).sum(1)
    to_truth, to_reference, between = (np.arccos(c.clip(-1, 1)) for c in (sim_gt, sim_ref, (truth * reference).sum(1)))
    return Scores(sim_gt, sim_ref, (to_truth - to_reference) / np.maximum(between, EPS), between)


def group_scores(made: Vectors, truth: Vectors, reference: Vectors) -> Scores | None:
    """Of one picture of several people, found in any order: the order with the best sum of cosines counts, for truth
    and reference apart. None where another number of faces was made than was asked for (it counts as a miss)."""
    if len(made) != len(truth) or len(truth) != len(reference):
        return None
    if len(made) > MOST:
        raise ValueError(f"{len(made)} faces of a picture; up to {MOST} are put in every order.")
    return scores(made, truth[_best(made, truth)], reference[_best(made, reference)])


def _best(made: Vectors, other: Vectors) -> list[int]:
    cosine, faces = _unit(made) @ _unit(other).T, np.arange(len(made))
    return list(max(itertools.permutations(faces), key=lambda order: float(cosine[faces, list(order)].sum())))


def _unit(vectors: Vectors) -> NDArray[np.float64]:
    wide = np.asarray(vectors, np.float64)
    return np.asarray(wide / (np.linalg.norm(wide, axis=-1, keepdims=True) + EPS))
