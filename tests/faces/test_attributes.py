"""Words on a face: an age that it looks like, an expression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import visavis as vv
from visavis.faces.attributes import Age, expression_words


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
