"""What a calibration is worth: group by group, and on LFW, which took no part in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap
from visavis.bench.sets import CHILDREN, SEED, YOUNG, FairFaces, Sets
from visavis.bench.strangers import interval
from visavis.bench.vectors import data_folder, parquet_rows, vector_set
from visavis.faces.score import DIFFERENT, Calibration, Rates, scores


def own_figures(
    ready: Calibration, faces: FairFaces, sets: Sets, genuine: NDArray[np.float32], dropped: int
) -> list[Figure]:
    threshold = _lowest(ready.everyone, 1e-3)
    rows = faces.at(threshold)
    origin = [row for row in rows if not row["group"].endswith("years")]
    worst = max(origin, key=lambda row: row["rate"])
    children = faces.children()
    child_rate = float(children.rate(threshold))
    drawn = children.bootstrap(np.array([threshold]), seed=SEED)[:, 0]
    is_child = np.isin(faces.age, CHILDREN)
    flagged = ready.may_be_child(faces.group.vectors)
    adults = ~np.isin(faces.age, YOUNG)
    figures = [
        Figure("fmr.smallest_supported", ready.everyone.measured, unit="share", better="lower"),
        Figure(
            "fmr.worst_group_ratio", worst["rate"] / 1e-3, worst["low"] / 1e-3, worst["high"] / 1e-3, "ratio", "lower"
        ),
        Figure(
            "fmr.children_ratio",
            child_rate / 1e-3,
            *interval(drawn / 1e-3),
            "ratio",
            "lower",
            children.total,
        ),
        Figure("child.flagged", float(flagged[is_child].mean()), *bootstrap(flagged[is_child]), n=int(is_child.sum())),
        Figure(
            "child.adults_flagged",
            float(flagged[adults].mean()),
            *bootstrap(flagged[adults]),
            better="lower",
            n=int(adults.sum()),
        ),
        Figure("same_person.pairs", len(genuine), unit="pairs", better="neither"),
        Figure("same_person.photos_left_out", dropped, unit="photos", better="neither", n=len(sets.celeba)),
        Figure("same_person.accepted_at_1e-3", float((genuine >= threshold).mean()), n=len(genuine)),
    ]
    for row in rows:
        name = row["group"].lower().replace(" ", "_").replace("/", "_")
        figures.append(
            Figure(
                f"fmr.group.{name}",
                row["rate"] / 1e-3,
                row["low"] / 1e-3,
                row["high"] / 1e-3,
                "ratio",
                "lower",
                row["pairs"],
            )
        )
    return figures


def lfw_figures(ready: Calibration) -> list[Figure]:
    """What the table says of LFW's pairs, which took no part in it."""
    photos = vector_set("lfw", ["lfw.parquet"], ("name", "index"))
    statistics = ready.cohort.statistics(photos.vectors)
    child = ready.may_be_child(photos.vectors)
    names, found = photos.labels["name"], photos.found
    row_of = {(n, int(i)): row for row, (n, i) in enumerate(zip(names, photos.labels["index"], strict=True))}
    all_scores = scores(photos.vectors, photos.vectors, statistics, statistics)
    stranger = np.triu(names[:, None] != names[None, :]) & found[:, None] & found[None, :]
    young = child[:, None] | child[None, :]
    figures = []
    pairs = int(stranger.sum())
    for label, rate in (("1e-1", 1e-1), ("1e-2", 1e-2), ("1e-3", 1e-3), ("1e-4", 1e-4), ("1e-5", 1e-5)):
        told = told_at_most(ready, all_scores, young, rate)
        told &= stranger
        low, high = _people_interval(told, stranger, names)
        figures.append(
            Figure(
                f"lfw.seen_over_stated_{label}",
                told.sum() / pairs / rate,
                low / rate,
                high / rate,
                "ratio",
                "lower",
                pairs,
            )
        )
    same = _lfw_pairs(row_of)
    for label, rate in (("1e-2", 1e-2), ("1e-3", 1e-3), ("1e-4", 1e-4)):
        told = told_at_most(ready, all_scores, young, rate) & found[:, None] & found[None, :]
        accepted = told[same[:, 0], same[:, 1]]
        figures.append(
            Figure(
                f"lfw.accepted_at_{label}",
                float(accepted.mean()),
                *bootstrap(accepted, units=names_of(names, same)),
                n=len(same),
            )
        )
    different = np.asarray(all_scores <= np.interp(DIFFERENT, ready.same_rate, ready.same_score))
    open_ = ~told_at_most(ready, all_scores, young, 1e-3) & ~different
    figures.append(Figure("undecided.same", float(open_[same[:, 0], same[:, 1]].mean()), better="lower", n=len(same)))
    figures.append(Figure("undecided.strangers", float(open_[stranger].mean()), better="lower", n=pairs))
    wrong = different[same[:, 0], same[:, 1]]
    figures.append(
        Figure("lfw.same_called_different", float(wrong.mean()), *bootstrap(wrong), better="lower", n=len(same))
    )
    return figures


def told_at_most(ready: Calibration, all_scores: Any, young: NDArray[np.bool_], rate: float) -> NDArray[np.bool_]:
    """Pairs whose stated false-match rate is at most `rate`."""
    limits = [_lowest(curve, rate) for curve in (ready.everyone, ready.children)]
    return np.asarray(all_scores >= np.where(young, limits[1], limits[0]))


def _lowest(curve: Rates, rate: float) -> float:
    """The lowest score at which the curve states at most `rate`."""
    grid = np.linspace(curve.score[0], curve.score[-1], 200_001)
    reached = np.flatnonzero(curve.at(grid)[:, 0] <= rate * (1 + 1e-9))
    return float(grid[reached[0]]) if len(reached) else np.inf


def names_of(names: NDArray[Any], pairs: NDArray[np.int64]) -> NDArray[Any]:
    """The person of each same-person pair: what a bootstrap draws."""
    return np.asarray(names[pairs[:, 0]])


def _lfw_pairs(row_of: dict[tuple[Any, int], int]) -> NDArray[np.int64]:
    columns = ("name_a", "index_a", "name_b", "index_b", "same")
    rows = parquet_rows([data_folder("lfw") / "lfw_pairs.parquet"], columns)
    return np.array([(row_of[r["name_a"], r["index_a"]], row_of[r["name_b"], r["index_b"]]) for r in rows if r["same"]])


def _people_interval(told: NDArray[np.bool_], stranger: NDArray[np.bool_], names: NDArray[Any]) -> tuple[float, float]:
    """95 % interval of the share of stranger pairs that were told, with people drawn anew (200 draws)."""
    people, index = np.unique(names, return_inverse=True)
    a, b = np.nonzero(told)
    random = np.random.default_rng(SEED)
    sizes = np.bincount(index).astype(np.float64)
    shares = []
    for _ in range(200):
        weight = random.multinomial(len(people), np.full(len(people), 1 / len(people))).astype(np.float64)
        photos = weight * sizes
        total = (photos.sum() ** 2 - (photos * sizes * weight).sum()) / 2
        shares.append((weight[index[a]] * weight[index[b]]).sum() / total)
    return interval(np.array(shares))
