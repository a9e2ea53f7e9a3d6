"""What a detector says about one picture, before boxes of the same face are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
SAME = 0.4  # intersection over union from which two boxes are of one face
NESTED = 0.7  # share of the smaller box inside the other: a part of a face, or a box around it
COVERED = 0.6  # share of a box that better faces cover together: a box around or between several faces
VOTES = 0.6  # intersection over union from which a box of another scale has a say in where the face is


@dataclass(frozen=True, eq=False)
class Candidates:
    """boxes [N, 4] xyxy, scores [N], points [N, 5, 2] in one picture's pixels, turns [N] in degrees;
    ranks [N]: which of two boxes in one place is the face, the higher one."""

    boxes: Numbers
    scores: Numbers
    points: Numbers
    turns: NDArray[np.int64]
    ranks: Numbers

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        return Candidates(
            self.boxes[chosen], self.scores[chosen], self.points[chosen], self.turns[chosen], self.ranks[chosen]
        )


def candidates(boxes: NDArray[Any], scores: NDArray[Any], points: NDArray[Any]) -> Candidates:
    """Of upright faces, ranked by their scores."""
    scores = np.asarray(scores, np.float64).reshape(-1)
    return Candidates(
        np.asarray(boxes, np.float64).reshape(-1, 4),
        scores,
        np.asarray(points, np.float64).reshape(-1, 5, 2),
        np.zeros(len(scores), np.int64),
        scores,
    )


def joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.turns for part in parts]),
        np.concatenate([part.ranks for part in parts]),
    )


def inside(found: Candidates, width: float, height: float) -> Candidates:
    """Boxes cut at the photo's borders; those of which less than a pixel is left go."""
    boxes = found.boxes.copy()
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    left = boxes[:, 2:] - boxes[:, :2]
    return replace(found, boxes=boxes).take(left.min(1) >= 1)


def one_box_a_face(found: Candidates) -> Candidates:
    """The best box of each face, highest rank first, placed by the mean of all scales that agree with it.

    Boxes that a better one mostly contains or lies in go, as do boxes around or between several better ones.
    """
    found = found.take(np.argsort(-found.ranks, kind="stable"))
    sizes = _area(found.boxes)
    open_ = np.ones(len(found), bool)
    covered = np.zeros(len(found))
    chosen: list[int] = []
    boxes, points = found.boxes.copy(), found.points.copy()
    for i in range(len(found)):
        if not open_[i] or covered[i] > COVERED * sizes[i]:
            continue
        common = _common(found.boxes[i], found.boxes)
        union = common / (sizes + sizes[i] - common)
        votes = open_ & (union > VOTES) & (found.turns == found.turns[i])
        weights = found.scores[votes] ** 2
        # The mean of equal numbers may be a hair beyond them, and a box beyond the photo.
        low, high = found.boxes[votes].min(0), found.boxes[votes].max(0)
        boxes[i] = np.average(found.boxes[votes], axis=0, weights=weights).clip(low, high)
        points[i] = np.average(found.points[votes], axis=0, weights=weights)
        open_ &= (union <= SAME) & (common <= NESTED * np.minimum(sizes, sizes[i]))
        covered += common
        chosen.append(i)
    return replace(found, boxes=boxes, points=points).take(np.array(chosen, np.intp))


def _area(boxes: Numbers) -> Numbers:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _common(box: Numbers, boxes: Numbers) -> Numbers:
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return np.asarray(sides.clip(0, None).prod(1))
