"""People whom nobody has met, each on several pictures: how alike the judge finds these, and marked like all that is
made."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from visavis.core import registry, weights
from visavis.core.card import Card, Drawn, Invented, Progress, Ready, Spec
from visavis.core.errors import InputError
from visavis.core.task import check
from visavis.core.tasks import CreateIdentity
from visavis.faces.analyse import needs
from visavis.faces.frame import found_in
from visavis.faces.judge import JUDGES
from visavis.run import mark, provenance
from visavis.run.likeness import ANCHORS, alike
from visavis.run.output import Made
from visavis.run.runner import chosen_options, elsewhere, facts_of, loaded, needs_weights


@dataclass(frozen=True, eq=False)
class MadeUp:
    """A made-up person. alike: of the pictures to each other, by the judge: 0 = as strangers, 1 = as two photos of one
    person usually are; None where fewer than two of them show a face."""

    seed: int
    pictures: tuple[Made, ...]
    alike: float | None

    @property
    def words(self) -> str:
        told = "not judged" if self.alike is None else f"{self.alike:.2f} alike"
        return f"person {self.seed}: {len(self.pictures)} pictures, {told}"


@dataclass(frozen=True, eq=False)
class Run:
    """A run that is ready; `people` makes one after the other. notes: a sentence on a base that the system did not
    learn on."""

    card: Card
    asked: Invented
    ready: Ready
    seed: int
    notes: tuple[str, ...]
    facts: dict[str, Any]

    def people(self, progress: Progress = lambda share: None) -> Iterator[MadeUp]:
        """Each as soon as all of their pictures are made."""
        drawn = iter(self.ready(self.asked, self.seed, progress))
        for number in range(self.asked.n):
            yield self._person(self.seed + number, list(itertools.islice(drawn, self.asked.photos)))

    def _person(self, seed: int, drawn: Sequence[Drawn]) -> MadeUp:
        frames = [found_in(one.pixels, one.frame) for one in drawn]
        value = alike([frame for frame in frames if frame is not None])
        facts = self.facts | {
            "seed": seed,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "alike": None if value is None else {"alike": value, "judge": JUDGES[0]},
        }
        pictures = (
            Made(mark.embed(one.pixels), seed, None, one.notes, facts | {"photo": i, "notes": list(one.notes)})
            for i, one in enumerate(drawn)
        )
        return MadeUp(seed, tuple(pictures), value)


def identities(inputs: CreateIdentity, options: Mapping[str, Any] | None = None) -> Run:
    """A run of `create.identity`. options: of the system, by name.

    Raises InputError for what the system cannot do or lacks, RefusedError where its terms are not allowed.
    """
    check(inputs)
    card = registry.card(inputs.system)
    if "create.identity" not in card.tasks:
        able = ", ".join(one.slug for one in registry.systems_for("create.identity"))
        raise InputError(f"{card.slug} makes up nobody; {able or 'no system here'} does.")
    chosen = chosen_options(card, options or {})
    provenance.ready()
    weights.fetch([*needs("yunet"), *JUDGES, ANCHORS])
    needs_weights(card)
    spec = Spec(inputs.base or card.base, chosen)
    ready = loaded(card, spec)
    asked = Invented(inputs.n, inputs.photos, inputs.steps, inputs.guidance)
    ready.check(asked)
    facts = facts_of("create.identity", card, spec, ready, inputs)
    return Run(card, asked, ready, inputs.seed, elsewhere(card, spec), facts)
