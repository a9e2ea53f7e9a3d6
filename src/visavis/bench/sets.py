"""The strangers and people of calibration, with what is known of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.recogniser import Recogniser
from visavis.bench.strangers import Group, Pairs, interval, pair_up
from visavis.bench.vectors import VectorSet, data_folder, vector_set
from visavis.faces.score import Cohort

SEED = 0
CHILDREN = ("0-2", "3-9")
YOUNG = (*CHILDREN, "10-19")
# Pairs of FairFace val that show the same person twice: the first of each pair is left out.
DOUBLES = ("4206", "3474", "497", "2557", "4481", "2615", "1095")
HELD_BACK = 5  # every fifth photo of FairFace train, by hash


@dataclass(frozen=True, eq=False)
class Sets:
    """fit: FairFace train for cohort and child; held, val: strangers for the table; celeba: people on many photos."""

    fit: VectorSet
    held: VectorSet
    val: VectorSet
    celeba: VectorSet


def load_sets(recogniser: Recogniser) -> Sets:
    """The sets from VISAVIS_DATA, without photos on which no face was found."""
    columns = ("age", "gender", "race", "file")
    train = vector_set("fairface", [f"fairface_train_0{i}.parquet" for i in range(4)], columns, recogniser)
    val = vector_set("fairface", ["fairface_val_00.parquet"], columns, recogniser)
    celeba = vector_set("identity", ["celeba_identity.parquet"], ("name", "file"), recogniser)
    test = set(json.loads((data_folder("identity") / "split.json").read_text())["test"])
    held = hashed(train.labels["file"], HELD_BACK)
    doubles = np.isin(val.labels["file"], [f"val/{number}.jpg" for number in DOUBLES])
    return Sets(
        fit=train.take(train.found & ~held),
        held=train.take(train.found & held),
        val=val.take(val.found & ~doubles),
        celeba=celeba.take(celeba.found & ~np.isin(celeba.labels["name"], list(test))),
    )


@dataclass(frozen=True, eq=False)
class FairFaces:
    """The strangers of FairFace that no model was fitted on, with their labels."""

    group: Group
    race: NDArray[Any]
    age: NDArray[Any]

    @staticmethod
    def of(sets: Sets, cohort: Cohort) -> FairFaces:
        both = [sets.val, sets.held]
        vectors = np.concatenate([s.vectors for s in both])
        group = Group(vectors, cohort.statistics(vectors), np.arange(len(vectors)))
        race, age = (np.concatenate([s.labels[name] for s in both]) for name in ("race", "age"))
        return FairFaces(group, race, age)

    def groups(self) -> list[Pairs]:
        """Pairs within one of the seven origin groups, people from 20 on."""
        adult = ~np.isin(self.age, YOUNG)
        return [self._within(str(name), adult & (self.race == name)) for name in np.unique(self.race)]

    def bands(self) -> list[Pairs]:
        return [self._within(f"{band} years", self.age == band) for band in CHILDREN]

    def children(self) -> Pairs:
        return self._within("children", np.isin(self.age, CHILDREN))

    def _within(self, name: str, rows: NDArray[np.bool_]) -> Pairs:
        units = np.arange(int(rows.sum()))
        chosen = self.group.take(rows)
        return pair_up(name, Group(chosen.vectors, chosen.statistics, units))

    def at(self, score: float) -> list[dict[str, Any]]:
        """The rate of each group at one score, with its 95 % interval."""
        threshold = np.array([score])
        rows = []
        for pairs in (*self.groups(), *self.bands()):
            drawn = pairs.bootstrap(threshold, seed=SEED)[:, 0]
            low, high = interval(drawn)
            found = float(pairs.rate(threshold)[0])
            rows.append({"group": pairs.name, "rate": found, "low": low, "high": high, "pairs": pairs.total})
        return rows


def hashed(names: NDArray[Any], parts: int) -> NDArray[np.bool_]:
    """One part of the names, by hash: the same on every machine."""
    return np.array([int(hashlib.sha256(str(name).encode()).hexdigest()[:8], 16) % parts == 0 for name in names], bool)


def group_of(rows: VectorSet, cohort: Cohort, unit: str | None = None) -> Group:
    units = np.unique(rows.labels[unit], return_inverse=True)[1] if unit else np.arange(len(rows))
    return Group(rows.vectors, cohort.statistics(rows.vectors), units)
