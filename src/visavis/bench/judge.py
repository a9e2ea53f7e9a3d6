"""`visavis bench judge`: recogniser B beside its teachers and A, all on portrait frames, in one run; its thresholds and
anchors; and how independent it is of A."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, write
from visavis.bench.overlap import DOUBLES
from visavis.bench.portraits import Portraits, portraits
from visavis.bench.recognise import distance, limits, measures, protocol, stranger_scores
from visavis.bench.sets import DOUBLES as FAIRFACE_DOUBLES
from visavis.bench.sets import YOUNG
from visavis.core import weights
from visavis.core.config import restored
from visavis.core.errors import InputError
from visavis.core.peers import peer_model
from visavis.core.settings import settings
from visavis.core.ship import ship_json
from visavis.core.types import Floats, Pixels
from visavis.faces.frame import Frame, bearing
from visavis.faces.judge import judge_portraits
from visavis.faces.score import standardised
from visavis.media.sheet import grid
from visavis.run.likeness import apart
from visavis.training.splits import KNOWN
from visavis.training.teachers import TEACHERS

RATES = (1e-2, 1e-3)
REPEATS, BATCH = 3, 32


@dataclass(frozen=True, eq=False)
class Sets:
    """celeba: train people who are not in LFW; lfw: the test; fairface: strangers of known groups, from 20 on."""

    celeba: Portraits
    lfw: Portraits
    fairface: Portraits

    def parts(self) -> dict[str, Portraits]:
        return {"celeba": self.celeba, "lfw": self.lfw, "fairface": self.fairface}


def load() -> Sets:
    celeba = portraits("identity", ["celeba_identity.parquet"], ("name", "file"))
    names = celeba.labels["name"]
    held = np.array([KNOWN["identity"].split(str(name), {}) == "test" for name in names])
    fairface = portraits("fairface", ["fairface_val_00.parquet"], ("age", "gender", "race", "file"))
    doubles = np.isin(fairface.labels["file"], [f"val/{number}.jpg" for number in FAIRFACE_DOUBLES])
    adult = ~np.isin(fairface.labels["age"], YOUNG)
    return Sets(
        celeba=celeba.take(celeba.found & ~held & ~np.isin(names, DOUBLES)),
        lfw=portraits("lfw", ["lfw.parquet"], ("name", "index")),
        fairface=fairface.take(fairface.found & adult & ~doubles),
    )


def run(folder: Path | None = None) -> None:
    """Writes results/judge.json, the anchors and thresholds that the judge's words come from, and, where a folder is
    named, sheets of the most alike strangers and the least alike photos of one person."""
    started = time.time()
    weights.fetch(["judge_b"])
    sets = load()
    recognisers = {"b": _vectors(sets, "judge_b"), "a": _vectors(sets, "a")}
    notes = ["all on portrait frames; lfw.*: B; NAME.lfw.*: the others; A standardised"]
    for name, answer in _tries(notes):
        recognisers[f"try_{name}"] = {key: answer(part.crops) for key, part in sets.parts().items()}
    for name in TEACHERS:
        try:
            peer_model(name)
        except InputError as error:
            notes.append(f"not measured: {name} ({error})")
            continue
        recognisers[name] = _vectors(sets, name)
    lfw = protocol(sets.lfw.labels["name"], sets.lfw.labels["index"])
    figures: list[Figure] = []
    for name, vectors in recognisers.items():
        prefix = "lfw" if name == "b" else f"{name}.lfw"
        figures += measures(prefix, lfw, distance(vectors["lfw"]), sets.lfw.found)
    anchors = _anchors(sets.celeba, recognisers["b"]["celeba"], recognisers["a"]["celeba"])
    for name in ("b", "a"):
        figures += _groups("" if name == "b" else "a.", sets, recognisers[name])
    figures += _independence(sets, recognisers["a"], recognisers["b"])
    figures += [
        Figure("anchor.n", anchors["n"], unit="cosine", better="neither"),
        Figure("anchor.p", anchors["p"], unit="cosine", better="neither"),
        *_cost(sets.lfw.crops),
    ]
    ship_json(
        "judge_b_anchors",
        anchors,
        terms="permissive",
        trained_on=f"nothing: means, deviations and thresholds, measured on {anchors['people']} train people of CelebA",
        command="visavis bench judge",
    )
    write("judge", figures, seed=0, started=started, notes=notes)
    if folder:
        _sheets(folder, sets.lfw, recognisers["b"]["lfw"])


def _sheets(folder: Path, rows: Portraits, vectors: Floats, count: int = 30) -> None:
    from PIL import Image

    lfw = protocol(rows.labels["name"], rows.labels["index"])
    cosine = (vectors[lfw.a] * vectors[lfw.b]).sum(1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, wrong in (("strangers", np.where(lfw.same, -2, cosine)), ("same", np.where(lfw.same, -cosine, -2))):
        pairs = np.argsort(-wrong)[:count]
        pictures = [np.hstack([rows.crops[lfw.a[i]], rows.crops[lfw.b[i]]]) for i in pairs]
        Image.fromarray(grid(pictures, 6)).save(folder / f"judge-{name}.png")


def _vectors(sets: Sets, name: str) -> dict[str, Floats]:
    parts = sets.parts()
    if name == "judge_b":
        return {key: judge_portraits(part.crops) for key, part in parts.items()}
    if name == "a":
        return {key: standardised(part.vectors_a()) for key, part in parts.items()}
    return {key: TEACHERS[name].vectors(part.arcface()) for key, part in parts.items()}


def _tries(notes: list[str]) -> Iterator[tuple[str, Callable[[Pixels], Floats]]]:
    """Judges that were trained and not shipped: the runs called judge-SOMETHING."""
    found = sorted((settings().data / "runs").glob("judge-*/best.safetensors"))
    for path in found:
        from visavis.training.checkpoint import origin, unpacked
        from visavis.training.recipes import judge

        try:
            module = judge.build(restored(judge.CONFIG, origin(path)))["judge"]
        except InputError as error:
            notes.append(f"not measured: {path.parent.name} ({error})")
            continue
        module.load_state_dict(unpacked(path, "judge"))
        yield path.parent.name.removeprefix("judge-"), partial(judge.vectors, module)


def _anchors(photos: Portraits, b: Floats, a: Floats) -> dict[str, Any]:
    """N and P: the mean cosine of two strangers and of two photos of one person, by the judge and by A; the judge's
    thresholds by false-match rate; and how far apart two photos of one person are in pose, expression and light."""
    names = photos.labels["name"]
    strangers = np.triu(names[:, None] != names[None], 1)
    people = _rows_of(np.unique(names, return_inverse=True)[1])
    looks = np.stack([bearing(Frame(*pair)) for pair in zip(photos.crops, photos.meshes, strict=True)])
    spread = looks.std(0)
    thresholds = dict(zip(map(str, RATES), limits((b @ b.T)[strangers], RATES), strict=True))
    return {
        **_two(b @ b.T, strangers, people),
        "thresholds": thresholds,
        "people": len(people),
        "a": _two(a @ a.T, strangers, people),
        "looks": {"spread": spread.tolist(), "apart": _own(apart(looks, looks, spread), people)},
    }


def _two(cosine: Floats, strangers: NDArray[np.bool_], people: Sequence[NDArray[np.intp]]) -> dict[str, float]:
    return {"n": float(cosine[strangers].mean()), "p": _own(cosine, people)}


def _own(values: NDArray[Any], people: Sequence[NDArray[np.intp]]) -> float:
    """The mean over pairs of one person's photos; each person counts once, however many photos there are."""
    return float(np.mean([values[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)].mean() for rows in people]))


def _rows_of(person: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    rows = [np.flatnonzero(person == i) for i in range(person.max() + 1)]
    return [row for row in rows if len(row) > 1]


def _groups(prefix: str, sets: Sets, vectors: Mapping[str, Floats]) -> list[Figure]:
    """How often strangers of one group match where one in a thousand of CelebA's does."""
    names = sets.celeba.labels["name"]
    strangers = stranger_scores(names, distance(vectors["celeba"]), np.ones(len(names), bool))
    limit = limits(strangers, (1e-3,))[0]
    rates = {}
    race = sets.fairface.labels["race"]
    for group in np.unique(race):
        part = vectors["fairface"][race == group]
        score = distance(part)(np.arange(len(part)), np.arange(len(part)))[np.triu_indices(len(part), 1)]
        rates[str(group)] = float((score > limit).mean())
    worst = max(rates, key=lambda group: rates[group])
    figures = [Figure(f"{prefix}fmr_worst_group_ratio", rates[worst] / 1e-3, unit="ratio", better="lower")]
    for group, rate in rates.items():
        label = group.lower().replace(" ", "_")
        figures.append(Figure(f"{prefix}fmr.{label}", rate, better="lower", n=int((race == group).sum())))
    return figures


def _independence(sets: Sets, a: Mapping[str, Floats], b: Mapping[str, Floats]) -> list[Figure]:
    """Spearman's correlation of both scores on pairs of strangers: LFW's 3,000, and by group."""
    from scipy.stats import spearmanr

    lfw = protocol(sets.lfw.labels["name"], sets.lfw.labels["index"])
    kept = ~lfw.same & sets.lfw.found[lfw.a] & sets.lfw.found[lfw.b]
    rows, columns = lfw.a[kept], lfw.b[kept]
    one, other = ((v["lfw"][rows] * v["lfw"][columns]).sum(1) for v in (a, b))
    value = float(spearmanr(one, other).statistic)
    random = np.random.default_rng(0)
    drawn = [random.integers(0, len(one), len(one)) for _ in range(200)]
    low, high = np.percentile([spearmanr(one[d], other[d]).statistic for d in drawn], [2.5, 97.5])
    name = "rank_correlation_with_a"
    figures = [Figure(f"{name}.impostors", value, float(low), float(high), "rho", "lower", len(one))]
    race = sets.fairface.labels["race"]
    for group in np.unique(race):
        members = np.flatnonzero(race == group)
        upper = np.triu_indices(len(members), 1)
        one, other = ((v["fairface"][members] @ v["fairface"][members].T)[upper] for v in (a, b))
        label = str(group).lower().replace(" ", "_")
        figures.append(Figure(f"{name}.{label}", float(spearmanr(one, other).statistic), None, None, "rho", "lower"))
    return figures


def _cost(crops: Any) -> list[Figure]:
    batch = crops[:BATCH]
    judge_portraits(batch)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        judge_portraits(batch)
        times.append((time.perf_counter() - began) / len(batch) * 1e3)
    size = weights.entry("judge_b").bytes / 1e6
    return [
        Figure("ms_per_face", float(np.median(times)), min(times), max(times), "ms", "lower", REPEATS),
        Figure("megabytes", size, unit="MB", better="lower"),
    ]
