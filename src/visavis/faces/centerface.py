"""CenterFace: 7.3 MB, some five times slower than YuNet; sees faces at any turn, its five points are rough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.types import Pixels
from visavis.faces.candidates import Candidates, Numbers, candidates
from visavis.faces.graph import any_size

RECIPE = "any-size-1"
STRIDE = 4
ROUGH = 0.3


def session(threads: int | None = None) -> Any:
    return onnx_session(weights.derived("centerface", RECIPE, any_size), threads)


def find(network: Any, picture: Pixels, floor: float) -> Candidates:
    """All boxes scoring at least `floor`; the picture's sides are multiples of 32."""
    feed = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
    heat, scale, offset, marks = (out[0].astype(np.float64) for out in network.run(None, {"input.1": feed}))
    row, column = np.nonzero(heat[0] >= floor)
    # The network names y before x.
    size = np.exp(scale[::-1, row, column].T) * STRIDE
    centre = (np.stack([column, row], 1) + offset[::-1, row, column].T + 0.5) * STRIDE
    corner = centre - size / 2
    points = marks.reshape(5, 2, *heat.shape[1:])[:, ::-1, row, column].transpose(2, 0, 1)
    points = points * size[:, None] + corner[:, None]
    found = candidates(np.concatenate([corner, corner + size], 1), heat[0, row, column], points)
    turns = _turns(points)
    # Boxes of turned faces are rough: the same face found upright on the turned photo is better placed.
    return replace(found, turns=turns, ranks=found.ranks - ROUGH * (turns != 0))


def _turns(points: Numbers) -> NDArray[np.int64]:
    """The clockwise quarter turn that brings the mouth below the eyes."""
    down = points[:, 3:].mean(1) - points[:, :2].mean(1)
    quarters = np.round(np.arctan2(down[:, 0], down[:, 1]) / (np.pi / 2)).astype(np.int64)
    return np.asarray(quarters % 4 * 90)
