"""`visavis bench attributes`: age and gender presentation of every copy beside a peer's, on photos that no copy saw."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.portraits import Portraits, portraits
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.errors import InputError
from visavis.core.peers import peer_model
from visavis.core.progress import track
from visavis.core.types import Floats, Pixels
from visavis.faces.analyse import central, find_faces
from visavis.faces.attributes import RACES, TWO_THIRDS, raw
from visavis.media.sheet import grid
from visavis.training.cache import key_of
from visavis.training.splits import KNOWN

COPIES = {
    "permissive": "attributes",
    "permissive_judge": "attributes_judge",
    "research": "attributes_research",
    "research_judge": "attributes_research_judge",
}
ADULT = 20
DECADES = (20, 30, 40, 50, 60, 70, 117)


@dataclass(frozen=True, eq=False)
class Answers:
    """years [N], female [N] (share 0..1); race [N] (index into RACES) and scale [N] (of the distribution of years),
    where they are told"""

    years: NDArray[np.floating]
    female: NDArray[np.floating]
    race: NDArray[np.int64] | None = None
    scale: NDArray[np.floating] | None = None


def run(folder: Path | None = None) -> None:
    """Writes results/attributes.json and, where a folder is named, sheets of the worst errors."""
    started = time.time()
    notes = [f"utkface: held-out photos of people who look {ADULT} or older by their label; fairface: val"]
    utk, chips = held_out()
    fairface = portraits("fairface", ["fairface_val_00.parquet"], ("age", "gender", "race", "file"))
    fairface = fairface.take(fairface.found)
    notes += ["peer: on its own crops of the whole photo for utkface, on crops of the portrait frame for fairface"]
    figures = []
    for name, answers in [*_answers(utk, notes), *_peer(chips, notes)]:
        figures += _ages(name, utk, answers)
        figures += _genders(f"gender.accuracy.{name}", utk, answers.female)
        if folder:
            _sheet(folder / f"age-{name}.png", utk, answers.years)
    for name, answers in [*_answers(fairface, []), *_peer(fairface.arcface(), [])]:
        figures += _genders(f"gender.accuracy.fairface.{name}", fairface, answers.female)
        if answers.race is not None:
            truth = np.array([RACES.index(str(race)) for race in fairface.labels["race"]])
            right = answers.race == truth
            figures.append(
                Figure(f"race.accuracy.fairface.{name}", float(right.mean()), *bootstrap(right), n=len(right))
            )
    write("attributes", figures, seed=0, started=started, notes=notes)


def held_out() -> tuple[Portraits, Pixels]:
    """UTKFace's test photos of adults in which a face is found, and ArcFace crops of the whole photos."""
    rows = portraits("utkface", ["utkface.parquet"], ("age", "gender", "race", "file"))
    images = [row["image"] for row in parquet_rows([data_folder("utkface") / "utkface.parquet"], ["image"])]
    test = np.array([KNOWN["utkface"].split(key_of(image).hex(), {}) == "test" for image in images])
    chosen = test & (rows.labels["age"] >= ADULT) & rows.found
    chips = [_chip(images[i]) for i in track(np.flatnonzero(chosen), "crops for the peer")]
    return rows.take(chosen), np.stack(chips)


def _chip(image: bytes) -> Pixels:
    face = central(find_faces(decode(image)))
    assert face is not None, "the same face was found for its frame"
    return face.crop("recognise").pixels


def _answers(rows: Portraits, notes: list[str]) -> Iterator[tuple[str, Answers]]:
    for name, network in COPIES.items():
        try:
            weights.entry(network)
        except InputError:
            notes.append(f"not measured: {name} (not shipped yet)")
            continue
        age, female, race = raw(rows.crops, network)
        yield name, Answers(age[:, 0], female, race.argmax(1), age[:, 1])


def _peer(chips: Pixels, notes: list[str]) -> Iterator[tuple[str, Answers]]:
    """InsightFace's first genderage model: 202 numbers, female and male, then 100 pairs: one for each year."""
    try:
        session = onnx_session(peer_model("genderage_v1"))
    except InputError as error:
        notes.append(f"not measured: peer ({error})")
        return
    crops: Floats = chips.transpose(0, 3, 1, 2).astype(np.float32)
    made = np.stack([session.run(None, {"data": crop[None]})[0].reshape(-1) for crop in crops])
    pairs = made[:, 2:].reshape(len(made), 100, 2)
    years = (pairs[..., 1] > pairs[..., 0]).sum(1).astype(float)
    yield "peer", Answers(years, (made[:, 0] > made[:, 1]).astype(float))


def _ages(name: str, rows: Portraits, answers: Answers) -> list[Figure]:
    off = np.abs(answers.years - rows.labels["age"])
    figures = [Figure(f"age.mae.{name}", float(off.mean()), *bootstrap(off), "years", "lower", len(off))]
    if answers.scale is not None:
        inside = off <= TWO_THIRDS * answers.scale
        figures.append(Figure(f"age.within_range.{name}", float(inside.mean()), *bootstrap(inside), n=len(inside)))
    for group, mine in (*_groups(rows), *_decades(rows)):
        part = off[mine]
        value, interval = float(part.mean()), bootstrap(part)
        figures.append(Figure(f"age.mae.{name}.{group}", value, *interval, "years", "lower", len(part)))
    return figures


def _genders(name: str, rows: Portraits, female: NDArray[np.floating]) -> list[Figure]:
    right = (female > 0.5) == (rows.labels["gender"] == "Female")
    figures = [Figure(name, float(right.mean()), *bootstrap(right), n=len(right))]
    for group, mine in _groups(rows):
        figures.append(Figure(f"{name}.{group}", float(right[mine].mean()), *bootstrap(right[mine]), n=int(mine.sum())))
    return figures


def _groups(rows: Portraits) -> Iterator[tuple[str, NDArray[Any]]]:
    """The set's own labels of gender presentation and race."""
    for column in ("gender", "race"):
        for value in np.unique(rows.labels[column]):
            yield str(value).lower().replace(" ", "_"), rows.labels[column] == value


def _decades(rows: Portraits) -> Iterator[tuple[str, NDArray[Any]]]:
    """By the age that the set says; the last one is of all who are older."""
    years = rows.labels["age"]
    for low, high in itertools.pairwise(DECADES):
        mine = (years >= low) & (years < high)
        if mine.any():
            yield f"{low}_to_{high - 1}", mine


def _sheet(path: Path, rows: Portraits, years: NDArray[np.floating], count: int = 40) -> None:
    from PIL import Image, ImageDraw

    worst = np.argsort(-np.abs(years - rows.labels["age"]))[:count]
    pictures = []
    for i in worst:
        picture = Image.fromarray(rows.crops[i])
        ImageDraw.Draw(picture).text((2, 2), f"{rows.labels['age'][i]} -> {years[i]:.0f}", fill=(255, 255, 0))
        pictures.append(np.asarray(picture))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid(pictures, 10)).save(path)
