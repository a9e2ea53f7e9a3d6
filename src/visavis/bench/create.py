"""`visavis bench create`: systems that make portraits of a person, side by side, on people whom no training saw.

One photo in, four prompts, two seeds. Likeness by the judge to other photos of the person; A's value beside it, since A
helped to make most of the pictures. Ceilings: what the autoencoder leaves of the photo that was shown, and what the
judge could know from A's vector alone. Two plain ways beside them (bench/plain.py), the tuned one on FIFTY of the
people; every row says its likeness on those too. It takes hours: where it was cut off, it goes on with the next row.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, kept, write
from visavis.bench.obeyed import followed, learnt
from visavis.bench.people import RESEARCH, Cosines, Gallery, Somebody, cosines, faces, gallery, people
from visavis.bench.plain import TUNED, Told, Tuned
from visavis.bench.trade import Place, draw, places, trade
from visavis.core import registry, weights
from visavis.core.card import Asked, Card, Spec
from visavis.core.errors import InputError, missing_extra
from visavis.core.types import Floats
from visavis.faces.frame import bearing, frame_of, vectors_a
from visavis.faces.judge import judge_portraits
from visavis.faces.score import standardised
from visavis.media.sheet import grid
from visavis.run.likeness import anchors, apart
from visavis.training.splits import by_hash

PROMPTS = ("smiling", "serious, looking left", "smiling, looking right", "a person of 60, serious")
SEEDS, SHOWN = 2, 8
NEW_SEEDS = 10_000  # of what is timed
BASE = "nano"
FIFTY = 50  # people of the tuned baseline
RIDGE = 30.0


def run(folder: Path | None = None) -> None:
    """Writes results/create.json and, where a folder is named, a sheet of each system's pictures of the same people."""
    try:
        from visavis.bases.load import base
    except ModuleNotFoundError as error:
        raise missing_extra("ml", "Making pictures") from error
    started, shown = time.time(), people("test")
    made_base = base(BASE)
    notes = [
        RESEARCH,
        f"{len(PROMPTS)} prompts x {SEEDS} seeds a person: {'; '.join(PROMPTS)}",
        f"lora: rank 8, {TUNED:.0f} s a person, steps of 8 faces; seconds hold them",
    ]
    figures = kept("create", "ceilings", lambda: _ceilings(shown))
    rows: dict[str, Any] = {"nano_text": Told(made_base), "lora": Tuned(made_base)}
    for card in registry.systems_for("create.portrait"):
        missing = [name for name in card.weights if not weights.found(name)]
        if missing:
            notes.append(f"not measured: {card.slug} (its weights do not ship)")
            continue
        try:
            rows[card.slug] = registry.part(card.slug, "use").load(Spec(BASE, card.options()))
        except InputError as error:  # of the system that it stands on
            notes.append(f"not measured: {card.slug} ({error})")
    notes.append("terms: " + ", ".join(f"{name} {ready.terms}" for name, ready in rows.items()))
    fifty = by_hash([somebody.name for somebody in shown], FIFTY)
    tuned_on = [one for one, chosen in zip(shown, fifty, strict=True) if chosen]
    for done, (name, ready) in enumerate(rows.items(), 1):
        theirs = tuned_on if name == "lora" else shown
        figures += kept("create", name, partial(_measured, name, ready, theirs, folder))
        figures += kept("create", f"{name}-seconds", partial(_seconds, name, ready, shown[0]))
        left = [*list(rows)[done:], "the dials"]
        write("create", figures, seed=0, started=started, notes=[*notes, f"not measured yet: {', '.join(left)}"])
    figures += _of_ceilings(figures)
    figures += _trades([registry.card(name) for name in rows if name in registry.cards()], figures)
    write("create", figures, seed=0, started=started, notes=notes)


def _measured(name: str, ready: Any, shown: Sequence[Somebody], folder: Path | None) -> list[Figure]:
    """Of one row of the table."""
    made = gallery(ready, shown, PROMPTS, SEEDS)
    if folder:
        _sheet(folder / f"create-{name}.png", made, shown)
    figures = _figures(name, made, shown)
    if isinstance(ready, Tuned):
        few, middle, many = np.quantile(ready.steps, [0, 0.5, 1])
        figures.append(Figure(f"{name}.steps", middle, few, many, "steps", "neither", len(shown)))
    return figures


def _seconds(name: str, ready: Any, somebody: Somebody) -> list[Figure]:
    """A picture, of somebody new and of seeds that are: what a system remembers of a prompt and a seed is of no use."""
    began = time.perf_counter()
    for number, prompt in enumerate(PROMPTS):
        for _ in ready(Asked(((somebody.face,),), prompt, SEEDS), NEW_SEEDS + number * SEEDS, lambda share: None):
            pass
    seconds = (time.perf_counter() - began) / (len(PROMPTS) * SEEDS)
    return [Figure(f"{name}.seconds", seconds, None, None, "s", "lower")]


def _of_ceilings(figures: Sequence[Figure]) -> list[Figure]:
    """Each likeness as a share of what the autoencoder leaves, and of what A's vector can tell."""
    values = {figure.name: figure.value for figure in figures}
    names = [name.removesuffix(".likeness") for name in values if name.endswith(".likeness")]
    return [
        Figure(f"{name}.likeness.of_ceiling_{ceiling}", values[f"{name}.likeness"] / values[f"ceiling.{ceiling}"])
        for name in names
        for ceiling in ("autoencoder", "vector_a")
    ]


def _trades(cards: Sequence[Card], figures: Sequence[Figure]) -> list[Figure]:
    """Of every system with a dial, drawn beside what was measured of all."""
    turned, made = [card for card in cards if card.dial], list[Figure]()
    for card in turned:
        made += kept("create", f"{card.slug}-{card.dial}", partial(trade, card, BASE, people("val"), PROMPTS))
    values = {figure.name: figure.value for figure in (*figures, *made)}
    ends = ".prompt_accuracy"
    names = [figure.name.removesuffix(ends) for figure in figures if figure.name.endswith(ends)]
    plain = [Place(name, 0, values[f"{name}.likeness"], values[name + ends]) for name in names]
    draw([place for card in turned for place in places(card, values)], plain)
    return made


def _figures(name: str, made: Gallery, shown: Sequence[Somebody]) -> list[Figure]:
    found = cosines(made, shown)
    by_a = _by_a(made, shown)
    right = followed(made, [prompt for prompt in PROMPTS for _ in range(SEEDS)])
    looks = _looks(made)
    copied, units = _copied(looks, shown)
    varied, whose = _varied(looks)
    n, some = len(shown), by_hash([somebody.name for somebody in shown], FIFTY)
    among = Cosines(found.made[np.ix_(some, some)], found.shown[np.ix_(some, some)])
    shares = bootstrap(copied, units=units)
    each = np.repeat(np.arange(n), len(made.found) // n)
    return [
        Figure(f"{name}.likeness", found.likeness(), *found.interval(), "likeness", "higher", n),
        Figure(f"{name}.likeness.fifty", among.likeness(), *among.interval(), "likeness", "higher", int(some.sum())),
        Figure(f"{name}.likeness_a", by_a.likeness(), *by_a.interval(), "likeness", "neither", n),
        Figure(f"{name}.prompt_accuracy", right.value(), *right.interval(), n=n),
        Figure(f"{name}.copy_paste", float(copied.mean()), *shares, "share", "lower", len(copied)),
        Figure(f"{name}.diversity", float(varied.mean()), *bootstrap(varied, units=whose), "looks", n=len(varied)),
        Figure(f"{name}.alike", _alike(made), unit="cosine", better="neither"),
        *_pairs(name, made),
        Figure(f"{name}.face_found", float(made.found.mean()), *bootstrap(made.found, units=each), n=len(made.found)),
        *_size(name),
    ]


def _by_a(made: Gallery, shown: Sequence[Somebody]) -> Cosines:
    """As by the judge, by recogniser A; a picture without a face counts as nobody's."""
    vectors = []
    for frames in made.frames:
        theirs = np.zeros((len(frames), 128), np.float32)
        here = [i for i, frame in enumerate(frames) if frame is not None]
        theirs[here] = vectors_a([frame for frame in frames if frame is not None])
        vectors.append(theirs)
    others = [vectors_a(somebody.others) for somebody in shown]
    return Cosines.of(vectors, vectors_a([somebody.shown for somebody in shown]), others)


Looks = list[list[NDArray[np.float64] | None]]  # of each person's pictures, None where there is no face


def _looks(made: Gallery) -> Looks:
    return [[None if frame is None else bearing(frame) for frame in frames] for frames in made.frames]


def _copied(looks: Looks, shown: Sequence[Somebody]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Copy-paste of each picture with a face, and whose it is."""
    pairs = [
        (look, bearing(somebody.shown), number)
        for number, (theirs, somebody) in enumerate(zip(looks, shown, strict=True))
        for look in theirs
        if look is not None
    ]
    off, units = _apart(pairs)
    return np.clip(1 - off, 0, 1), units


def _varied(looks: Looks) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How far apart pose, expression and light of two pictures are that differ by the seed alone, and whose they are;
    1: as two photos of one person."""
    pairs = [
        (first, second, number)
        for number, theirs in enumerate(looks)
        for start in range(0, len(theirs), SEEDS)
        for first, second in itertools.combinations(theirs[start : start + SEEDS], 2)
        if first is not None and second is not None
    ]
    return _apart(pairs)


def _apart(pairs: Sequence[tuple[Any, Any, int]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each (look, look, person), and the persons."""
    known = anchors()
    off = [float(apart(one[None], other[None], known.spread)[0, 0]) / known.apart for one, other, _ in pairs]
    return np.array(off), np.array([number for *_, number in pairs])


def _alike(made: Gallery) -> float:
    """Mean cosine, by the judge, of pictures of one person to pictures of others: how much a common look they share."""
    means = np.stack([vectors.mean(0) for vectors in made.judged()])
    cosine = means @ means.T
    return float(cosine[~np.eye(len(means), dtype=bool)].mean())


def _pairs(name: str, made: Gallery) -> list[Figure]:
    """Shares of pairs of one person's pictures that the judge accepts: where 1 in 1,000 pairs of different people's
    pictures pass (a generator with one face for all would pass the photos' threshold), and where as many pairs of
    strangers' photos do."""
    vectors = made.judged()
    whose = np.repeat(np.arange(len(vectors)), [len(each) for each in vectors])
    cosine = np.concatenate(vectors) @ np.concatenate(vectors).T
    first, second = np.triu_indices(len(whose), 1)
    same, values = whose[first] == whose[second], cosine[first, second]
    strict = float(np.quantile(values[~same], 0.999))
    figures = []
    for suffix, threshold in (("", strict), (".photos_threshold", anchors().accepted)):
        passed = values[same] > threshold
        low, high = bootstrap(passed, units=whose[first][same])
        figures.append(Figure(f"{name}.same_person_pairs{suffix}", float(passed.mean()), low, high, n=len(passed)))
    return figures


def _ceilings(shown: Sequence[Somebody]) -> list[Figure]:
    from visavis.bases.autoencoder.use import through

    first = np.stack([somebody.shown.pixels for somebody in shown])
    others = [judge_portraits(np.stack([frame.pixels for frame in somebody.others])) for somebody in shown]
    judged_first = judge_portraits(first)
    copied = judge_portraits(through(first))
    told = _told(vectors_a([somebody.shown for somebody in shown]))
    figures = []
    for name, vectors in (("autoencoder", copied), ("vector_a", told)):
        found = Cosines.of([vector[None] for vector in vectors], judged_first, others)
        figures.append(Figure(f"ceiling.{name}", found.likeness(), *found.interval(), unit="likeness", n=len(shown)))
    return figures


def _told(vectors: Floats) -> Floats:
    """The judge's vectors as a ridge map from A's has them, fitted on FairFace's training photos and on those of the
    training people of `identity`."""
    rows = learnt()
    kept, portraits = rows.column("vector_a"), rows.column("portrait")
    known = [frame_of(face) for theirs in faces("train").values() for face in theirs]
    a = np.concatenate([standardised(kept.take(kept.rows(rows.keys))), vectors_a(known)]).astype(np.float64)
    places = np.array_split(portraits.rows(rows.keys), max(1, len(rows) // 512))
    judged = [judge_portraits(np.asarray(portraits.take(part))) for part in places]
    b = np.concatenate([*judged, judge_portraits(np.stack([frame.pixels for frame in known]))]).astype(np.float64)
    middle_a, middle_b = a.mean(0), b.mean(0)
    off = a - middle_a
    mapped = np.linalg.solve(off.T @ off + RIDGE * np.eye(off.shape[1]), off.T @ (b - middle_b))
    made = (vectors - middle_a) @ mapped + middle_b
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def _size(name: str) -> list[Figure]:
    if name not in registry.cards():
        return []
    size = sum(entry.bytes for part in registry.card(name).weights for entry in weights.found(part)) / 1e6
    return [Figure(f"{name}.megabytes", size, unit="MB", better="lower")]


def _sheet(path: Path, made: Gallery, shown: Sequence[Somebody]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        [somebody.shown.pixels, *pictures] for somebody, pictures in zip(shown[:SHOWN], made.pictures, strict=False)
    ]
    Image.fromarray(grid([picture for row in rows for picture in row], 1 + len(PROMPTS) * SEEDS)).save(path)
