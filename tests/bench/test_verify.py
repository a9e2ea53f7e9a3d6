"""`visavis bench verify` on real photos, and its figures on numbers whose answer is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from visavis.app.cli import run
from visavis.bench.verify import best_threshold, det, figures, read_pairs
from visavis.core.errors import InputError


def test_figures_of_perfect_useless_and_known_scores() -> None:
    same = np.arange(2000) % 2 == 0
    units, groups = np.arange(2000), np.full(2000, "")
    perfect = {f.name: f.value for f in figures(np.where(same, 1.0, 0.0), same, units, groups)}
    assert perfect["accuracy"] == 1 and perfect["eer"] == 0 and perfect["tar_at_far_1e-2"] == 1
    useless = {f.name: f.value for f in figures(np.random.default_rng(0).normal(size=2000), same, units, groups)}
    assert abs(useless["accuracy"] - 0.5) < 0.05 and abs(useless["eer"] - 0.5) < 0.05
    assert useless["tar_at_far_1e-2"] < 0.05
    assert "tar_at_far_1e-4" not in useless  # 1,000 strangers do not support it


def test_det_counts_both_errors() -> None:
    score, same = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    np.testing.assert_allclose(det(score, same), [[4, 0, 0.5], [3, 0.5, 0.5], [2, 0.5, 0], [1, 1, 0]])
    assert best_threshold(np.array([5.0, 4.0, 2.0, 1.0]), np.array([True, True, False, False])) == 3


def test_pairs_of_real_photos(portraits: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "pairs.csv"
    rows = [("obama", "obama2", 1), ("obama", "obama3", 1), ("obama", "biden", 0), ("obama2", "biden", 0)]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("a", "b", "same"))
        writer.writerows([(portraits[a], portraits[b], same) for a, b, same in rows])
    assert run(["bench", "verify", str(table), "--out", str(tmp_path / "out")]) == 0
    assert "eer" in capsys.readouterr().out
    found = {f["name"]: f["value"] for f in json.loads((tmp_path / "out" / "verify.json").read_text())["figures"]}
    assert found["eer"] == 0 and found["photos.without_face"] == 0
    with (tmp_path / "out" / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert min(float(r["score"]) for r in scores if r["same"] == "1") > max(
        float(r["score"]) for r in scores if r["same"] == "0"
    )
    assert (tmp_path / "out" / "det.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns"),
        ("x,y\n1,2\n", "columns"),
        ("a,b,same\nx,y,maybe\n", "line 2"),
        ("a,b,same\nx,y,1\n", "both kinds"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(path)
