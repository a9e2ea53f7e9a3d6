"""Makes the shipped network that sees covered faces (weight `face_cover`) from FairFace train faces painted upon.

The texture's layout follows the mean face: after a new `face_geometry` this has to run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.bench.geometry import FAIRFACE, Framed
from visavis.bench.paint import paint
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.progress import track
from visavis.core.settings import usable_cores
from visavis.core.ship import ship
from visavis.core.types import Floats, Pixels
from visavis.faces.cover import CoverNet, bands, features
from visavis.faces.geometry import Points
from visavis.faces.mesh import fit_mesh, five_points
from visavis.faces.texture import texture

COMMAND = "visavis calibrate-cover"
FILES = ("fairface_train_00.parquet", "fairface_train_01.parquet")
PRESENCE = 0.9
COVERS = 2
HIDDEN, EPOCHS, BATCH, RATE, DECAY = 48, 30, 64, 2e-3, 3e-2
# A part counts as free up to the first share hidden and as covered from the second on.
FREE, HIDDEN_FROM = 0.15, 0.55
DOUBTFUL = 0.5


@dataclass(frozen=True, eq=False)
class Lesson:
    """features: [N, F]; hidden: [N, 2] share of lower half and eyes; painted: bool [N]"""

    features: Points
    hidden: Points
    painted: NDArray[np.bool_]


def run(count: int = 3000, seed: int = 0, folder: Path | None = None) -> Path:
    """Writes face_cover.safetensors (into the package's folder unless another is named) from `count` faces."""
    lesson = _lesson(count, seed)
    net = train(_without_doubtful(lesson, seed), seed)
    arrays = {
        name: np.asarray(getattr(net, name), np.float16 if name == "first" else np.float32)
        for name in ("mean", "scale", "first", "first_bias", "second", "second_bias")
    }
    return ship("face_cover", arrays, terms="permissive", trained_on="fairface", command=COMMAND, folder=folder)


def refit(pixels: Pixels, points: Floats, random: np.random.Generator) -> Floats | None:
    """The mesh after painting, framed as a detector would have: the old mesh's box, a little off. None: no face."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    off = random.normal(0, 0.04, 4) * np.tile(high - low, 2)
    mesh = fit_mesh(pixels, Framed(np.concatenate([low, high]) + off, five_points(points)))
    return mesh.points if mesh.presence > 0.05 else None


def look(pixels: Pixels, points: Floats) -> Points:
    face = texture(pixels, points)
    return features(face, bands(face))


def train(lesson: Lesson, seed: int) -> CoverNet:
    """Adam with dropout on plain numpy: a few seconds."""
    random = np.random.default_rng(seed)
    mean, scale = lesson.features.mean(0), 1 / (lesson.features.std(0) + 1e-6)
    inputs = (lesson.features - mean) * scale
    targets = np.clip((lesson.hidden - FREE) / (HIDDEN_FROM - FREE), 0, 1)
    width = inputs.shape[1]
    weights = [
        random.normal(0, np.sqrt(2 / width), (width, HIDDEN)),
        np.zeros(HIDDEN),
        random.normal(0, 0.1, (HIDDEN, 2)),
        np.zeros(2),
    ]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    step = 0
    for epoch in track(range(EPOCHS), "training"):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        for rows in np.array_split(random.permutation(len(inputs)), max(1, len(inputs) // BATCH)):
            step += 1
            for i, slope in enumerate(_slopes(weights, inputs[rows], targets[rows], random)):
                first[i] = 0.9 * first[i] + 0.1 * slope
                second[i] = 0.999 * second[i] + 0.001 * slope**2
                move = first[i] / (1 - 0.9**step) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
                weights[i] -= rate * (move + (DECAY * weights[i] if weights[i].ndim == 2 else 0))
    return CoverNet(mean, scale, *weights)


def _slopes(weights: list[Points], x: Points, y: Points, random: np.random.Generator) -> tuple[Points, ...]:
    """Gradients of the mean cross-entropy; a tenth of the inputs and 3 of 10 hidden units are dropped."""
    x = x * (random.random(x.shape) > 0.1)
    before = x @ weights[0] + weights[1]
    kept = (random.random(before.shape) > 0.3) / 0.7
    hidden = np.maximum(before, 0) * kept
    off = (1 / (1 + np.exp(-(hidden @ weights[2] + weights[3]))) - y) / len(x)
    back = (off @ weights[2].T) * kept * (before > 0)
    return x.T @ back, back.sum(0), hidden.T @ off, off.sum(0)


def _without_doubtful(lesson: Lesson, seed: int) -> Lesson:
    """Drops unpainted faces that a network trained on the other half calls covered: many of them are."""
    half = np.random.default_rng(seed).random(len(lesson.painted)) < 0.5
    doubt = np.zeros(len(half))
    for rows in (half, ~half):
        part = Lesson(lesson.features[~rows], lesson.hidden[~rows], lesson.painted[~rows])
        doubt[rows] = train(part, seed)(lesson.features[rows]).max(1)
    sure = lesson.painted | (doubt < DOUBTFUL)
    return Lesson(lesson.features[sure], lesson.hidden[sure], lesson.painted[sure])


def _lesson(count: int, seed: int) -> Lesson:
    def rows(job: tuple[int, bytes, bytes]) -> list[tuple[Points, tuple[float, float], bool]]:
        number, image, other = job
        random = np.random.default_rng([seed, number])
        pixels = decode(image)
        mesh = fit_mesh(pixels, FAIRFACE, passes=3)
        if mesh.presence < PRESENCE:
            return []
        found = [(look(pixels, mesh.points), (0.0, 0.0), False)]
        for _ in range(COVERS):
            made = paint(pixels, mesh.points, decode(other), random)
            points = refit(made.pixels, mesh.points, random)
            if points is not None:
                found.append((look(made.pixels, points), (made.lower, made.eyes), True))
        return found

    with ThreadPoolExecutor(usable_cores()) as pool:
        every = [row for found in pool.map(rows, track(_jobs(count), "painting covers", count)) for row in found]
    inputs, hidden, painted = zip(*every, strict=True)
    return Lesson(np.array(inputs), np.array(hidden), np.array(painted))


def _jobs(count: int) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, picture, the picture before it) of FairFace train."""
    other = b""
    for number, row in enumerate(parquet_rows([data_folder("fairface") / file for file in FILES], ["image"])):
        if number > count:
            return
        if other:
            yield number, row["image"], other
        other = row["image"]
