"""Words on a face: an age that it looks like, an expression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import visavis as vv
from visavis.core.types import Age
from visavis.faces.attributes import bias_labels, expression_words


@pytest.mark.parametrize(
    ("years", "band"),
    [(0.2, "0-2"), (2.9, "0-2"), (3, "3-9"), (19.9, "10-19"), (40, "40-49"), (69.9, "60-69"), (70, "70+")],
)
def test_bands_are_those_of_fairface(years: float, band: str) -> None:
    assert Age(years, years - 1, years + 1).band == band


def test_an_age_is_what_a_face_looks_like() -> None:
    assert Age(40.2, 33.4, 47.1).words == "looks about 40 (33 to 47)"


def test_expression_in_words(portraits: dict[str, Path]) -> None:
    (smiling,) = vv.look(portraits["obama"])
    (sober,) = vv.look(portraits["biden"])
    assert expression_words(smiling) == ("eyes open", "smiles", "mouth open")
    assert expression_words(sober) == ("eyes open",)
    assert expression_words(replace(sober, eyes_open=0.1)) == ("eyes closed",)


def test_ages_of_portraits(portraits: dict[str, Path]) -> None:
    """Photos of a man of 47 to 51 and of one of 70; an error of 15 years is what a single photo may have."""
    (obama,), (biden,) = vv.look(portraits["obama"]), vv.look(portraits["biden"])
    assert 32 <= obama.age.years <= 65 and 55 <= biden.age.years <= 85
    assert obama.age.low < obama.age.years < obama.age.high
    assert obama.age is obama.age


def test_labels_are_fairface_s_and_only_told_when_asked(portraits: dict[str, Path]) -> None:
    (obama,) = vv.look(portraits["obama"])
    (known,) = bias_labels([obama])
    assert known.female < 0.2
    assert sum(known.race.values()) == pytest.approx(1, abs=1e-3)
    assert known.words.startswith("Male ")
    assert not {"gender", "race", "labels", "female"} & set(dir(obama))
