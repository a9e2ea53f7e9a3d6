"""`visavis calibrate`: the cohort, the tables of false-match rates and "may be a child".

Sources of strangers: FairFace (one photo a person; what the cohort is fitted on takes no part) within itself, FairFace
against CelebA's train people, where the same person hardly occurs twice, and down to 1e-3 CelebA's train people among
themselves. The worst rate is stated. LFW only tests what the table then says.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.calibrated import lfw_figures, own_figures
from visavis.bench.curves import SMALLEST, Curve, curve_of
from visavis.bench.figures import write
from visavis.bench.mixture import COMPONENTS, fit_child, fit_mixture
from visavis.bench.recogniser import Recogniser
from visavis.bench.sets import CHILDREN, SEED, FairFaces, group_of, hashed, load_sets
from visavis.bench.strangers import Group, pair_up
from visavis.bench.vectors import A, folder_set
from visavis.core.errors import InputError
from visavis.core.ship import ship, ship_json
from visavis.faces.score import Calibration, Cohort, scores

COMMAND = "visavis calibrate"
DATA = "FairFace val, a held-back fifth of FairFace train, CelebA train people"
OWN_LEAST = 100


def run(out: Path | None = None, recogniser: Recogniser = A, strangers: Sequence[Path] = ()) -> Path:
    """Writes cohort, false_match_table and child into `out` (without it, the shipped ones of recogniser A and
    results/calibrate.json); the table's path. strangers: own photos in place of the data sets."""
    if strangers:
        return run_own(out or Path("calibration"), recogniser, strangers)
    started = time.time()
    sets = load_sets(recogniser)
    mixture = fit_mixture(sets.fit.vectors, seed=SEED)
    child = fit_child(sets.fit.vectors, np.isin(sets.fit.labels["age"], CHILDREN))
    cohort = Cohort.draw(mixture)
    faces = FairFaces.of(sets, cohort)
    celeba = group_of(sets.celeba, cohort, "name")
    sources = [
        pair_up("FairFace val", group_of(sets.val, cohort)),
        pair_up("FairFace train, held back", group_of(sets.held, cohort)),
        pair_up("FairFace x CelebA train people", faces.group, celeba),
    ]
    few = pair_up("CelebA train people", celeba, other_people=True)
    everyone = curve_of(sources, faces.groups(), smallest=SMALLEST, seed=SEED, few=[few])
    children = curve_of([faces.children()], faces.bands(), smallest=1e-3, seed=SEED)
    genuine, dropped = same_person(celeba, sets.celeba.labels["name"], everyone)
    pairs = {source.name: source.total for source in (*sources, few)}
    table = table_of(everyone, children, genuine, DATA, recogniser) | {"pairs": pairs}
    table["at_1e-3"] = faces.at(everyone.score_at(1e-3))
    path = _write(out, mixture, child, table, "fairface")
    if recogniser.file is None:
        ready = Calibration.of(mixture, table, child)
        figures = [*own_figures(ready, faces, sets, genuine, dropped), *lfw_figures(ready)]
        write("calibrate", figures, seed=SEED, started=started)
    return path


def run_own(out: Path, recogniser: Recogniser, folders: Sequence[Path]) -> Path:
    """Calibrates on a user's photos: one half of the people for the cohort, the other for the table.

    Nothing is known of groups or ages: the worst group's rate is the overall one, and nobody is taken for a child.
    Raises InputError where fewer than OWN_LEAST people are left, or nobody has two photos.
    """
    sets = [folder_set(folder, recogniser) for folder in folders]
    seen = [s.take(s.found) for s in sets]
    fit_on = [hashed(s.labels["name"], 2) for s in seen]
    fit = np.concatenate([s.vectors[rows] for s, rows in zip(seen, fit_on, strict=True)])
    if min(len(fit), sum(int((~rows).sum()) for rows in fit_on)) < OWN_LEAST:
        raise InputError(f"Calibration needs at least {2 * OWN_LEAST} photos with a face, mostly of different people.")
    mixture = fit_mixture(fit, seed=SEED, components=max(2, min(COMPONENTS, len(fit) // 50)))
    cohort = Cohort.draw(mixture)
    held = [group_of(s.take(~rows), cohort, "name") for s, rows in zip(seen, fit_on, strict=True)]
    sources = [pair_up(folder.name, group, other_people=True) for folder, group in zip(folders, held, strict=True)]
    everyone = curve_of(sources, sources, smallest=SMALLEST, seed=SEED)
    names = [s.labels["name"][~rows] for s, rows in zip(seen, fit_on, strict=True)]
    genuine = np.concatenate([same_person(g, n, everyone)[0] for g, n in zip(held, names, strict=True)])
    if not len(genuine):
        raise InputError("Nobody has two photos: put the photos of a person into a subfolder of their own.")
    child = np.append(np.zeros(fit.shape[1]), -1.0)
    data = "own photos: " + ", ".join(folder.name for folder in folders)
    pairs = {source.name: source.total for source in sources}
    return _write(out, mixture, child, table_of(everyone, everyone, genuine, data, recogniser) | {"pairs": pairs}, data)


def table_of(
    everyone: Curve, children: Curve, genuine: NDArray[np.float32], data: str, recogniser: Recogniser
) -> dict[str, Any]:
    """The table as `Calibration.of` reads it, but for `pairs`: how many of strangers each source gave."""
    rates = np.geomspace(1e-3, 1, 200)
    return {
        "everyone": everyone.row(),
        "children": children.row(),
        "same_person": {"rate": rates.tolist(), "score": np.quantile(genuine, rates).tolist()},
        "origin": {"data": data, "command": COMMAND, "recogniser": recogniser.name, "recipe": recogniser.key},
    }


def _write(
    out: Path | None, mixture: dict[str, NDArray[Any]], child: NDArray[Any], table: dict[str, Any], fitted_on: str
) -> Path:
    ship("cohort", mixture, terms="permissive", trained_on=fitted_on, command=COMMAND, folder=out)
    ship("child", {"weights": child}, terms="permissive", trained_on=fitted_on, command=COMMAND, folder=out)
    measured = f"nothing; rates measured on {table['origin']['data']}"
    return ship_json("false_match_table", table, terms="permissive", trained_on=measured, command=COMMAND, folder=out)


def same_person(group: Group, names: NDArray[Any], curve: Curve) -> tuple[NDArray[np.float32], int]:
    """Scores of all same-person pairs, and how many photos were left out because their label errs: no other photo of
    that person scores above what one stranger pair in a hundred reaches."""
    all_scores = scores(group.vectors, group.vectors, group.statistics, group.statistics)
    same = names[:, None] == names[None, :]
    np.fill_diagonal(same, False)
    best = np.where(same, all_scores, -np.inf).max(1)
    kept = best >= curve.score_at(1e-2)
    pairs = np.triu(same & kept[:, None] & kept[None, :])
    return all_scores[pairs], int((~kept).sum())
