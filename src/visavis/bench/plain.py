"""Plain ways to portraits of a person, which systems are compared with: nano told what one would tell of somebody, and
nano tuned on the photo."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from visavis.core.card import Asked, Drawn, Progress
from visavis.core.catalogue import Terms
from visavis.core.types import Face
from visavis.faces.attributes import raw

TUNED = 30.0  # seconds for each person


class Told:
    """The plain baseline: nano, told the person's gender presentation and age alone."""

    terms: Terms = "permissive"

    def __init__(self, base: Any) -> None:
        self.base = base

    def check(self, asked: Asked) -> None:
        self.base.check(asked.prompt)

    def __call__(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        age, female, _ = raw(asked.people[0][0].crop("portrait").pixels[None])
        yield from self.drawn(asked, seed, "a woman" if female[0] > 0.5 else "a man", round(float(age[0, 0])))

    def drawn(self, asked: Asked, seed: int, who: str, years: int) -> Iterator[Drawn]:
        said = asked.prompt.replace("a person", who)
        if who not in said:
            said = f"{who} of {years}, {said}"
        for picture in self.base.pictures(said, asked.n, seed=seed, steps=asked.steps, guidance=asked.guidance):
            yield Drawn(picture)


class Tuned(Told):
    """Tuned on the one photo, half a minute for each person in turn."""

    def __init__(self, base: Any) -> None:
        super().__init__(base)
        self.untuned, self.steps = base, list[int]()
        self.face: Face | None = None

    def drawn(self, asked: Asked, seed: int, who: str, years: int) -> Iterator[Drawn]:
        from visavis.bases.nano.tuned import tuned

        face, named = asked.people[0][0], who.replace("a ", "an id ")
        if face is not self.face:
            portrait, caption = face.crop("portrait").pixels, f"{named} of {years}"
            pipeline, steps = tuned(self.untuned.pipeline, portrait, caption, TUNED)
            self.base, self.face = dataclasses.replace(self.untuned, pipeline=pipeline), face
            self.steps.append(steps)
        yield from super().drawn(asked, seed, named, years)
