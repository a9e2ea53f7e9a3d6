"""What likeness costs in obedience: a system at several places of its dial, on people left out of its training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.bench.figures import Figure, results_folder
from visavis.bench.obeyed import followed
from visavis.bench.people import Somebody, cosines, gallery
from visavis.core import registry
from visavis.core.card import Card, Spec
from visavis.core.errors import missing_extra
from visavis.core.task import forms_of
from visavis.media.write import write_bytes

PLACES = 4  # of the dial, from its lowest number to its highest


@dataclass(frozen=True)
class Place:
    """A system at one place of its dial."""

    slug: str
    value: float
    likeness: float
    obeyed: float


def trade(card: Card, base: str, shown: Sequence[Somebody], prompts: Sequence[str]) -> list[Figure]:
    """One picture of each person and prompt at each place of the dial that the card names."""
    figures = list[Figure]()
    for name, value in _along(card):
        ready = registry.part(card.slug, "use").load(Spec(base, card.options(**{card.dial: value})))
        made = gallery(ready, shown, prompts, 1)
        found, right, n = cosines(made, shown), followed(made, prompts), len(shown)
        figures.append(Figure(f"{name}.likeness", found.likeness(), *found.interval(), "likeness", "higher", n))
        figures.append(Figure(f"{name}.prompt_accuracy", right.value(), *right.interval(), n=n))
    return figures


def places(card: Card, values: Mapping[str, float]) -> list[Place]:
    """Of what `trade` measured, by the names of the figures."""
    return [
        Place(card.slug, value, values[f"{name}.likeness"], values[f"{name}.prompt_accuracy"])
        for name, value in _along(card)
    ]


def _along(card: Card) -> Iterator[tuple[str, float]]:
    """Places of the dial, each with its name among figures."""
    (form,) = (form for name, _, form in forms_of(card.options) if name == card.dial)
    assert form.low is not None and form.high is not None
    for value in np.linspace(form.low, form.high, PLACES).round(2).tolist():
        yield f"{card.slug}.{card.dial}_{value:g}", value


def draw(turned: Sequence[Place], plain: Sequence[Place]) -> None:
    """results/create_trade.png: a square for each way as it is, a line for those that have a dial."""
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Drawing the trade") from error
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes: Any = canvas.subplots()
    for number, place in enumerate(plain):
        along = [one for one in turned if one.slug == place.slug]
        axes.plot([p.obeyed for p in along], [p.likeness for p in along], "o-", color=f"C{number}")
        for one in along:
            axes.annotate(f"{one.value:g}", (one.obeyed, one.likeness), fontsize=7)
        axes.plot(place.obeyed, place.likeness, "s", color=f"C{number}", label=place.slug)
    axes.set(xlabel="share of what the prompt asks that is seen", ylabel="likeness")
    axes.set_title("lines: a dial turned, validation people; squares: as they are, test people", fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=120)
    write_bytes(results_folder() / "create_trade.png", out.getvalue())
