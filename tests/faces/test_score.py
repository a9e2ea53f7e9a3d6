"""Answers: one score, one table, honest words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import visavis as vv
from visavis.app import words
from visavis.core.types import Face, Measure
from visavis.faces.score import FLOOR, FLOOR_COVERED, calibration, match, scores


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Path]) -> dict[str, Face]:
    return {name: vv.look(path)[0] for name, path in portraits.items()}


def test_the_same_man_and_another(faces: dict[str, Face]) -> None:
    for name in ("obama2", "obama3", "obama_partial"):
        assert match(faces["obama"], faces[name]).same is True
    for name in ("obama", "obama2", "obama3"):
        assert match(faces[name], faces["biden"]).same is False


def test_swapping_changes_nothing(faces: dict[str, Face]) -> None:
    one, other = match(faces["obama"], faces["biden"]), match(faces["biden"], faces["obama"])
    assert (one.score, one.false_match_rate, one.same) == (other.score, other.false_match_rate, other.same)


def test_the_rate_is_monotone_and_never_below_what_the_table_supports() -> None:
    ready = calibration()
    for curve in (ready.everyone, ready.children):
        stated = curve.at(np.linspace(curve.score[0] - 5, curve.score[-1] + 20, 4000))
        assert np.all(np.diff(stated, axis=0) <= 1e-15)
        assert stated[0, 0] == 1
        assert stated.min() >= FLOOR
    assert ready.everyone.measured <= 1e-5
    assert ready.children.at(100.0)[0] == 1e-3
    missed = [ready.missed(s) for s in np.linspace(-30, 30, 500)]
    assert missed == sorted(missed) and missed[0] <= 1e-3 and missed[-1] == 1


def test_the_verdict_follows_from_the_rate_alone(faces: dict[str, Face]) -> None:
    for limit in (1e-6, 1e-3, 0.4):
        for name in ("obama2", "obama3", "biden"):
            one = match(faces["obama"], faces[name], max_false_match=limit)
            assert (one.same is True) == (one.false_match_rate <= limit)
            assert one.false_match_rate_worst_group >= one.false_match_rate
            assert {"data", "command"} <= one.table.keys() and sum(one.table["pairs"].values()) > 1e6


def test_a_covered_face_is_never_told_a_small_rate_nor_different(faces: dict[str, Face]) -> None:
    hidden = replace(faces["obama"].quality, covered=Measure(0.9, "lower half covered", False))
    face = replace(faces["obama"], quality=hidden)
    same = match(face, faces["obama2"])
    assert same.false_match_rate == FLOOR_COVERED and any("covered" in r for r in same.reasons)
    assert match(face, faces["biden"]).same is None


def test_tiny_and_blurred_faces_are_never_called_different(portraits: dict[str, Path], faces: dict[str, Face]) -> None:
    image = Image.open(portraits["biden"]).convert("RGB")
    x1, y1, x2, y2 = faces["biden"].box
    head = image.crop((int(x1 - 150), int(y1 - 150), int(x2 + 150), int(y2 + 150)))
    tiny = np.asarray(head.resize((90, 90 * head.height // head.width), Image.Resampling.LANCZOS))
    blurred = np.asarray(head.filter(ImageFilter.GaussianBlur((x2 - x1) / 18)))
    for pixels, word in ((tiny, "tiny"), (blurred, "blurred")):
        (face,) = vv.look(pixels)
        assert word in face.quality.words
        assert match(face, faces["obama"]).same is not False


def test_a_painted_mask_is_found_and_named(portraits: dict[str, Path], faces: dict[str, Face]) -> None:
    image = Image.open(portraits["biden"]).convert("RGB")
    mesh = faces["biden"].mesh
    outline = [127, 234, 93, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 323, 454, 356, 6]
    ImageDraw.Draw(image).polygon([tuple(mesh[i, :2]) for i in outline], fill=(225, 232, 238))
    found = vv.look(np.asarray(image))
    assert len(found) == 1
    covered = found[0].quality.covered
    assert not covered.good and "covered" in covered.word
    assert match(found[0], faces["biden"]).false_match_rate >= FLOOR_COVERED


def test_scores_of_many_equal_the_score_of_two(faces: dict[str, Face]) -> None:
    ready = calibration()
    vectors = np.stack([face.embedding for face in faces.values()])
    statistics = ready.cohort.statistics(vectors)
    table = scores(vectors, vectors, statistics, statistics)
    names = list(faces)
    for i, j in ((0, 1), (2, 5), (3, 4)):
        assert abs(match(faces[names[i]], faces[names[j]]).score - table[i, j]) < 1e-3


def test_rates_are_said_rounded_up() -> None:
    assert words.one_in(1e-3) == "1 in 1,000"
    assert words.one_in(1 / 1234) == "1 in 1,200"
    assert words.one_in(1 / 1299.9) == "1 in 1,200"
    assert words.one_in(0.7) == "1 in 1"
    assert words.one_in(1e-7) == "1 in 10,000,000"
