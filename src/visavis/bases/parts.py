"""What a create system's pictures are made of, for the system itself and for those that make its pictures better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from visavis.bases.sampling import pictures
from visavis.blocks.diffusion.sample import Conditions, Network
from visavis.core.card import Asked, Drawn, Progress


class Told(Protocol):
    def __call__(self, part: slice, prompt: str, identity: bool = True) -> Sequence[Conditions]:
        """The ladder of conditions (blocks/diffusion/sample.py) of some of the pictures under a prompt. Without
        identity the same tensors say nothing of the person, and everything else stays: the points, the words."""
        ...


@dataclass(frozen=True, eq=False)
class Parts:
    """pipeline: of the base, whose scheduler and decoder are used and whose UNet `network` calls; network: predicts
    under what `told` gives; guidance: one number less than a ladder has conditions; notes: on each picture, for
    people; wide: how many of the base's own pictures lie side by side in one, which is a portrait frame at 1."""

    pipeline: Any
    network: Network
    told: Told
    guidance: tuple[float, ...]
    notes: Sequence[tuple[str, ...]]
    wide: int = 1

    def drawn(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        """The pictures that were asked for; picture i follows from seed + i alone."""

        def told(part: slice) -> Sequence[Conditions]:
            return self.told(part, asked.prompt)

        seeds, how = range(seed, seed + asked.n), {"steps": asked.steps, "wide": self.wide, "progress": progress}
        made = pictures(self.pipeline, self.network, told, seeds, self.guidance, **how)  # type: ignore[arg-type]
        for picture, notes in zip(made, self.notes, strict=True):
            yield Drawn(picture, self.wide == 1, notes)


class Foundation(Protocol):
    """A loaded create system that stands on an intact base: with its identity switched off it is (nearly) that base,
    and hears the prompt as the base does. One that tunes the base itself offers no such thing."""

    def parts(self, asked: Asked, seed: int) -> Parts:
        """The parts of `asked.n` pictures from `seed` on; `asked` has passed the system's own check."""
        ...
