"""Captions from labels and from what the mesh and the pixels say; nothing that only a research-only network knows.

Words have thresholds as in faces/spoken.py; a mirrored view has left and right swapped. Gender is the data set's label
of how somebody presents, and an age the age that somebody looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from visavis.bases.nano.words import DECADES, NUMBERS
from visavis.core.progress import track
from visavis.core.types import Pixels
from visavis.faces.spoken import AHEAD, Rule, straight
from visavis.faces.spoken import RULES as HELD
from visavis.training.cache import CHUNK, Column
from visavis.training.prepare import Prepared
from visavis.training.splits import Labels

OLDEST = int(NUMBERS[-1])
EMPTY, DROPPED = 0.1, 0.25  # share of captions that are empty, of parts that are left out
# Chosen by eye, on sheets of FairFace train sorted by each measure.
RULES = {
    **HELD,
    "sharpness": Rule((0.5, "blurred"), (0.9, "sharp")),
    "highlights": Rule((-2.0, "dark"), None),
    "white": Rule(None, (0.05, "bright")),
    "side": Rule((-0.8, "light from right"), (0.8, "light from left")),
    "colour": Rule((8.0, "grey"), None),
    "covered": Rule(None, (0.6, "covered")),
    "padding": Rule(None, (0.05, "padded")),
}
MIRRORED = ("yaw", "side")
STRAIGHT_ENOUGH = 20.0  # degrees of yaw up to which the halves of the picture are the halves of the face


@dataclass(frozen=True, eq=False)
class Described:
    """What captions are made of, for N faces. measures: by the names of RULES, float32 [N]; age: [low, high) in years,
    float32 [N, 2], NaN where unknown; female: 1, 0 or NaN."""

    measures: dict[str, NDArray[np.float32]]
    age: NDArray[np.float32]
    female: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.age)

    def words(self, row: int, mirrored: bool) -> list[str]:
        """The clauses that hold for a face, or for its mirror image."""
        found = []
        for name, rule in RULES.items():
            value = self.measures[name][row] * (-1 if mirrored and name in MIRRORED else 1)
            words = rule.words(value)
            if words:
                found.append(words)
        if straight(self.measures["yaw"][row], self.measures["pitch"][row]):
            found.append(AHEAD)
        return found

    def caption(self, row: int, mirrored: bool, random: Generator) -> str:
        """One of the ways to say it: parts are dropped, shuffled, put before or behind the person; sometimes empty."""
        if random.random() < EMPTY:
            return ""
        years = _years(self.age[row], random)
        person, behind = _person(years, self.female[row], random)
        clauses = [words for words in self.words(row, mirrored) if random.random() > DROPPED]
        random.shuffle(clauses)
        before = [words for words in clauses if " " not in words and random.random() < 0.5]
        after = [words for words in clauses if words not in before]
        said = " ".join([*before, person, *behind])
        said = f"{'an' if said[0] in 'aeiou' else 'a'} {said}"
        if random.random() < 0.15:
            said = f"{random.choice(['photo', 'portrait'])} of {said}"
        return ", ".join([said, *after])


def described(rows: Prepared) -> Described:
    """Of faces whose column `portrait` is made: labels with age (band or years) and gender where a set has them."""
    return describe(rows.facts, _light(rows), rows.labels)


def describe(facts: NDArray[Any], lit: NDArray[np.float32], labels: Sequence[Labels]) -> Described:
    """facts: structured [N] (FACTS of training/prepare); lit: float32 [N, 4] of `light`."""
    measures = {
        "yaw": facts["pose"][:, 0],
        "pitch": facts["pose"][:, 1],
        "eyes": facts["expression"][:, 0],
        "mouth": facts["expression"][:, 1],
        "smile": facts["expression"][:, 2],
        "sharpness": facts["quality"][:, 1],
        "covered": facts["quality"][:, 4],
        "padding": facts["padding"],
        **dict(zip(LIGHT, lit.T, strict=True)),
    }
    measures["side"] = np.where(np.abs(facts["pose"][:, 0]) < STRAIGHT_ENOUGH, measures["side"], 0)
    age = np.array([_interval(row) for row in labels], np.float32).reshape(-1, 2)
    female = np.array([{"Female": 1.0, "Male": 0.0}.get(str(row.get("gender")), np.nan) for row in labels], np.float32)
    return Described({name: np.asarray(values, np.float32) for name, values in measures.items()}, age, female)


def _light(rows: Prepared) -> NDArray[np.float32]:
    """float32 [N, 4] of every row, kept in the cache."""
    kept = Column("light", f"1 {rows.variant}".strip(), "<f4", (len(LIGHT),))
    stored = rows.column("portrait")
    missing = [key for key, at in zip(rows.keys, kept.rows(rows.keys), strict=True) if at < 0]
    for start in track(range(0, len(missing), CHUNK), "light"):
        part = missing[start : start + CHUNK]
        kept.add(part, light(stored.take(stored.rows(part))))
    return np.asarray(kept.take(kept.rows(rows.keys)))


def light(portraits: Pixels) -> NDArray[np.float32]:
    """float32 [N, 4], in the order of LIGHT, of portrait crops uint8 [N, 128, 128, 3]: highlights (stops of the
    brightest fiftieth, white being 0: a dim photo has none, whatever the skin), white (share of pixels that are
    nearly white), side (stops by which the left half of the face is brighter), colour (mean spread of the channels)."""
    made = np.zeros((len(portraits), len(LIGHT)), np.float32)
    for i, picture in enumerate(portraits):
        pixels = picture.astype(np.float32)
        stops = np.log2((pixels @ _LUMA / 255) ** 2.2 + 0.002)
        face = stops[_FACE]
        half = face.shape[1] // 2
        side = float(np.median(face[:, :half] - face[:, : half - 1 : -1]))
        spread = float((pixels.max(2) - pixels.min(2)).mean())
        made[i] = np.percentile(stops, 98), (pixels.min(2) > 235).mean(), side, spread
    return made


LIGHT = ("highlights", "white", "side", "colour")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FACE = (slice(40, 100), slice(34, 94))  # of a frontal face in the portrait frame


def _years(interval: NDArray[np.float32], random: Generator) -> int | None:
    if np.isnan(interval[0]):
        return None
    low, high = (min(OLDEST, int(np.ceil(edge))) for edge in (interval[0], interval[1] - 1))
    return int(random.integers(low, max(low, high) + 1))


def _person(years: int | None, female: float, random: Generator) -> tuple[str, list[str]]:
    """The word for the person, and how the age is said behind it."""
    sex = None if np.isnan(female) or random.random() < 0.1 else int(female)
    grown = ("man", "woman")[sex] if sex is not None else "person"
    if years is None:
        return grown, []
    if years < 3:
        word = "baby" if sex is None or random.random() < 0.6 else f"baby {('boy', 'girl')[sex]}"
    elif years < 20:
        young = "child" if years < 13 else "teenager"
        word = young if sex is None or random.random() < 0.3 else ("boy", "girl")[sex]
    else:
        word = grown
    way = random.random()
    if way < 0.6:
        return word, ["of", str(years)]
    if way < 0.75 and 20 <= years < 80:
        whose = "their" if sex is None else ("his", "her")[sex]
        return word, ["in", whose, DECADES[years // 10 - 2]]
    if way < 0.85 and years >= 20:
        stage = "young" if years < 30 else "middle aged" if 40 <= years < 60 else "old" if years >= 65 else ""
        return f"{stage} {word}".strip(), []
    return word, []


def _interval(labels: Labels) -> tuple[float, float]:
    if labels.get("age") is None:
        return np.nan, np.nan
    from visavis.training.recipes.attributes import interval

    return interval(labels)
