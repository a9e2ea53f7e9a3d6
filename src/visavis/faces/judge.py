"""Recogniser B, the judge: is a made picture still the same person? It takes no part in making anything.

It reads the portrait frame alone (made pictures hold nothing outside it): whatever is compared is cut to that frame
first. Nothing that trains may use it: an import contract keeps it out of the rooms of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.errors import InputError
from visavis.core.types import Face, Floats, Pixels
from visavis.faces.align import SIZES

Judge = Literal["judge_b"]
JUDGES: tuple[Judge, ...] = ("judge_b",)
BATCH = 32


def judge_faces(faces: Sequence[Face], judge: str = "judge_b") -> Floats:
    """The judge's vectors float32 [N, 128] of unit length of faces on photos."""
    crops = [face.crop("portrait").pixels for face in faces]
    return judge_portraits(np.stack(crops) if crops else np.empty((0, *_SHAPE), np.uint8), judge)


def judge_portraits(portraits: Pixels, judge: str = "judge_b") -> Floats:
    """The judge's vectors float32 [N, 128] of unit length of portrait crops uint8 [N, 128, 128, 3] RGB.

    Raises InputError for what is no judge: recogniser A helps to make pictures and may not judge them.
    """
    if judge not in JUDGES:
        why = "it takes part in making pictures" if judge.lower() in ("a", "recogniser_a") else "it is none"
        raise InputError(f"{judge!r} may not judge: {why}. Judges are {', '.join(JUDGES)}.")
    if portraits.dtype != np.uint8 or portraits.ndim != 4 or portraits.shape[1:] != _SHAPE:
        raise InputError(f"Portraits are uint8 [N, 128, 128, 3], not {portraits.dtype} {list(portraits.shape)}.")
    session = onnx_session(weights.path(judge))
    parts = [portraits[i : i + BATCH] for i in range(0, len(portraits), BATCH)]
    made = [session.run(None, {"crops": np.ascontiguousarray(part)})[0] for part in parts]
    return np.concatenate([np.empty((0, 128), np.float32), *made])


_SHAPE = (SIZES["portrait"], SIZES["portrait"], 3)
