"""`visavis bench cluster`: people found in CelebA's test people and in whole photos, beside plain methods.

Every parameter, ours and theirs, was chosen on CelebA's train people; the plain methods get the best of their grid
there, on the same vectors.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, write
from visavis.bench.groups import Agreement, Labels, agreement, fixed_per_question, worst_pairs
from visavis.bench.vectors import data_folder, decode, parquet_rows, vector_set
from visavis.bench.wild import labelled
from visavis.core.errors import missing_extra
from visavis.core.types import Floats
from visavis.faces.analyse import embed_faces, find_faces
from visavis.faces.score import calibration, scores
from visavis.people.cluster import Faces, group

RESAMPLES = 200
Method = Callable[[Floats], Labels]


def run() -> None:
    """Writes results/cluster.json; `worst` makes a sheet of the worst pairs, which shows photos of the data set."""
    started = time.time()
    train, test = (_celeba(part) for part in ("train", "test"))
    figures = _figures("celeba", test)
    plain = {name: max(methods, key=lambda m: _score(m, train)) for name, methods in _plain().items()}
    for name, method in plain.items():
        figures += _rows(f"celeba.{name}", method(test[0].vectors), test[1])
    best = max(plain, key=lambda name: _score(plain[name], test))
    ours, theirs = figures[0].value, _score(plain[best], test)
    figures.append(Figure("celeba.gain_over_best_plain", ours - theirs, unit="share", n=len(test[1])))
    wild = _wild()
    figures += _figures("wild", wild)
    for name, method in plain.items():
        figures += _rows(f"wild.{name}", method(wild[0].vectors), wild[1])
    notes = [f"best plain method on the test people: {best}", f"train people: ours {_ours(train).f1:.4f}"]
    notes += [f"{name} on train people: {_score(method, train):.4f}" for name, method in plain.items()]
    write("cluster", figures, seed=0, started=started, notes=notes)


People = tuple[Faces, Labels]


def _figures(name: str, people: People) -> list[Figure]:
    faces, person = people
    found = group(faces, calibration().cohort)
    figures = _rows(name, found.label, person)
    gain, asked = fixed_per_question(found.label, person, found.ask)
    figures.append(Figure(f"{name}.people_fixed_per_question", gain, unit="people", n=asked))
    return figures


def _ours(people: People) -> Agreement:
    return agreement(group(people[0], calibration().cohort).label, people[1])


def _score(method: Method, people: People) -> float:
    return agreement(method(people[0].vectors), people[1]).f1


def _rows(name: str, label: Labels, person: Labels) -> list[Figure]:
    found = agreement(label, person)
    drawn = np.array([_measures(agreement(label, person, rows)) for rows in _resamples(person)])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    known = person >= 0
    rows = [
        Figure(f"{name}.{what}", value, float(a), float(b), n=int(known.sum()))
        for what, value, a, b in zip(MEASURES, _measures(found), low, high, strict=True)
    ]
    people = len(np.unique(person[known]))
    rows.append(Figure(f"{name}.groups", float(found.groups), unit="groups", better="neither", n=people))
    return rows


MEASURES = ("pairwise_f1", "pairwise_precision", "pairwise_recall", "v_measure")


def _measures(found: Agreement) -> tuple[float, float, float, float]:
    return found.f1, found.precision, found.recall, found.v


def _resamples(person: Labels) -> Iterator[NDArray[np.intp]]:
    """Rows of the faces of people drawn with replacement; somebody drawn twice counts once more."""
    random = np.random.default_rng(0)
    who = np.unique(person[person >= 0])
    rows = {int(w): np.flatnonzero(person == w) for w in who}
    for _ in range(RESAMPLES):
        yield np.concatenate([rows[int(w)] for w in random.choice(who, len(who))])


def _celeba(part: str) -> People:
    found = vector_set("identity", ["celeba_identity.parquet"], ("name", "file"))
    names = json.loads((data_folder("identity") / "split.json").read_text())[part]
    rows = found.take(found.found & np.isin(found.labels["name"], names))
    statistics = calibration().cohort.statistics(rows.vectors)
    person = np.unique(rows.labels["name"], return_inverse=True)[1].astype(np.int64)
    return Faces.plain(rows.vectors, statistics), person


def _wild() -> People:
    """All faces of wild_photos with the rules of an album; only faces whose name is certain count."""
    vectors, photo, person, good = [], [], [], []
    names: dict[str, int] = {}
    file = data_folder("wild_photos") / "wild_photos.parquet"
    for number, row in enumerate(parquet_rows([file], ["image", "people"])):
        faces = find_faces(decode(row["image"]))
        people = frozenset(row["people"] or ())
        sure = labelled(faces, people)
        vectors.append(embed_faces(faces))
        photo += [number] * len(faces)
        good += [not face.quality.words for face in faces]
        person += [names.setdefault(next(iter(people)), len(names)) if i == sure else -1 for i in range(len(faces))]
    made = np.concatenate(vectors)
    plain = Faces.plain(made, calibration().cohort.statistics(made))
    return replace(plain, photo=np.array(photo), moment=np.array(photo), good=np.array(good)), np.array(person)


def _plain() -> dict[str, list[Method]]:
    """Plain methods on the vectors, each with its grid."""
    try:
        from scipy.sparse.csgraph import connected_components
        from sklearn.cluster import DBSCAN, HDBSCAN
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Comparing with plain methods") from error

    def chained(limit: float) -> Method:
        return lambda v: connected_components(np.linalg.norm(v[:, None] - v[None], axis=2) < limit)[1].astype(np.int64)

    def dbscan(limit: float, least: int) -> Method:
        return lambda v: DBSCAN(eps=limit, min_samples=least).fit_predict(v)

    def hdbscan(size: int, least: int) -> Method:
        return lambda v: HDBSCAN(min_cluster_size=size, min_samples=least, copy=True).fit_predict(v)

    limits = np.arange(0.25, 0.5, 0.02)
    return {
        "chaining": [chained(limit) for limit in limits],
        "dbscan": [dbscan(limit, least) for limit in limits for least in (2, 3, 5)],
        "hdbscan": [hdbscan(size, least) for size in (2, 3, 5, 8) for least in (1, 2, 4)],
    }


def worst(out: Path, count: int = 20) -> None:
    """A sheet of the worst pairs of the test people, for looking at: labels err."""
    from PIL import Image

    found = vector_set("identity", ["celeba_identity.parquet"], ("name", "file"))
    faces, person = _celeba("test")
    label = group(faces, calibration().cohort).label
    score = scores(faces.vectors, faces.vectors, faces.statistics, faces.statistics)
    names = json.loads((data_folder("identity") / "split.json").read_text())["test"]
    kept = np.flatnonzero(found.found & np.isin(found.labels["name"], names))
    images = [row["image"] for row in parquet_rows([data_folder("identity") / "celeba_identity.parquet"], ["image"])]
    sheet = Image.new("RGB", (5 * 330, -(-count // 5) * 165), "white")
    for at, (i, j) in enumerate(worst_pairs(label, person, score, count)):
        for side, row in enumerate((i, j)):
            picture = Image.fromarray(decode(images[int(kept[row])])).resize((160, 160))
            sheet.paste(picture, (at % 5 * 330 + side * 160, at // 5 * 165))
    sheet.save(out)
