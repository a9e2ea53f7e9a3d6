"""Likeness pooled over people, and what a claim's effect is called, on numbers whose answer is known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from visavis.bench.arms import _precision
from visavis.bench.claims import decided, drawn, finding, verdict
from visavis.bench.figures import Figure, write
from visavis.bench.pairs import Pair, Pooled, prompts, scored
from visavis.bench.people import Cosines
from visavis.faces.analyse import find_faces
from visavis.faces.frame import frame_of
from visavis.training.runs import run_folder


def of(share: float, people: int = 12) -> Cosines:
    """Each person a direction of their own, beside one that all share; made pictures keep `share` of the own one."""
    own, common = np.eye(people + 1)[:people], np.eye(people + 1)[people]

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    photos = unit(own + common).astype(np.float32)
    made = unit(share * own + np.sqrt(2 - share**2) * common).astype(np.float32)
    return Cosines.of([row[None] for row in made], photos, [row[None] for row in photos])


def test_likeness_is_1_for_the_photo_and_0_for_what_all_share() -> None:
    assert of(1.0).likeness() == pytest.approx(1, abs=1e-5)
    assert of(0.0).likeness() == pytest.approx(0, abs=1e-5)  # a common look earns nothing
    assert of(0.5).likeness() == pytest.approx(0.5, abs=1e-5)
    low, high = of(0.5).interval()
    assert low <= 0.5 + 1e-5 and high >= 0.5 - 1e-5


def test_all_runs_of_a_claim_compute_as_the_first_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    for name, precision in (("claim-toy-one-0-9", "bfloat16"), ("claim-toy-other-0-9", "float32")):
        folder = run_folder(name)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"precision": precision}))
        os.utime(folder / "run.json", (0, 0) if precision == "bfloat16" else None)
    assert _precision("toy", "claim-toy-*-9", ()) == "bfloat16"


def test_an_effect_is_drawn_over_people_and_seeds_alike_in_both_arms() -> None:
    effects = drawn([of(0.6), of(0.8)], [of(0.5), of(0.5)])
    assert effects.mean() == pytest.approx(0.2, abs=0.02)
    assert effects.min() == pytest.approx(0.1, abs=0.01) and effects.max() == pytest.approx(0.3, abs=0.01)
    assert np.allclose(drawn([of(0.5)], [of(0.5)]), 0)


@pytest.mark.parametrize(
    ("effects", "low", "high", "found"),
    [
        ([0.1, 0.2], 0.05, 0.3, "holds"),
        ([-0.1, -0.2], -0.3, -0.05, "reversed"),
        ([0.1, 0.2], -0.01, 0.3, "null"),
        ([-0.01, 0.3], 0.02, 0.3, "null"),  # the seeds disagree
    ],
)
def test_a_verdict_needs_an_interval_without_zero_and_seeds_that_agree(
    effects: list[float], low: float, high: float, found: str
) -> None:
    assert verdict(effects, low, high) == found


def test_a_score_of_pictures_is_drawn_over_people() -> None:
    values, people = np.array([0.1, 0.3, 0.8]), np.array([0, 0, 2])
    pooled = Pooled.of(values, people, 3)
    assert pooled.value() == pytest.approx(0.4) and pooled.people == 3
    assert pooled.value(np.array([0.0, 2, 1])) == pytest.approx(0.8)
    better, worse = (Pooled.of(values - less, np.arange(3), 3) for less in (0.05, 0))
    assert np.allclose(drawn([better, better], [worse, worse]), -0.05)


def test_an_idea_holds_where_it_copies_less() -> None:
    people = np.arange(20)
    values = np.linspace(0.1, 0.4, 20)
    less, more = ([{"copy_paste": Pooled.of(values - off, people, 20)}] * 2 for off in (0.1, 0.0))
    assert decided("copy_paste", [less, more]) == "holds" and decided("copy_paste", [more, less]) == "reversed"
    likeness = [[{"likeness": one["copy_paste"]} for one in arm] for arm in (less, more)]
    assert decided("likeness", likeness) == "reversed" and decided("copy_paste", [less, less]) == "null"


def test_a_verdict_names_its_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    price = "likeness to the other photo is not shown to be non-inferior: lower end -0.028, margin -0.02"
    figures = [Figure("effect", -0.02, -0.03, -0.01, "copy_paste", "lower", 9)]
    for notes, words in ((["verdict: holds", price], f"; {price}"), (["verdict: holds"], "to -0.010)")):
        found = finding(write("toy", figures, seed=0, started=0, notes=notes))
        assert found.words.startswith("holds (effect on copy_paste -0.020") and found.words.endswith(words)


def test_a_picture_of_the_reference_copies_and_one_of_the_truth_does_not(portraits: dict[str, Path]) -> None:
    faces = {name: find_faces(portraits[name])[0] for name in ("obama", "obama2", "obama3", "biden")}
    truth, like, other = (frame_of(faces[name]) for name in ("obama3", "obama2", "biden"))
    pair = Pair(0, faces["obama"], truth, "")
    values = [scored([made], [pair], 1) for made in (frame_of(faces["obama"]), truth, like, other)]
    copied, same, alike, stranger = (one.copy_paste.value() for one in values)
    assert copied == pytest.approx(1, abs=5e-3) and same == pytest.approx(-1, abs=5e-3)
    assert abs(alike) < 0.6 and abs(stranger) < 0.6
    assert values[2].sim_gt.value() > values[3].sim_gt.value() + 0.2
    assert values[0].sim_ref.value() == pytest.approx(1, abs=1e-4)


def test_prompts_are_the_other_photo_s_looks_and_ask_for_a_sharp_picture(portraits: dict[str, Path]) -> None:
    frame = frame_of(find_faces(portraits["obama"])[0]).pixels
    smiling, nobody = prompts(np.stack([frame, np.full_like(frame, 128)]))
    assert "smiling" in smiling.split(", ") and smiling.endswith("sharp") and smiling.count("sharp") == 1
    assert nobody == "sharp"
