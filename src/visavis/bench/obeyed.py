"""Was a picture made as it was asked for? Told by heads and landmarks that wrote no caption and stand in no loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.canvas import Seen, gaped, landmarks, opened, see, smiled, turned
from visavis.bench.people import Gallery, Pooled
from visavis.core.types import BANDS, Floats
from visavis.faces.attributes import raw

HEADS = "attributes_judge"
TAUGHT = 3000  # training photos that the thresholds come from
LOOKS = ("looking left", "looking straight", "looking right")
SMILES = ("serious", "smiling")
MOUTHS, LIDS = ("mouth closed", "mouth open"), ("eyes closed", "eyes open")
BY_POINTS = {"look": (turned, LOOKS), "smile": (smiled, SMILES), "mouth": (gaped, MOUTHS), "eyes": (opened, LIDS)}
WOMEN, MEN = {"woman", "girl"}, {"man", "boy"}
QUESTIONS = ("gender", "age_band_within_one", *BY_POINTS)


@dataclass(frozen=True, eq=False)
class Asked:
    """Frames with the captions they were made for, or, photos, that were written for them. age: [N, 2] middle and
    scale; female: [N]; race: [N, 7], by the heads that judge; points: [N, 68, 2] of pfld_68."""

    captions: list[str]
    seen: Seen
    age: Floats
    female: Floats
    race: Floats
    points: NDArray[np.float64]


def judged(seen: Seen, captions: list[str]) -> Asked:
    return Asked(captions, seen, *raw(seen.frames, HEADS), landmarks(seen))


@dataclass(frozen=True, eq=False)
class Answers:
    """Of one question: to which rows it was put, and where the picture obeyed."""

    rows: NDArray[np.int64]
    right: NDArray[np.bool_]


def obeyed(asked: Asked) -> dict[str, Answers]:
    """Answers to QUESTIONS, each put to the pictures with a face whose caption says something of it."""
    told = {name: (choices, _thresholds(name), measure(asked.points)) for name, (measure, choices) in BY_POINTS.items()}
    found: dict[str, list[tuple[int, bool]]] = {name: [] for name in QUESTIONS}
    for i in map(int, np.flatnonzero(asked.seen.found)):
        caption = asked.captions[i]
        words = set(re.findall(r"\w+", caption))
        if words & (WOMEN | MEN):
            found["gender"].append((i, bool(words & WOMEN) == bool(asked.female[i] > 0.5)))
        years = re.search(r"of (\d+)", caption)
        if years:
            apart = abs(band(float(years[1])) - band(float(asked.age[i, 0])))
            found["age_band_within_one"].append((i, apart <= 1))
        for name, (choices, limits, values) in told.items():
            said = [choice for choice in choices if choice in caption]
            if said:
                found[name].append((i, choices[int(np.searchsorted(limits, values[i]))] == said[0]))
    return {
        name: Answers(*(np.array(part) for part in zip(*pairs, strict=True))) for name, pairs in found.items() if pairs
    }


def followed(made: Gallery, captions: Sequence[str]) -> Pooled:
    """Of the questions that the captions, one for each picture of a person, put: each person's share that the pictures
    answer as asked."""
    pictures = np.stack([picture for theirs in made.pictures for picture in theirs])
    seen = see(pictures, "looking")
    found = obeyed(judged(seen, [*captions] * len(made.pictures)))
    return pooled(list(found.values()), seen.found, len(captions))


def pooled(answers: Sequence[Answers], found: NDArray[np.bool_], each: int) -> Pooled:
    """Over people with so many pictures each; a picture without a face disobeys once."""
    faceless = np.flatnonzero(~found)
    right = np.concatenate([*(one.right for one in answers), np.zeros(len(faceless))])
    rows = np.concatenate([*(one.rows for one in answers), faceless])
    return Pooled.of(right, rows // each, len(found) // each)


def band(years: float) -> int:
    """The number of FairFace's band, 0 ("0-2") to 8 ("70+"), of an age in years."""
    return int(sum(years >= high + 1 for _, high in BANDS))


@cache
def _thresholds(name: str) -> list[float]:
    """Of a question to the points: between the medians of training photos to which its words apply, in their order."""
    measure, words = BY_POINTS[name]
    told, points = _taught()
    values = measure(points)
    middles = [float(np.nanmedian(values[[word in each for each in told]])) for word in words]
    return [(a + b) / 2 for a, b in pairwise(middles)]


@cache
def _taught(count: int = TAUGHT) -> tuple[list[list[str]], NDArray[np.float64]]:
    """The words that apply to training photos, and pfld's points of them."""
    from visavis.bases.nano.captions import described

    rows = learnt().take(np.arange(count))
    stored, found = rows.column("portrait"), described(rows)
    frames = np.asarray(stored.take(stored.rows(rows.keys)))
    return [found.words(i, False) for i in range(len(rows))], landmarks(see(frames, "training photos"))


@cache
def learnt() -> Any:
    """What nano learns from (Prepared)."""
    from visavis.bases.faces import usable
    from visavis.training.rows import source

    return usable(source("fairface"), 1, 0)[0]
