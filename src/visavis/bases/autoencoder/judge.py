"""The judge's training (training/recipes/judge.py), where a share of the photos may be seen through the autoencoder.

All pictures that it judges come out of one, and it shall not take that one's texture for a person's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.bases.autoencoder.latents import decoded, load
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.types import Pixels
from visavis.training.loop import Plan
from visavis.training.prepare import Prepared
from visavis.training.recipes import judge
from visavis.training.recipes.judge import Step, build, made_up, ship, terms

__all__ = ["CONFIG", "Config", "Step", "build", "made_up", "pinned", "plan", "ship", "terms"]


@dataclass(frozen=True)
class Config(judge.Config):
    """decoded: share of views of the first `frames` photos that were through the autoencoder; autoencoder: as for
    `latents.load`. The teacher's answer stays the one on the photo."""

    decoded: float = 0.0
    frames: int = 8_192
    autoencoder: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, decoded=(0, 1), frames=(1, 1e9))
        if self.autoencoder and not self.decoded:
            raise InputError("autoencoder goes with decoded=SHARE.")


CONFIG = Config()


def plan(config: Config) -> Plan:
    return judge.plan(config, Faces if config.decoded else judge.Faces)


def pinned(config: Config) -> dict[str, str]:
    return {"autoencoder_digest": load(config.autoencoder)[1]} if config.decoded else {}


class Faces(judge.Faces):
    def __init__(self, rows: Prepared, config: Config, answers: list[NDArray[np.float16]]) -> None:
        super().__init__(rows, config, answers)
        first = rows.take(np.arange(min(config.frames, len(rows))))
        self.share, self.decoded = config.decoded, decoded(first, *load(config.autoencoder))
        self.there = self.decoded.rows(rows.keys)
        self.decoded.warm()

    def portrait(self, row: int, random: np.random.Generator) -> Pixels:
        if self.there[row] >= 0 and random.random() < self.share:
            return np.asarray(self.decoded.array()[self.there[row]])
        return super().portrait(row, random)
