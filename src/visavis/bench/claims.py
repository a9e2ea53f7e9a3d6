"""`visavis claim SLUG`: does a paper's one idea hold here? Two arms, with and without it, alike in everything else.

Both arms are trained from the same base with two seeds each and judged on people whom no training saw; the interval of
the effect comes from drawing people and seeds anew. Holds: no zero inside, and the same sign with both seeds. What is
measured is likeness, `obeyed`, the share of what a prompt asks that is seen, or `copy_paste`, which the idea makes
smaller. A system that learns nothing is compared with another one, and only people are drawn anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.bench.arms import SEEDS, losses, trained
from visavis.bench.figures import Better, Figure, results_folder, values_of, write
from visavis.bench.obeyed import followed
from visavis.bench.pairs import Pair, copying, pairs
from visavis.bench.people import DRAWS, RESEARCH, Somebody, cosines, drawn_people, gallery, people
from visavis.bench.plain import Told
from visavis.core import registry
from visavis.core.card import STEPS, Card, Claim, Ready, Spec
from visavis.core.config import changed
from visavis.core.errors import InputError
from visavis.core.progress import say

SAMPLES, NOISES = 20_000, 2
QUICK = 64  # samples that show that it runs, not what it finds
BETTER: dict[str, Better] = {"copy_paste": "lower", "sim_ref": "neither"}  # of the measures; higher unless named
PRICE = "likeness to the other photo"
MARGIN = 0.02  # of cosine, by which likeness to the other photo may fall
Verdict = Literal["holds", "null", "reversed"]


class Measured(Protocol):
    """What one arm and seed came to. people: how many; value: weights [P] say how often each counts."""

    @property
    def people(self) -> int: ...

    def value(self, weights: NDArray[np.float64] | None = None) -> float: ...


Arms = Sequence[Sequence[Mapping[str, Measured]]]
"""With the idea and without it; of each training seed, by the names of the measures."""


def run(slug: str, quick: bool = False, settings: Sequence[str] = ()) -> Path:
    """Trains what is not trained yet, measures, writes results/claims/SLUG.json. settings: KEY=VALUE of both arms'
    training; base=NAME holds for systems that learn nothing, too.

    quick: a few samples and people, written beside as SLUG-quick. Raises InputError for a system without a claim.
    """
    started, card = time.time(), registry.card(slug)
    claim = card.claim
    if claim is None or not (card.trains or any(claim.made)):
        raise InputError(f"{slug} has no claim.")
    samples = QUICK if quick else SAMPLES
    if card.trains:
        _budget(card, samples)
    shown, notes = _shown(claim, 4 if quick else 0)
    arms = list[list[dict[str, Measured]]]()
    noises = 1 if quick else NOISES
    for arm, ready, told in _loaded(card, claim, settings, samples):
        measured, said = _measured(ready, claim, shown, noises)
        if arm == len(arms):
            arms.append([])
        arms[arm].append(measured)
        said += [told] if told else []
        notes += [f"{claim.arms[arm]}, seed {len(arms[arm]) - 1}: {sentence}" for sentence in said]
    said = [f"verdict: {decided(claim.measure, arms)}", claim.question]
    said += [f"with: {claim.arms[0]}; without: {claim.arms[1]}", claim.expected]
    if "sim_gt" in arms[0][0]:
        _, low, _ = _effects("sim_gt", arms)
        inferior = "is non-inferior" if low > -MARGIN else "is not shown to be non-inferior"
        notes.append(f"{PRICE} {inferior}: lower end {low:.3f}, margin {-MARGIN}")
    figures = [figure for name in arms[0][0] for figure in _figures(name, arms, name != claim.measure)]
    if claim.measure == "obeyed":
        figures.append(_foundation(card, claim, settings, shown, noises))
    name = f"claims/{slug}-quick" if quick else f"claims/{slug}"
    notes += [f"pictures of {STEPS} steps", RESEARCH]
    notes.append(f"{samples} samples an arm and seed" if card.trains else "nothing is learnt, so that no seeds vary")
    return write(name, figures, seed=0, started=started, notes=[*said, *notes])


def _loaded(card: Card, claim: Claim, settings: Sequence[str], samples: int) -> Iterator[tuple[int, Ready, str]]:
    """The number of each arm with its system and what its training came to; trained, once for each seed."""
    base = _base(settings)
    if not card.trains:
        for arm, (slug, *told) in enumerate(claim.made):
            one = registry.card(slug)
            options = changed(one.options(), told)
            yield arm, registry.part(slug, "use").load(Spec(base or one.base, options)), ""
        return
    for arm, best in trained(card, claim, settings, samples):
        ready = registry.part(card.slug, "use").load(Spec(base or card.base, card.options(), run=str(best)))
        yield arm, ready, losses(best.parent)


def _base(settings: Sequence[str]) -> str:
    return next((text.partition("=")[2] for text in settings if text.startswith("base=")), "")


def _foundation(card: Card, claim: Claim, settings: Sequence[str], shown: Sequence[Any], noises: int) -> Figure:
    """What the base alone obeys, told of the person what one would tell: more no cure can bring back."""
    from visavis.bases.load import base

    name = _base(settings) or card.base or registry.card(claim.made[1][0]).base
    made = gallery(Told(base(name)), shown, claim.prompts, noises, steps=STEPS)
    found = followed(made, _captions(claim, noises))
    return Figure("obeyed.base", found.value(), *found.interval(), "obeyed", "neither", found.people)


def decided(name: str, arms: Arms) -> Verdict:
    """By one measure."""
    effects, low, high = _effects(name, arms)
    if BETTER.get(name) == "lower":
        effects, low, high = [-effect for effect in effects], -high, -low
    return verdict(effects, low, high)


def _effects(name: str, arms: Arms) -> tuple[list[float], float, float]:
    """With less without, of each seed, and the interval over people and seeds."""
    with_, without = ([one[name] for one in arm] for arm in arms)
    low, high = np.percentile(drawn(with_, without), [2.5, 97.5])
    return [a.value() - b.value() for a, b in zip(with_, without, strict=True)], float(low), float(high)


def _figures(name: str, arms: Arms, beside: bool) -> list[Figure]:
    """beside: this does not decide, and its effect is named after it."""
    effects, low, high = _effects(name, arms)
    effect = f"{name}.effect" if beside else "effect"
    how: dict[str, Any] = {"unit": name, "better": BETTER.get(name, "higher")}
    count = arms[0][0][name].people
    figures = [Figure(effect, float(np.mean(effects)), low, high, n=count, **how)]
    if len(effects) > 1:
        figures += [Figure(f"{effect}.seed_{seed}", one, **how) for seed, one in zip(SEEDS, effects, strict=True)]
    for which, arm in zip(("with", "without"), arms, strict=True):
        figures.append(Figure(f"{name}.{which}", float(np.mean([one[name].value() for one in arm])), n=count, **how))
    return figures


def verdict(effects: Sequence[float], low: float, high: float) -> Verdict:
    """From the effect of each training seed and the interval over people and seeds."""
    if not (low > 0 or high < 0) or len({effect > 0 for effect in effects}) > 1:
        return "null"
    return "holds" if low > 0 else "reversed"


def drawn(with_: Sequence[Measured], without: Sequence[Measured], seed: int = 0) -> NDArray[np.float64]:
    """[DRAWS]: the effect over bootstrap draws of people, the same in both arms, and of training seeds."""
    random = np.random.default_rng(seed)
    count, made = with_[0].people, []
    for _ in range(DRAWS):
        weights = drawn_people(count, random)
        chosen = random.integers(0, len(with_), len(with_))
        made.append(np.mean([with_[i].value(weights) - without[i].value(weights) for i in chosen]))
    return np.array(made)


@dataclass(frozen=True)
class Finding:
    """What a claim's results file says. verdict: of the paper's idea here; effect: with it less without, of `measure`,
    with its 95 % interval; price: what it may have cost, "" where nothing else could be lost."""

    slug: str
    verdict: Verdict
    effect: float
    low: float
    high: float
    measure: str
    price: str = ""

    @property
    def words(self) -> str:
        said = f"{self.verdict} (effect on {self.measure} {self.effect:.3f}, 95 % {self.low:.3f} to {self.high:.3f})"
        return f"{said}; {self.price}" if self.price else said


def finding(path: Path) -> Finding:
    """Of a file that `run` wrote."""
    made = json.loads(path.read_text("utf-8"))
    effect = next(figure for figure in made["figures"] if figure["name"] == "effect")
    found: Any = made["notes"][0].removeprefix("verdict: ")
    price = next((note for note in made["notes"] if note.startswith(PRICE)), "")
    return Finding(path.stem, found, effect["value"], effect["low"], effect["high"], effect["unit"], price)


def verdict_of(slug: str, folder: Path | None = None) -> str | None:
    """What claims/SLUG.json of results, or of another folder, says, in words; None where it was not run."""
    path = (folder or results_folder()) / "claims" / f"{slug}.json"
    return finding(path).words if path.is_file() else None


def _shown(claim: Claim, count: int) -> tuple[list[Somebody] | list[Pair], list[str]]:
    """The first `count` people (0: all) or their pairs of photos, and what is to be said of the choice."""
    if claim.measure != "copy_paste":
        return people("test", count=count), []
    found, alike = pairs("test", count)
    return found, [f"{len(found)} pairs of photos; left out {alike} whose two photos are hardly two"]


def _measured(ready: Ready, claim: Claim, shown: Sequence[Any], noises: int) -> tuple[dict[str, Measured], list[str]]:
    """By the names of the measures, and what is to be said of it."""
    if claim.measure == "copy_paste":
        found = copying(ready, shown, noises, STEPS)
        said = [f"{found.faceless} pictures without a face have no score"]
        return {name: getattr(found, name) for name in ("copy_paste", "sim_gt", "sim_ref")}, said
    made = gallery(ready, shown, claim.prompts, noises, steps=STEPS)
    measured: dict[str, Measured] = {"likeness": cosines(made, shown)}
    if any(claim.prompts):
        measured["obeyed"] = followed(made, _captions(claim, noises))
    return measured, []


def _captions(claim: Claim, noises: int) -> list[str]:
    """Of one person's pictures."""
    return [prompt for prompt in claim.prompts for _ in range(noises)]


def _budget(card: Card, samples: int) -> None:
    """What it will take, from the speed that `visavis bench train` measured; before it was measured, nano's."""
    speeds = values_of("train")
    ends = ".2_threads.float32.eager"
    speed = speeds.get(card.slug + ends, speeds.get("nano" + ends))
    total = 2 * len(SEEDS) * samples
    said = f", about {total / speed / 60:.0f} minutes" if speed else ""
    say(f"{card.slug}: {total} samples to train{said}, then pictures of everybody")
