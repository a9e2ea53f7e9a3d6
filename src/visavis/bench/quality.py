"""How often each word of `quality` is said of photos as they are, by group, and of photos made poor on purpose.

FairFace train's last part: no threshold and no network was fixed on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from visavis.bench.cover import PRESENCE, refit
from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.geometry import FAIRFACE
from visavis.bench.paint import paint
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.progress import track
from visavis.core.settings import usable_cores
from visavis.core.types import Floats, Pixels
from visavis.faces.geometry import pose
from visavis.faces.mesh import fit_mesh
from visavis.faces.quality import quality

FILE = "fairface_train_03.parquet"
# A cover counts when it hides this share of the part.
HIDES, TRIES = 0.6, 20
Job = tuple[dict[str, Any], bytes, np.random.Generator, tuple[str, ...]]
Poor = Callable[[Pixels, Floats, Pixels, np.random.Generator], Pixels | None]


def run(count: int = 6000, made_poor: int = 600, seed: int = 0) -> None:
    """Writes results/quality.json from `count` photos, of which the first `made_poor` are also made poor."""
    started = time.time()
    with ThreadPoolExecutor(usable_cores()) as pool:
        jobs = track(_jobs(count, made_poor, seed), "quality", count)
        faces = [face for face in pool.map(_face, jobs) if face]
    write("quality", figures(faces), seed=seed, started=started, notes=NOTES)


NOTES = (
    "said.WORD: share of FairFace photos as they are that are called so (many rightly: nobody labelled them); "
    "worst_group_ratio: the highest share among the seven groups over the share of all.",
    "found.WORD.HOW: share called so after the photo was made so: blurred by that share of the eye distance, darkened "
    "to or lightened by that factor in linear light, painted.",
)


def figures(faces: list[tuple[str, dict[str, frozenset[str]]]]) -> list[Figure]:
    groups = np.array([group for group, _ in faces])
    rows = []
    for word in WORDS:
        said = np.array([word in words["plain"] for _, words in faces])
        name = f"said.{word.replace(' ', '_')}"
        rows.append(Figure(name, float(said.mean()), *bootstrap(said), better="lower", n=len(said)))
        worst = max(said[groups == group].mean() for group in np.unique(groups))
        ratio = float(worst / said.mean()) if said.any() else 1.0
        rows.append(Figure(f"{name}.worst_group_ratio", ratio, unit="ratio", better="lower", n=int(said.sum())))
    for how, (word, _) in POOR.items():
        hits = np.array([word in words[how] for _, words in faces if how in words])
        name = f"found.{word.replace(' ', '_')}.{how}"
        rows.append(Figure(name, float(hits.mean()), *bootstrap(hits), better="higher", n=len(hits)))
    return rows


def _face(job: Job) -> tuple[str, dict[str, frozenset[str]]] | None:
    row, other, random, kinds = job
    pixels = decode(row["image"])
    mesh = fit_mesh(pixels, FAIRFACE, passes=3)
    if mesh.presence < PRESENCE:
        return None
    words = {"plain": _words(pixels, mesh.points)}
    for how in kinds:
        _, change = POOR[how]
        poor = change(pixels, mesh.points, decode(other), random)
        points = None if poor is None else refit(poor, mesh.points, random)
        if poor is not None and points is not None:
            words[how] = _words(poor, points)
    return str(row["race"]), words


def _words(pixels: Pixels, points: Floats) -> frozenset[str]:
    return frozenset(quality(pixels, points, pose(points), 1.0).words)


def _painted(kind: str) -> Poor:
    def change(pixels: Pixels, points: Floats, other: Pixels, random: np.random.Generator) -> Pixels | None:
        for _ in range(TRIES):
            made = paint(pixels, points, other, random, kind)
            if max(made.lower, made.eyes) > HIDES:
                return made.pixels
        return None  # the part lies outside the photo

    return change


def _blurred(share: float) -> Poor:
    def change(pixels: Pixels, points: Floats, *_: object) -> Pixels:
        apart = float(np.linalg.norm(points[263, :2] - points[33, :2])) * 0.7
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(share * apart)))

    return change


def _gained(gain: float) -> Poor:
    def change(pixels: Pixels, *_: object) -> Pixels:
        return _encode(_linear(pixels) * gain)

    return change


def _one_sided(pixels: Pixels, points: Floats, *_: object) -> Pixels:
    """Falls off by six stops from one side of the face to the other."""
    low, high = points[:, 0].min(), points[:, 0].max()
    ramp = np.clip((np.arange(pixels.shape[1]) - low) / (high - low), 0, 1)
    return _encode(_linear(pixels) * 2.0 ** (-6 * ramp)[None, :, None])


def _linear(pixels: Pixels) -> NDArray[np.float64]:
    return (pixels / 255.0) ** 2.2


def _encode(light: NDArray[np.float64]) -> Pixels:
    return (np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


POOR: dict[str, tuple[str, Poor]] = {
    "mask": ("lower half covered", _painted("mask")),
    "hand_or_cup": ("lower half covered", _painted("blob")),
    "scarf": ("lower half covered", _painted("half")),
    "bar": ("eyes covered", _painted("bar")),
    "dark_glasses": ("eyes covered", _painted("glasses")),
    "0.05": ("blurred", _blurred(0.05)),
    "0.08": ("blurred", _blurred(0.08)),
    "tenth": ("too dark", _gained(0.1)),
    "twentieth": ("too dark", _gained(0.05)),
    "sixfold": ("overexposed", _gained(6.0)),
    "six_stops": ("light from one side", _one_sided),
}
WORDS = tuple(dict.fromkeys(word for word, _ in POOR.values()))


def _jobs(count: int, made_poor: int, seed: int) -> Iterator[Job]:
    """(row, the picture before it, its own random numbers, how it is to be made poor)"""
    other = b""
    for number, row in enumerate(parquet_rows([data_folder("fairface") / FILE], ["image", "race"])):
        if number > count:
            return
        if other:
            yield row, other, np.random.default_rng([seed, number]), tuple(POOR) if number <= made_poor else ()
        other = row["image"]
