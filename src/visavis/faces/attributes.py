"""What a face looks like: age, expression in words, and, for measuring bias alone, labels as a data set gives them.

An age is what the face looks like ("looks about 40"), never what it is. Gender presentation and race are FairFace's
labels: they exist to measure how well something works for whom, and nothing shows them unasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.types import Age, Face, Floats, Pixels

RACES = ("White", "Black", "East Asian", "Southeast Asian", "Indian", "Middle Eastern", "Latino_Hispanic")
NETWORK = "attributes"
BATCH = 32
EYES_OPEN, SMILES, MOUTH_OPEN = 0.35, 0.5, 0.35
# Scales around the middle within which two thirds of other photos lie (adults of UTKFace's train split); by the
# network's own account, a logistic distribution, 1.61 would do.
TWO_THIRDS = 2.33


@dataclass(frozen=True)
class Labels:
    """Shares 0..1 as FairFace labels such faces; for measuring bias only. female: of the label Female."""

    female: float
    race: dict[str, float]

    @property
    def words(self) -> str:
        """The likelier labels: "Male 0.97, Black 0.88"."""
        sex, share = ("Female", self.female) if self.female >= 0.5 else ("Male", 1 - self.female)
        race = max(self.race, key=lambda name: self.race[name])
        return f"{sex} {share:.2f}, {race} {self.race[race]:.2f}"


def ages(faces: Sequence[Face]) -> list[Age]:
    """The age that each face looks like; each face remembers its own."""
    missing = [face for face in faces if "age" not in face.__dict__]
    for face, row in zip(missing, _run(_portraits(missing), NETWORK)[0], strict=True):
        face.__dict__["age"] = _age(*row)
    return [face.age for face in faces]


def bias_labels(faces: Sequence[Face]) -> list[Labels]:
    """Gender presentation and race as FairFace would label each face: to measure bias, for nothing else."""
    _, gender, race = _run(_portraits(faces), NETWORK)
    rows = zip(gender, race, strict=True)
    return [Labels(float(g), dict(zip(RACES, map(float, r), strict=True))) for g, r in rows]


def raw(portraits: Pixels, network: str = NETWORK) -> tuple[Floats, Floats, Floats]:
    """age [N, 2] (middle and scale of a logistic distribution in years), share of the label Female [N], shares of
    RACES [N, 7], of portrait crops uint8 [N, 128, 128, 3]."""
    return _run(portraits, network)


def expression_words(face: Face) -> tuple[str, ...]:
    """What the mesh says of the expression: whether the eyes are open, and smile and open mouth where there are."""
    words = ["eyes open" if face.eyes_open >= EYES_OPEN else "eyes closed"]
    words += ["smiles"] if face.smile >= SMILES else []
    words += ["mouth open"] if face.mouth_open >= MOUTH_OPEN else []
    return tuple(words)


def _age(middle: float, scale: float) -> Age:
    reach = TWO_THIRDS * float(scale)
    return Age(max(0.0, float(middle)), max(0.0, float(middle) - reach), max(0.0, float(middle) + reach))


def _portraits(faces: Sequence[Face]) -> Pixels:
    crops = [face.crop("portrait").pixels for face in faces]
    return np.stack(crops) if crops else np.empty((0, 128, 128, 3), np.uint8)


def _run(portraits: Pixels, network: str) -> tuple[Floats, Floats, Floats]:
    session = onnx_session(weights.path(network))
    parts = [np.ascontiguousarray(portraits[i : i + BATCH]) for i in range(0, len(portraits), BATCH)]
    made = [session.run(["age", "gender", "race"], {"crops": part}) for part in parts]
    empty = (np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty((0, len(RACES)), np.float32))
    age, gender, race = (np.concatenate([empty[k], *(part[k] for part in made)]) for k in range(3))
    return age, gender, race
