"""Calibration on numbers whose answer is known, and on a user's own photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.bench.calibrate import run
from visavis.bench.curves import curve_of
from visavis.bench.mixture import fit_child, fit_mixture
from visavis.bench.strangers import Group, pair_up
from visavis.core.errors import InputError
from visavis.faces.score import FLOOR, Calibration, Cohort, Rates


def strangers(count: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """Unit vectors around a common direction, as a recogniser's are; spread: how far apart."""
    random = np.random.default_rng(seed)
    vectors = spread * random.normal(size=(count, 32)) * np.linspace(1, 0.2, 32) + 4 * np.eye(32)[0]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort.draw(fit_mixture(strangers(4000, 1), components=8))


def grouped(cohort: Cohort, vectors: np.ndarray) -> Group:
    return Group(vectors, cohort.statistics(vectors), np.arange(len(vectors)))


def test_every_pair_is_counted_once(cohort: Cohort) -> None:
    a, b = grouped(cohort, strangers(700, 2)), grouped(cohort, strangers(30, 3))
    assert pair_up("a", a).total == 700 * 699 // 2
    assert pair_up("ab", a, b).total == 700 * 30
    people = Group(a.vectors, a.statistics, np.arange(700) // 2)
    assert pair_up("others", people, other_people=True).total == 700 * 699 // 2 - 350


def test_stated_rates_hold_for_strangers_that_were_not_counted(cohort: Cohort) -> None:
    sources = [pair_up(str(seed), grouped(cohort, strangers(1500, seed))) for seed in (4, 5)]
    curve = curve_of(sources, sources, smallest=1e-5, seed=0)
    unseen = pair_up("unseen", grouped(cohort, strangers(3000, 6)))
    for rate in (1e-1, 1e-2, 1e-3):
        assert unseen.rate(curve.score_at(rate)) <= 1.15 * rate
    rates = Rates.of(curve.row())
    stated = rates.at(np.linspace(-20, 60, 500))
    assert np.all(np.diff(stated, axis=0) <= 0) and stated.min() == FLOOR and stated[0, 0] == 1
    assert np.all(stated[:, 1] >= stated[:, 0] * (1 - 1e-6))
    assert curve.measured == 1e-5


def test_few_pairs_do_not_support_small_rates(cohort: Cohort) -> None:
    source = pair_up("few", grouped(cohort, strangers(100, 7)))
    curve = curve_of([source], [source], smallest=1e-5, seed=0)
    assert curve.measured == pytest.approx(10 / source.total)


def test_a_crowded_group_has_a_worse_rate_beside_the_overall_one(cohort: Cohort) -> None:
    everyone = pair_up("all", grouped(cohort, strangers(1500, 8)))
    crowded = pair_up("crowded", grouped(cohort, strangers(800, 9, spread=0.5)))
    curve = curve_of([everyone], [everyone, crowded], smallest=1e-5, seed=0)
    at = int(np.argmin(np.abs(curve.rate - 1e-3)))
    assert curve.worst[at] > 3e-3


def test_the_child_flag_reaches_its_recall() -> None:
    vectors = strangers(4000, 10)
    child = vectors[:, 3] + 0.02 * np.random.default_rng(0).normal(size=4000) > 0.15
    weights = fit_child(vectors[:3000], child[:3000])
    flagged = vectors[3000:] @ weights[:-1] + weights[-1] > 0
    assert flagged[child[3000:]].mean() > 0.8 and flagged[~child[3000:]].mean() < 0.3


def test_the_cohort_is_drawn_alike_everywhere() -> None:
    cohort = Cohort.draw(
        {
            "means": np.eye(3, dtype=np.float16)[:2],
            "shares": np.ones(2, np.float32),
            "factor": 0.1 * np.eye(3, dtype=np.float16),
            "draws": np.array(4),
            "nearest": np.array(2),
            "seed": np.array(0),
        }
    )
    assert cohort.vectors.shape == (4, 3)
    np.testing.assert_allclose(np.linalg.norm(cohort.vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(cohort.vectors[0], [0.2016, 0.9741, 0.1025], atol=1e-4)


def test_own_strangers_need_enough_photos(portraits: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "staff"
    folder.mkdir()
    Image.open(portraits["biden"]).save(folder / "a.png")
    with pytest.raises(InputError, match="at least 200 photos"):
        run(tmp_path / "out", strangers=[folder])


def test_own_strangers_make_tables_that_load(data_sets: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = tmp_path / "people"
    rows = pq.read_table(data_sets / "identity" / "celeba_identity.parquet", columns=["image", "name"]).slice(0, 450)
    for number, row in enumerate(rows.to_pylist()):
        (folder / row["name"]).mkdir(parents=True, exist_ok=True)
        (folder / row["name"] / f"{number}.webp").write_bytes(row["image"])
    run(tmp_path / "out", strangers=[folder])
    ready = Calibration.read(tmp_path / "out")
    assert ready.origin["data"] == "own photos: people"
    assert not ready.may_be_child(strangers(5, 0)[:, :32] @ np.zeros((32, 128), np.float32)).any()
    table = json.loads((tmp_path / "out" / "false_match_table.json").read_text())
    assert table["everyone"]["measured"] > 1e-5


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no calibration"):
        Calibration.read(tmp_path)
