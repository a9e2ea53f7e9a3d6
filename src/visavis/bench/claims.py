"""`visavis claim SLUG`: does a paper's one idea hold here? Two arms, with and without it, alike in everything else.

Both arms are trained from the same base with two seeds each and judged on people whom no training saw; the interval of
the effect comes from drawing people and seeds anew. Holds: no zero inside, and the same sign with both seeds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, results_folder, write
from visavis.bench.people import DRAWS, Cosines, Somebody, cosines, gallery, people
from visavis.core import registry
from visavis.core.card import Card, Spec
from visavis.core.errors import InputError
from visavis.core.progress import say

SAMPLES, SEEDS, NOISES = 20_000, (0, 1), 2
QUICK = 64  # samples that show that it runs, not what it finds
Verdict = Literal["holds", "null", "reversed"]


def run(slug: str, quick: bool = False, settings: Sequence[str] = ()) -> Path:
    """Trains what is not trained yet, measures, writes results/claims/SLUG.json. settings: KEY=VALUE of both arms.

    quick: a few samples and people, written beside as SLUG-quick. Raises InputError for a system without a claim.
    """
    started, card = time.time(), registry.card(slug)
    claim = card.claim
    if claim is None or not card.trains:
        raise InputError(f"{slug} has no claim that is trained.")
    samples, shown = (QUICK, people("test")[:4]) if quick else (SAMPLES, people("test"))
    _budget(card, samples)
    arms: list[list[Cosines]] = []
    for arm, told in zip(claim.arms, claim.trained, strict=True):
        arms.append([])
        for seed in SEEDS:
            best = _trained(card, arm, [*settings, *told], seed, samples)
            arms[-1].append(_measured(card, best, settings, shown, 1 if quick else NOISES))
    effects = [with_.likeness() - without.likeness() for with_, without in zip(*arms, strict=True)]
    low, high = np.percentile(drawn(arms[0], arms[1]), [2.5, 97.5])
    found = verdict(effects, float(low), float(high))
    figures = [Figure("effect", float(np.mean(effects)), float(low), float(high), "likeness", n=len(shown))]
    for seed, effect in zip(SEEDS, effects, strict=True):
        figures.append(Figure(f"effect.seed_{seed}", effect, unit="likeness"))
    for name, measured in zip(("with", "without"), arms, strict=True):
        value = float(np.mean([one.likeness() for one in measured]))
        figures.append(Figure(f"likeness.{name}", value, unit="likeness", n=len(shown)))
    notes = [f"verdict: {found}", claim.question, f"with: {claim.arms[0]}; without: {claim.arms[1]}", claim.expected]
    name = f"claims/{slug}-quick" if quick else f"claims/{slug}"
    return write(name, figures, seed=0, started=started, notes=[*notes, f"{samples} samples an arm and seed"])


def verdict(effects: Sequence[float], low: float, high: float) -> Verdict:
    """From the effect of each training seed and the interval over people and seeds."""
    if low <= 0 <= high or len({effect > 0 for effect in effects}) > 1:
        return "null"
    return "holds" if low > 0 else "reversed"


def drawn(with_: Sequence[Cosines], without: Sequence[Cosines], seed: int = 0) -> NDArray[np.float64]:
    """[DRAWS]: the effect over bootstrap draws of people, the same in both arms, and of training seeds."""
    random = np.random.default_rng(seed)
    count, made = len(with_[0].made), []
    for _ in range(DRAWS):
        weights = random.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
        chosen = random.integers(0, len(with_), len(with_))
        made.append(np.mean([with_[i].likeness(weights) - without[i].likeness(weights) for i in chosen]))
    return np.array(made)


def verdict_of(slug: str) -> str | None:
    """What results/claims/SLUG.json of this checkout says, in words; None where it was not run."""
    path = results_folder() / "claims" / f"{slug}.json"
    if not path.is_file():
        return None
    made = json.loads(path.read_text("utf-8"))
    effect = next(figure for figure in made["figures"] if figure["name"] == "effect")
    found = made["notes"][0].removeprefix("verdict: ")
    return f"{found} (effect {effect['value']:.3f}, 95 % {effect['low']:.3f} to {effect['high']:.3f})"


def _trained(card: Card, arm: str, settings: Sequence[str], seed: int, samples: int) -> Path:
    """The weights of one arm and seed; a run that was cut off goes on."""
    from visavis.training.launch import configured, recipe, start

    config = configured(recipe(card.slug), None, settings)
    steps = max(2, samples // config.schedule.batch)
    told = [*settings, f"schedule.steps={steps}", f"schedule.seed={seed}", "schedule.every=1000"]
    say(f"{card.slug}: {arm}, seed {seed}")
    name = f"claim-{card.slug}-{arm.replace(' ', '-')}-{seed}-{samples}"
    _, folder = start(card.slug, settings=told, run=name, minutes=float("inf"), resume=True)
    return folder / "best.safetensors"


def _measured(card: Card, best: Path, settings: Sequence[str], shown: Sequence[Somebody], noises: int) -> Cosines:
    base = next((text.partition("=")[2] for text in settings if text.startswith("base=")), card.base)
    ready = registry.part(card.slug, "use").load(Spec(base, card.options(), run=str(best)))
    assert card.claim is not None
    return cosines(gallery(ready, shown, card.claim.prompts, noises), shown)


def _budget(card: Card, samples: int) -> None:
    """What it will take, from the speed that `visavis bench train` measured; before it was measured, nano's."""
    path = results_folder() / "train.json"
    figures = json.loads(path.read_text("utf-8"))["figures"] if path.is_file() else []
    speeds = {figure["name"]: figure["value"] for figure in figures}
    ends = ".2_threads.float32.eager"
    speed = speeds.get(card.slug + ends, speeds.get("nano" + ends))
    total = 2 * len(SEEDS) * samples
    said = f", about {total / speed / 60:.0f} minutes" if speed else ""
    say(f"{card.slug}: {total} samples to train{said}, then pictures of everybody")
