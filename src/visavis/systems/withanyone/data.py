"""What WithAnyone learns from: faces with a reference and a gallery, alone or two on a canvas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.bases.nano import folder as nano
from visavis.bases.nano import teach
from visavis.bases.nano.train import maps, tokens
from visavis.bases.nano.words import END, LENGTH, PAD, START, WORDS
from visavis.core.errors import InputError
from visavis.faces import align
from visavis.systems.withanyone import boxes
from visavis.training.data import Order
from visavis.training.loop import Batch, Schedule
from visavis.training.prepare import FRAMES, Prepared

SIZE = align.SIZES["portrait"]
MOST_PAIRS = 4  # of a person
EMPTY = tokens(nano.tokenizer(), [""])


class People(teach.People):
    """Adds, of n faces (2 on a canvas): `vectors` and `shown` [B, n, 128], of target and reference, `places`
    [B, n, 16, 256] of the reference, `to_chip` [B, n, 2, 3] from the target's pixels to recogniser A's chip, `people`
    [B, n] by number, and the gallery, vectors [M, 128] and people [M].

    single: so many rows, from the first on, are not of the set of pairs; paired: the reference is another photo, not
    the target; canvas: two faces side by side; negatives: so many vectors of the gallery are drawn for each step
    """

    def __init__(
        self,
        rows: Prepared,
        schedule: Schedule,
        coder: Any,
        digest: str,
        aligned: bool = False,
        *,
        single: int,
        paired: bool,
        canvas: bool,
        negatives: int,
    ) -> None:
        if rows.variant == FRAMES:
            raise InputError(f"{rows.name} is a pack of frames: withanyone needs the whole mesh of each face.")
        super().__init__(rows, schedule, coder, digest, aligned)
        self.canvas, self.negatives = canvas, negatives
        self.read = maps(rows)
        self.read_at = self.read.rows(rows.keys)
        self.read.warm()
        _, self.numbers = np.unique(rows.persons, return_inverse=True)
        couples = _couples(rows, single)
        self.reference = np.arange(len(rows))
        if paired:
            for theirs in couples:
                self.reference[theirs] = np.roll(theirs, -1)
        if 0 < single < len(rows):
            self.order = Halves(single, [theirs[:MOST_PAIRS] for theirs in couples], schedule)

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        random = np.random.default_rng([self.schedule.seed, step, rank, 1])
        count = min(self.negatives, len(self.vectors))
        drawn = random.choice(len(self.vectors), count, replace=False, shuffle=False)
        others = {"gallery": torch.from_numpy(self.vectors[drawn]), "others": torch.from_numpy(self.numbers[drawn])}
        return {**super().__call__(step, rank, world), **others}

    def batch(self, rows: NDArray[np.int64], random: np.random.Generator) -> dict[str, Tensor]:
        made = super().batch(rows, random)
        return side_by_side(made) if self.canvas else made

    def also(self, rows: NDArray[np.int64], mirrored: NDArray[np.int64]) -> dict[str, Tensor]:
        shown = self.reference[rows]
        read = self.read.take(self.read_at[shown])[np.arange(len(rows)), mirrored].astype(np.float32)
        made = {
            "shown": self.vectors[shown],
            "places": read.reshape(*read.shape[:2], -1).swapaxes(1, 2),
            "people": self.numbers[rows],
        }
        told = super().also(rows, mirrored)
        alone = {"to_chip": told["to_chip"], "vectors": told["vectors"][:, None]}
        return alone | {name: torch.from_numpy(np.ascontiguousarray(values))[:, None] for name, values in made.items()}


class Halves(Order):
    """Rows of each step, half of them single photos, half targets of pairs: every person comes as often.

    couples: targets of each person
    """

    def __init__(self, single: int, couples: list[NDArray[np.int64]], schedule: Schedule) -> None:
        paired = schedule.batch // 2
        super().__init__(single, schedule.batch - paired, schedule.seed)
        self.couples, self.people = couples, Order(len(couples), paired, schedule.seed)

    def __call__(self, step: int, rank: int = 0, world: int = 1) -> NDArray[np.int64]:
        random = np.random.default_rng([self.seed, step, rank, 2])
        targets = [random.choice(self.couples[person]) for person in self.people(step, rank, world)]
        return np.concatenate([super().__call__(step, rank, world), np.array(targets, np.int64)])


def side_by_side(made: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch of faces as one of canvases: on the right of each face stands that of half a batch later."""
    count = len(made["latents"])
    beside = {name: values.roll(-(count // 2), 0) for name, values in made.items()}
    whole = {name: torch.cat([made[name], beside[name]], 1) for name in ("vectors", "shown", "places", "people")}
    whole |= {name: torch.cat([made[name], beside[name]], 3) for name in ("latents", "inside", "maps") if name in made}
    moved = beside["to_chip"].clone()
    moved[..., 2] -= SIZE * moved[..., 0]
    return whole | {
        "tokens": torch.stack([_joined(*both) for both in zip(made["tokens"], beside["tokens"], strict=True)]),
        "to_chip": torch.cat([made["to_chip"], moved], 1),
        "boxes": boxes.columns(2, 2 * SIZE, SIZE).expand(count, -1, -1),
    }


def _joined(left: Tensor, right: Tensor) -> Tensor:
    """Two captions [32] with "and" between them; nothing where one of them says nothing."""
    said = [[int(i) for i in ids if i not in (PAD, START, END)] for ids in (left, right)]
    words = [*said[0], WORDS.index("and"), *said[1]] if all(said) else []
    ids = [START, *words[: LENGTH - 2], END]
    return torch.tensor(ids + [PAD] * (LENGTH - len(ids)))


def _couples(rows: Prepared, single: int) -> list[NDArray[np.int64]]:
    """Rows of each person of the set of pairs who has several, in the order of their keys."""
    theirs: dict[str, list[int]] = {}
    for row in sorted(range(single, len(rows)), key=lambda i: rows.keys[i]):
        theirs.setdefault(str(rows.persons[row]), []).append(row)
    return [np.array(found) for _, found in sorted(theirs.items()) if len(found) > 1]


def joined(one: Prepared, other: Prepared) -> Prepared:
    """The rows of both."""
    if one.variant != other.variant:
        raise InputError(f"{one.name} and {other.name} are not both of photos.")
    return replace(
        one,
        keys=one.keys + other.keys,
        labels=one.labels + other.labels,
        persons=np.concatenate([one.persons, other.persons]),
        splits=np.concatenate([one.splits, other.splits]),
        facts=np.concatenate([one.facts, other.facts]),
    )
