"""A system that another distribution could bring: it gives back the photo's own portrait frame, as asked mirrored or
as somebody else's. Written into a folder with the entry point that makes it known."""

from __future__ import annotations

from pathlib import Path

CARD = """
from dataclasses import dataclass

from visavis.core.card import Card, Claim
from visavis.core.task import option


@dataclass(frozen=True)
class Options:
    mirror: bool = option(False, "turn the picture over")
    strength: float = option(1.0, "how much of the photo is kept", low=0, high=1)
    twice: bool = option(False, "the face stands there twice")


CARD = Card(
    slug="toy",
    title="A copy",
    paper="arXiv 0000.00000",
    tasks=("create.portrait", "create.identity"),
    idea="The nearest to a person is the photo itself.",
    limits="It makes nothing.",
    options=Options,
    most_people=2,
    claim=Claim("Is a copy a copy?", ("copy", "grey"), "likeness", "yes", made=(("toy",), ("toy", "strength=0"))),
)
"""

USE = """
import numpy as np

from visavis.core.card import Drawn, Invented
from visavis.core.errors import InputError


class Ready:
    terms = "permissive"

    def __init__(self, options):
        self.options = options

    def check(self, asked):
        if not isinstance(asked, Invented) and "dragon" in asked.prompt:
            raise InputError("toy knows no dragons.")

    def __call__(self, asked, seed, progress):
        if isinstance(asked, Invented):
            for i in range(asked.n * asked.photos):
                shade = (seed + i // asked.photos) % 256
                yield Drawn(np.full((128, 128, 3), shade, np.uint8))
            return
        for i in range(asked.n):
            frame = asked.people[0][0].crop("portrait").pixels.astype(float)
            keep = self.options.strength
            made = np.rint(keep * frame + (1 - keep) * 128).astype(np.uint8)
            made = np.concatenate([made, made], 1) if self.options.twice else made
            progress((i + 1) / asked.n)
            yield Drawn(made[:, ::-1] if self.options.mirror else made, notes=("a copy",))


def load(spec):
    return Ready(spec.options)
"""


def write_toy(folder: Path, card: str = CARD, use: str = USE) -> Path:
    """The folder to put on the path."""
    package, facts = folder / "toy_system", folder / "toy_system-1.0.dist-info"
    package.mkdir(parents=True)
    facts.mkdir()
    (package / "__init__.py").touch()
    (package / "card.py").write_text(card)
    (package / "use.py").write_text(use)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-system\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[visavis.systems]\ntoy = toy_system.card:CARD\n")
    return folder
