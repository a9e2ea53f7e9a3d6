"""Parsers of faces against labelled masks (test split of celebamask) and, for eyes and lips, against landmarks that
people set (test split of landmarks68)."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.bench.figures import Figure, write
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core import weights
from visavis.core.errors import VisavisError
from visavis.core.progress import track
from visavis.core.settings import usable_cores
from visavis.core.types import Face, Pixels
from visavis.faces import align
from visavis.faces.analyse import central, find_faces
from visavis.faces.parse import CLASSES, Labels, Parsed, Parser, centres, filled, parse, sampled, says
from visavis.media.write import write_bytes

Counts = NDArray[np.int64]
IGNORED = 255  # outside the photo there is no label
# 300-W's points around each; the lips' outer edge holds the mouth too.
PARTS: dict[str, tuple[tuple[str, range], ...]] = {
    "eyes": (("r_eye", range(36, 42)), ("l_eye", range(42, 48))),
    "lips": (("lips", range(48, 60)),),
}
LIPS = ("u_lip", "l_lip", "mouth")
ZOOM, ACROSS = 2, 2
NOTES = (
    "In the portrait crop (128 pixels, 46 between the eyes), over pixels inside the photo. IoU of all photos' pixels "
    "together; intervals: bootstrap over photos.",
    "celebamask: the mask of CelebA-HQ at 192 pixels, brought to the crop by the nearest pixel; the face is the one in "
    "the middle. miou is the mean over the classes that the test masks hold, miou_said over those of them that the "
    "parser ever says; classes it never says have IoU 0.",
    "The masks of celebamask are no exact truth: some have the speckles of a network's, and on 33 of 500 train rows "
    "an eye's label lies on the other side of the nose.",
    "landmarks68 (Helen): polygons of the points around each eye (both eyes in one figure) and around the lips against "
    "l_eye, r_eye and the union of u_lip, l_lip and mouth; eyes_lips is the mean of the two.",
)


@dataclass(frozen=True, eq=False)
class Compared:
    """A face's crop with the truth (uint8 [S, S], IGNORED outside the photo) and what a parser said."""

    crop: Pixels
    truth: Labels
    said: Parsed

    def counts(self) -> Counts:
        """int64 [2, 19]: pixels in both and in either, by class."""
        seen = self.truth != IGNORED
        both = [((self.truth == c) & (self.said.labels == c)).sum() for c in range(len(CLASSES))]
        either = [(seen & ((self.truth == c) | (self.said.labels == c))).sum() for c in range(len(CLASSES))]
        return np.array([both, either])


def run(folder: Path | None = None) -> None:
    """Writes results/parser.json and, where a folder is named, sheets of the worst rows."""
    started = time.time()
    parsers, absent = available()
    rows = [figure for parser in parsers for figure in (*_celebamask(parser), *_landmarks68(parser))]
    write("parser", rows, seed=0, started=started, notes=[*NOTES, *absent])
    if folder:
        for parser in parsers:
            sheet(folder, parser)


def available() -> tuple[list[Parser], list[str]]:
    """The parsers whose weights can be had, and a line for each that cannot."""
    found: list[Parser] = ["mesh"]
    try:
        weights.path("parser_unet")
    except VisavisError as error:
        return found, [f"unet was not measured: {error}"]
    return [*found, "unet"], []


def sheet(folder: Path, parser: Parser = "mesh", split: str = "test", rows: int = 12, worst: bool = True) -> Path:
    """A picture of the worst (or the first) rows of celebamask, each as crop, what was said, truth.

    The photos are for research only: the folder must not be one whose content is published.
    """
    found = [c for c in _compared(parser, split, None if worst else rows) if c is not None]
    if worst:
        found.sort(key=lambda c: _miou(c.counts(), says(parser)))
    tiles = [np.hstack([c.crop, c.said.overlay(c.crop), _true_overlay(c)]) for c in found[:rows]]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % ACROSS)
    whole = np.vstack([np.hstack(tiles[i : i + ACROSS]) for i in range(0, len(tiles), ACROSS)])
    out = io.BytesIO()
    Image.fromarray(whole.repeat(ZOOM, 0).repeat(ZOOM, 1)).save(out, "PNG")
    path = folder / f"parser_{parser}_{split}_{'worst' if worst else 'first'}.png"
    write_bytes(path, out.getvalue())
    return path


def _celebamask(parser: Parser) -> list[Figure]:
    compared = _compared(parser, "test")
    counts = np.stack([c.counts() for c in compared if c is not None])
    name = f"{parser}.celebamask"
    held = _held([c for c in compared if c is not None])
    said = [c for c in held if c in says(parser)]
    figures = [
        _figure(f"{name}.miou", counts, lambda c: _miou(c, held)),
        _figure(f"{name}.miou_said", counts, lambda c: _miou(c, said)),
    ]
    for c in held:
        figures.append(_figure(f"{name}.{c}.iou", counts, lambda summed, c=c: _miou(summed, [c])))  # type: ignore[misc]
    missed = len(compared) - len(counts)
    return [*figures, Figure(f"{name}.not_found", missed, unit="faces", better="lower", n=len(compared))]


def _held(compared: Sequence[Compared]) -> list[str]:
    present = np.unique(np.concatenate([np.unique(c.truth) for c in compared]))
    return [name for number, name in enumerate(CLASSES) if number in present]


def _miou(counts: Counts, names: Sequence[str]) -> float:
    """Mean IoU of the classes that either truth or parser holds."""
    index = [CLASSES.index(name) for name in names]
    both, either = counts[0][index], counts[1][index]
    return float((both[either > 0] / either[either > 0]).mean()) if either.any() else 0.0


def _compared(parser: Parser, split: str, first: int | None = None) -> list[Compared | None]:
    """All rows of a split of celebamask; None where no face was found."""
    path = data_folder("celebamask") / "celebamask.parquet"
    rows = [row for row in parquet_rows([path], ("image", "mask", "split")) if row["split"] == split][:first]
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(lambda row: _compare(row, parser), track(rows, f"celebamask {parser}")))


def _compare(row: dict[str, Any], parser: Parser) -> Compared | None:
    face = central(find_faces(decode(row["image"])))
    if face is None:
        return None
    mask = np.asarray(Image.open(io.BytesIO(row["mask"])))
    truth, crop = _on_crop(face, mask), face.crop("portrait").pixels
    return Compared(crop, truth, parse(face, parser))


def _on_crop(face: Face, mask: Labels) -> Labels:
    on_photo = align.apply(face.crop("portrait").to_photo, centres(align.SIZES["portrait"]))
    inside = ((on_photo >= 0) & (on_photo < mask.shape[::-1])).all(-1)
    return np.where(inside, sampled(mask, on_photo), np.uint8(IGNORED))


def _true_overlay(compared: Compared) -> Pixels:
    truth = np.where(compared.truth == IGNORED, np.uint8(0), compared.truth)
    return Parsed(truth, compared.said.parser, compared.said.template).overlay(compared.crop)


def _landmarks68(parser: Parser) -> list[Figure]:
    path = data_folder("landmarks68") / "landmarks68.parquet"
    rows = [row for row in parquet_rows([path], ("image", "points", "split")) if row["split"] == "test"]
    with ThreadPoolExecutor(usable_cores()) as pool:
        found = list(pool.map(lambda row: _parts(row, parser), track(rows, f"landmarks68 {parser}")))
    counts = np.stack([f for f in found if f is not None])

    def iou(summed: Counts) -> NDArray[np.float64]:
        return np.asarray(summed[0] / summed[1])

    after = "iou_against_landmarks68"
    missed = len(found) - len(counts)
    return [
        _figure(f"{parser}.eyes_lips.{after}", counts, lambda summed: float(iou(summed).mean())),
        _figure(f"{parser}.eyes.{after}", counts, lambda summed: float(iou(summed)[0])),
        _figure(f"{parser}.lips.{after}", counts, lambda summed: float(iou(summed)[1])),
        Figure(f"{parser}.eyes_lips.not_found", missed, unit="faces", better="lower", n=len(found)),
    ]


def _parts(row: dict[str, Any], parser: Parser) -> Counts | None:
    """int64 [2, 2]: pixels in both and in either, of eyes and lips; None where the labelled face was not found."""
    points = np.asarray(row["points"], np.float64)
    face = max(find_faces(decode(row["image"])), key=lambda face: _holds(face, points), default=None)
    if face is None or _holds(face, points) < 0.5:
        return None
    said = parse(face, parser)
    on_crop = align.apply(face.crop("portrait").to_crop, points)
    counts = np.zeros((2, len(PARTS)), np.int64)
    for i, polygons in enumerate(PARTS.values()):
        for name, index in polygons:
            truth = filled(on_crop[list(index)][None], len(said.labels))
            ours = said.mask(*LIPS) if name == "lips" else said.mask(name)
            counts[:, i] += (truth & ours).sum(), (truth | ours).sum()
    return counts


def _holds(face: Face, points: NDArray[np.float64]) -> float:
    """The share of the points in a face's box."""
    x1, y1, x2, y2 = face.box
    return float(((points >= (x1, y1)) & (points <= (x2, y2))).all(1).mean())


def _figure(name: str, counts: Counts, measure: Callable[[Counts], float], draws: int = 1000) -> Figure:
    """measure of the summed counts [N, 2, C], with its 95 % interval over photos."""
    random = np.random.default_rng(0)
    n = len(counts)
    times = random.multinomial(n, np.full(n, 1 / n), size=draws)
    drawn = [measure(summed) for summed in np.tensordot(times, counts, 1)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(name, measure(counts.sum(0)), float(low), float(high), n=n)
