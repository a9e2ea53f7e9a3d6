"""Made pictures and photos seen alike: a portrait frame in the middle of a canvas, its border replicated, and then what
perception and a peer's landmarks (pfld_68, no part of any caption or loss) say of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.peers import peer_model
from visavis.core.progress import track
from visavis.core.types import Floats, Pixels
from visavis.faces.analyse import needs
from visavis.faces.frame import canvas
from visavis.faces.mesh import Square, cut
from visavis.faces.score import standardised
from visavis.training.cache import batched
from visavis.training.prepare import BATCH, FACTS, looks
from visavis.training.rows import Row

SIDE, MARGIN = 112, 1.2  # of pfld's square around a detector's box
OUTER_EYES, NOSE_TIP, CORNERS, INNER_LIPS = (36, 45), 30, (48, 54), (62, 66)


@dataclass(frozen=True, eq=False)
class Seen:
    """frames: uint8 [N, 128, 128, 3]; facts: structured [N] (FACTS, in pixels of the canvas); vectors: float32
    [N, 128] of A, standardised, zero where no face was found"""

    frames: Pixels
    facts: NDArray[Any]
    vectors: Floats

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def found(self) -> NDArray[np.bool_]:
        made: NDArray[np.bool_] = self.facts["found"]
        return made

    def take(self, rows: NDArray[Any]) -> Seen:
        return Seen(self.frames[rows], self.facts[rows], self.vectors[rows])


def see(frames: Pixels, label: str) -> Seen:
    """Looks at every frame on its canvas."""
    weights.fetch([*needs("yunet", embedding=True), "cohort"])
    facts, vectors, at = np.zeros(len(frames), FACTS), np.zeros((len(frames), 128), np.float32), 0
    for batch, look in looks(batched(track(_rows(frames), label, len(frames)), BATCH), ["vector_a"]):
        part = slice(at, at + len(batch))
        facts[part], at = look.facts, part.stop
        rows = np.flatnonzero(facts["found"][part]) + part.start
        if len(rows):
            vectors[rows] = standardised(look.made["vector_a"])
    return Seen(frames, facts, vectors)


def _rows(frames: Pixels) -> Iterator[Row]:
    for number, frame in enumerate(frames):
        out = io.BytesIO()
        Image.fromarray(canvas(frame)).save(out, "PNG", compress_level=1)
        yield Row(out.getvalue(), b"", str(number), str(number), "val", {})


def landmarks(seen: Seen) -> NDArray[np.float64]:
    """float64 [N, 68, 2] of pfld_68 in pixels of the canvas, NaN where no face was found. Raises InputError where the
    peer cannot be had."""
    session = onnx_session(peer_model("pfld_68"))
    made = np.full((len(seen), 68, 2), np.nan)
    for i in np.flatnonzero(seen.found):
        x1, y1, x2, y2 = (float(value) for value in seen.facts["box"][i])
        square = Square((x1 + x2) / 2, (y1 + y2) / 2, MARGIN * max(x2 - x1, y2 - y1), 0.0)
        crop = cut(canvas(seen.frames[i]), square, SIDE).transpose(2, 0, 1)[None].astype(np.float32) / 255
        points = session.run(None, {"input": crop})[0].reshape(68, 2)
        made[i] = (points - 0.5) * square.side + (square.x, square.y)
    return made


def turned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N]: how far the tip of the nose lies right of the middle between the eyes, in eye distances."""
    apart, middle = _eyes(points)
    off = points[:, NOSE_TIP] - middle
    return np.asarray((off * apart).sum(1) / (apart**2).sum(1))


def smiled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N]: width of the mouth and twice the rise of its corners above the lips' middle, in eye distances."""
    apart, _ = _eyes(points)
    left, right = points[:, CORNERS[0]], points[:, CORNERS[1]]
    lift = points[:, INNER_LIPS, 1].mean(1) - (left[:, 1] + right[:, 1]) / 2
    return np.asarray((np.hypot(*(right - left).T) + 2 * lift) / np.hypot(*apart.T))


def gaped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N]: how far the lips' middles are apart, in eye distances."""
    apart, _ = _eyes(points)
    return np.asarray(np.hypot(*(points[:, INNER_LIPS[1]] - points[:, INNER_LIPS[0]]).T) / np.hypot(*apart.T))


def opened(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N]: how far the eyelids are apart over the eyes' width, a mean of both eyes."""
    made = []
    for corner in (36, 42):
        width = np.hypot(*(points[:, corner + 3] - points[:, corner]).T)
        gaps = [np.hypot(*(points[:, corner + b] - points[:, corner + a]).T) for a, b in ((1, 5), (2, 4))]
        made.append((gaps[0] + gaps[1]) / 2 / width)
    return np.asarray((made[0] + made[1]) / 2)


def _eyes(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = points[:, OUTER_EYES[0]], points[:, OUTER_EYES[1]]
    return right - left, (left + right) / 2
