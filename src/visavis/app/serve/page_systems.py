"""The systems on the page: their cards, and each claim as a small plot."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from visavis.app.serve import page_words as say
from visavis.app.systems import facts as facts_of
from visavis.app.systems import figure_words
from visavis.bench.claims import Finding, finding
from visavis.bench.figures import measured_folder
from visavis.core import registry
from visavis.core.card import Card
from visavis.core.errors import InputError

WIDTH, HEIGHT, EDGE = 300, 58, 12  # of a plot
VERDICTS = {"holds": "holds here", "null": "no difference shown here", "reversed": "reversed here"}


def cards() -> str:
    """All cards; made anew when asked, since claims and weights come while a server runs."""
    made = [_card(card) for card in registry.cards().values()]
    return f'<div class="vv vv-cards">{"".join(made)}</div>' if made else say.status("No system is installed.")


def _card(card: Card) -> str:
    row = facts_of(card)
    size = f", {row['bytes'] / 1e6:.0f} MB" if row["bytes"] else ""
    facts = [
        ("Does", ", ".join(card.tasks)),
        ("Base", card.base or "none"),
        *([("Trained on", row["trained_on"])] if row["bytes"] else ()),
        *((f"Measured {figure_words(one['name'])}", f"{one['value']:.3g}") for one in row["figures"]),
    ]
    return (
        f'<article class="vv-card" aria-label="{escape(card.slug)}"><h3>{escape(card.slug)}</h3>'
        f"{say.paragraph(f'{card.title}. {card.paper}', 'vv-soft')}{say.paragraph(card.idea)}"
        f"{say.paragraph(f'Limits: {card.limits}')}{say.paragraph('Weights: ' + row['terms'] + size, 'vv-soft')}"
        f"{_claim(card)}<details><summary>Facts, and what can be turned</summary>"
        f"{_listed(facts)}{_listed(row['options'].items())}</details></article>"
    )


def _listed(rows: Iterable[tuple[str, str]]) -> str:
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return f"<dl>{listed}</dl>" if listed else ""


def _claim(card: Card) -> str:
    claim = card.claim
    if claim is None:
        return ""
    question = say.paragraph(claim.question)
    arms = say.paragraph(f"With: {claim.arms[0]}; without: {claim.arms[1]}. The paper: {claim.expected}.", "vv-soft")
    results = measured_folder()
    if results is None:
        return f"<h4>Claim</h4>{question}{arms}{say.paragraph('Nothing was measured in this installation.')}"
    found = _found(results / "claims" / f"{card.slug}.json")
    if found is None:
        return f"<h4>Claim</h4>{question}{arms}{say.paragraph('Here: not measured yet.')}"
    price = say.paragraph(found.price.capitalize()) if found.price else ""
    return f"<h4>Claim: {escape(VERDICTS[found.verdict])}</h4>{question}{plot(found)}{price}{arms}"


def _found(path: Path) -> Finding | None:
    try:
        return finding(path) if path.is_file() else None
    except (OSError, ValueError, LookupError, StopIteration, InputError):  # a file that is being written, or another's
        return None


def plot(found: Finding) -> str:
    """The effect as a bar from zero, its 95 % interval as a line over it."""
    reach = 1.1 * max(abs(found.low), abs(found.high), abs(found.effect), 1e-9)

    def x(value: float) -> float:
        return EDGE + (value / reach + 1) / 2 * (WIDTH - 2 * EDGE)

    zero, at, low, high = x(0), x(found.effect), x(found.low), x(found.high)
    measure = found.measure.replace("_", " ")
    said = f"Effect on {measure} {found.effect:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f}"
    marks = (
        f'<rect class="vv-bar" x="{min(zero, at):.1f}" y="14" width="{abs(at - zero):.1f}" height="16"/>'
        f'<path class="vv-interval" d="M{low:.1f} 22H{high:.1f}M{low:.1f} 17v10M{high:.1f} 17v10"/>'
        f'<path class="vv-zero" d="M{zero:.1f} 8v28"/>'
        f'<text x="{EDGE}" y="52">less {escape(measure)}</text>'
        f'<text x="{zero:.1f}" y="52" text-anchor="middle">0</text>'
        f'<text x="{WIDTH - EDGE}" y="52" text-anchor="end">more {escape(measure)}</text>'
    )
    return (
        f'<figure class="vv-plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">{marks}'
        f"</svg><figcaption>{escape(said)}</figcaption></figure>"
    )
