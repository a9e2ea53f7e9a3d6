"""What likeness costs in obedience: a system at several places of its dial, on people left out of its training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.bench.canvas import see
from visavis.bench.figures import Figure, bootstrap, results_folder
from visavis.bench.obeyed import judged, obeyed
from visavis.bench.people import Gallery, Somebody, cosines, gallery
from visavis.core import registry
from visavis.core.card import Card, Spec
from visavis.core.errors import missing_extra
from visavis.core.task import forms_of
from visavis.core.types import Floats
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
        found, right = cosines(made, shown), answers(made, list(prompts) * len(shown), card.slug)
        figures.append(
            Figure(f"{name}.likeness", found.likeness(), *found.interval(), "likeness", "higher", len(shown))
        )
        figures.append(Figure(f"{name}.prompt_accuracy", float(right.mean()), *bootstrap(right), n=len(right)))
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


def answers(made: Gallery, captions: list[str], name: str) -> Floats:
    """1 or 0 for each question of the captions, one for each picture, that a picture with a face was put to."""
    pictures = np.stack([picture for theirs in made.pictures for picture in theirs])
    found = obeyed(judged(see(pictures, f"{name}: looking"), captions))
    return np.concatenate([a.right.astype(np.float32) for a in found.values()])


def draw(places: Sequence[Place], plain: Sequence[Place]) -> None:
    """results/create_trade.png: a line for each system along its dial, a point for each plain way."""
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Drawing the trade") from error
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes: Any = canvas.subplots()
    for slug in dict.fromkeys(place.slug for place in places):
        along = [place for place in places if place.slug == slug]
        axes.plot([p.obeyed for p in along], [p.likeness for p in along], "o-", label=slug)
        for place in along:
            axes.annotate(f"{place.value:g}", (place.obeyed, place.likeness), fontsize=7)
    for place in plain:
        axes.plot(place.obeyed, place.likeness, "s", label=place.slug)
    axes.set(xlabel="share of what the prompt asks that is seen", ylabel="likeness")
    axes.grid(alpha=0.3)
    axes.legend()
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=120)
    write_bytes(results_folder() / "create_trade.png", out.getvalue())
