"""YuNet: 232 kB, milliseconds for 640 x 640. It knows upright faces only: in turned ones it sees upright illusions."""

from __future__ import annotations

from typing import Any

import numpy as np

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.types import Pixels
from visavis.faces.candidates import Candidates, candidates
from visavis.faces.graph import any_size

RECIPE = "any-size-1"
STRIDES = (8, 16, 32)


def session(threads: int | None = None) -> Any:
    return onnx_session(weights.derived("yunet", RECIPE, any_size), threads)


def find(network: Any, picture: Pixels, floor: float) -> Candidates:
    """All boxes scoring at least `floor`; the picture's sides are multiples of 32."""
    # The network was trained on blue, green, red.
    feed = np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
    names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
    out = dict(zip(names, network.run(names, {"input": feed}), strict=True))
    boxes, scores, points = [], [], []
    for stride in STRIDES:
        score = np.sqrt(out[f"cls_{stride}"][0, :, 0] * out[f"obj_{stride}"][0, :, 0])
        places = np.nonzero(score >= floor)[0]
        row, column = np.divmod(places, picture.shape[1] // stride)
        grid = np.stack([column, row], 1)
        box = out[f"bbox_{stride}"][0, places]
        centre, half = (grid + box[:, :2]) * stride, np.exp(box[:, 2:].astype(np.float64)) * stride / 2
        boxes.append(np.concatenate([centre - half, centre + half], 1))
        scores.append(score[places])
        points.append((out[f"kps_{stride}"][0, places].reshape(-1, 5, 2) + grid[:, None]) * stride)
    return candidates(np.concatenate(boxes), np.concatenate(scores), np.concatenate(points))
