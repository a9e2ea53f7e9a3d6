"""The people whom create systems are measured on: a photo that a system is shown, other photos that the judge compares
with, and likeness pooled over all of them (never a ratio of one person's)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.card import Asked, Drawn, Ready
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.types import Face, Floats, Pixels
from visavis.faces.align import SIZES
from visavis.faces.analyse import central, find_faces
from visavis.faces.frame import Frame, found_in, frame_of
from visavis.faces.judge import judge_portraits
from visavis.training.splits import KNOWN, TEST_TWINS, Split

OTHERS = 8
RESEARCH = "consent: research set (identity of CelebA), looked up in no album"
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Somebody:
    """face: on the photo that a system is shown; others: frames of up to 8 further photos."""

    name: str
    face: Face
    others: tuple[Frame, ...]

    @cached_property
    def shown(self) -> Frame:
        return frame_of(self.face)


def people(split: Split, least: int = 2, count: int = 0) -> list[Somebody]:
    """The (first `count`) people of a split of `identity` with at least so many photos, in the order of their names;
    which photo is shown follows from hashes alone. Raises InputError without the data set."""
    found = faces(split, least, count).items()
    return [Somebody(name, theirs[0], tuple(frame_of(face) for face in theirs[1:])) for name, theirs in found]


def faces(split: Split, least: int = 2, count: int = 0) -> dict[str, list[Face]]:
    """The same people by name, each under one name: the middle face of up to 9 photos, in the order of hashes."""
    photos: dict[str, list[tuple[str, bytes]]] = {}
    for row in parquet_rows([data_folder("identity") / "celeba_identity.parquet"], ["name", "file", "image"]):
        if row["name"] not in TEST_TWINS and KNOWN["identity"].split(row["name"], {}) == split:
            photos.setdefault(row["name"], []).append((row["file"], row["image"]))
    found = dict[str, list[Face]]()
    for name, theirs in track(sorted(photos.items()), "people"):
        if count and len(found) == count:
            break
        seen = list[Face]()
        for _, image in sorted(theirs, key=lambda pair: _hash(pair[0])):
            if len(seen) > OTHERS:
                break
            face = central(find_faces(decode(image)))
            if face is not None:
                seen.append(face)
        if len(seen) >= least:
            found[name] = seen
    if not found:
        raise InputError(f"Nobody of the split {split} has {least} photos with a face.")
    return found


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures that a system made of each person, uint8 [H, W, 3], and the frames of the faces found on them, None
    where there is none."""

    pictures: list[list[Pixels]]
    frames: list[list[Frame | None]]

    def judged(self) -> list[Floats]:
        """The judge's vectors of each person's pictures; where no face was found it reads the whole picture."""
        made = []
        for pictures, frames in zip(self.pictures, self.frames, strict=True):
            pairs = zip(pictures, frames, strict=True)
            made.append(judge_portraits(np.stack([_whole(p) if frame is None else frame.pixels for p, frame in pairs])))
        return made

    @property
    def found(self) -> NDArray[np.bool_]:
        return np.array([frame is not None for frames in self.frames for frame in frames])


def gallery(ready: Ready, shown: Sequence[Somebody], prompts: Sequence[str], seeds: int, **asked: Any) -> Gallery:
    """So many pictures of each prompt, from seed 0 on. asked: steps and guidance where they are not the defaults."""
    pictures, frames = list[list[Pixels]](), list[list[Frame | None]]()
    for somebody in track(shown, "pictures of people"):
        theirs = list[Drawn]()
        for number, prompt in enumerate(prompts):
            wanted = Asked(((somebody.face,),), prompt, seeds, **asked)
            theirs += ready(wanted, number * seeds, lambda share: None)
        pictures.append([drawn.pixels for drawn in theirs])
        frames.append([found_in(drawn.pixels, drawn.frame) for drawn in theirs])
    return Gallery(pictures, frames)


def cosines(made: Gallery, shown: Sequence[Somebody]) -> Cosines:
    """By the judge."""
    first = judge_portraits(np.stack([somebody.shown.pixels for somebody in shown]))
    others = [judge_portraits(np.stack([frame.pixels for frame in somebody.others])) for somebody in shown]
    return Cosines.of(made.judged(), first, others)


@dataclass(frozen=True, eq=False)
class Cosines:
    """Mean cosines float64 [P, P] of person i's made pictures, and of the photo that was shown of them, to person j's
    other photos."""

    made: NDArray[np.float64]
    shown: NDArray[np.float64]

    @staticmethod
    def of(made: Sequence[Floats], shown: Floats, others: Sequence[Floats]) -> Cosines:
        """made: [N_i, D] of each person, shown: [P, D], others: [M_j, D] of each person; rows of unit length."""
        means = np.stack([vectors.mean(0) for vectors in others])
        return Cosines(np.stack([vectors.mean(0) for vectors in made]) @ means.T, shown @ means.T)

    @property
    def people(self) -> int:
        return len(self.made)

    def value(self, weights: NDArray[np.float64] | None = None) -> float:
        return self.likeness(weights)

    def likeness(self, weights: NDArray[np.float64] | None = None) -> float:
        """0: as strangers, 1: as the photo that was shown. weights [P]: how often each person counts."""
        return _own(self.made, weights) / _own(self.shown, weights)

    def interval(self) -> tuple[float, float]:
        """95 %; all four means anew in each draw of people."""
        return _interval(self.likeness, self.people)


@dataclass(frozen=True, eq=False)
class Pooled:
    """A score of everybody's pictures. sums, counts: float64 [P], of each person."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    @staticmethod
    def of(values: NDArray[np.float64], people: NDArray[np.int64], count: int) -> Pooled:
        sums = np.zeros((2, count))
        np.add.at(sums[0], people, values)
        np.add.at(sums[1], people, 1)
        return Pooled(*sums)

    @property
    def people(self) -> int:
        return len(self.sums)

    def value(self, weights: NDArray[np.float64] | None = None) -> float:
        """The mean over pictures. weights [P]: how often each person counts."""
        w = np.ones(len(self.sums)) if weights is None else weights
        return float((w * self.sums).sum() / (w * self.counts).sum())

    def interval(self) -> tuple[float, float]:
        """95 %, over draws of people."""
        return _interval(self.value, self.people)


def _interval(value: Callable[[NDArray[np.float64]], float], people: int) -> tuple[float, float]:
    random = np.random.default_rng(0)
    low, high = np.percentile([value(drawn_people(people, random)) for _ in range(DRAWS)], [2.5, 97.5])
    return float(low), float(high)


def drawn_people(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """float64 [count]: how often each is drawn; never one alone, who would have no strangers."""
    while True:
        weights = random.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
        if count < 2 or (weights > 0).sum() > 1:
            return weights


def _own(cosines: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
    """How much nearer one's own photos are than other people's."""
    w = np.ones(len(cosines)) if weights is None else weights
    pairs = np.outer(w, w)
    np.fill_diagonal(pairs, 0)
    own = (w * np.diag(cosines)).sum() / w.sum()
    return float(own - (pairs * cosines).sum() / pairs.sum())


def _whole(picture: Pixels) -> Pixels:
    from PIL import Image

    size = SIZES["portrait"]
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))


def _hash(text: str) -> str:
    return hashlib.sha256(f"visavis:shown:{text}".encode()).hexdigest()
