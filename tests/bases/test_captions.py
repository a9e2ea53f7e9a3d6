"""Captions say what holds, in words that nano knows."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("torch")

from visavis.bases.nano import captions as made
from visavis.bases.nano.captions import RULES, Described
from visavis.bases.nano.words import FREE, NUMBERS, WORDS, unknown_words


def people(count: int = 1, age: tuple[float, float] = (30, 40), female: float = 1.0, **measures: float) -> Described:
    usual = dict.fromkeys(RULES, 0.0) | {"smile": 0.3, "mouth": 0.2, "eyes": 0.5, "sharpness": 0.7, "colour": 40.0}
    values = {name: np.full(count, value, np.float32) for name, value in (usual | measures).items()}
    return Described(values, np.tile(np.array(age, np.float32), (count, 1)), np.full(count, female, np.float32))


def test_a_mirror_swaps_left_and_right() -> None:
    face = people(yaw=-30.0, side=2.0)
    assert face.words(0, False) == ["looking left", "light from left"]
    assert face.words(0, True) == ["looking right", "light from right"]


def test_nothing_is_said_between_the_thresholds() -> None:
    assert people(yaw=12.0).words(0, False) == []
    assert people().words(0, False) == ["looking straight"]
    assert people(yaw=12.0, smile=0.9, mouth=0.0, eyes=0.1, colour=2.0).words(0, False) == [
        "smiling",
        "mouth closed",
        "eyes closed",
        "grey",
    ]


def test_ages_lie_inside_the_label_and_some_captions_are_empty() -> None:
    face, random = people(yaw=-30.0, smile=0.9), np.random.default_rng(0)
    said = [face.caption(0, False, random) for _ in range(2000)]
    ages = [int(n) for text in said for n in re.findall(r"\d+", text)]
    assert min(ages) == 30 and max(ages) == 39
    assert 0.07 < np.mean([not text for text in said]) < 0.13
    assert 0.5 < np.mean(["smiling" in text for text in said if text]) < 0.9
    assert any("in her thirties" in text for text in said) and not any(" man" in text for text in said)


def test_every_caption_is_made_of_known_words() -> None:
    random = np.random.default_rng(1)
    for low in (0, 3, 10, 20, 60, 85, 95, np.nan):
        for female in (0.0, 1.0, np.nan):
            for sign in (-1, 1):
                wild = dict.fromkeys(RULES, sign * 1000.0)
                face = people(age=(low, low + 10), female=female, **wild)
                for mirrored in (False, True) * 20:
                    said = face.caption(0, mirrored, random)
                    assert unknown_words(said) == [], said
                    assert len(re.findall(r"\w+|[^\w\s]+", said)) <= 30  # start and end take two of 32


def test_a_photo_without_labels_is_of_a_person() -> None:
    face, random = people(age=(np.nan, np.nan), female=np.nan), np.random.default_rng(0)
    said = {face.caption(0, False, random) for _ in range(200)}
    assert said <= {
        "",
        *(f"{start}a person{end}" for start in ("", "photo of ", "portrait of ") for end in ("", ", looking straight")),
    }


def test_words_that_are_not_known_are_named_as_typed() -> None:
    assert unknown_words("A smiling Woman, 40, wearing GLASSES") == ["wearing", "GLASSES"]
    assert unknown_words("") == []


def test_the_shipped_vocabulary_never_changes() -> None:
    """Weights know words by number."""
    import hashlib

    assert len(WORDS) == len(set(WORDS)) and WORDS[:4] == ("<pad>", "<unk>", "<start>", "<end>")
    assert WORDS[-64:] == FREE and len(NUMBERS) == 91
    assert hashlib.sha256(" ".join(WORDS).encode()).hexdigest()[:12] == "f27f9950aaa5"


def test_measures_of_pixels() -> None:
    grey = np.full((128, 128, 3), 120, np.uint8)
    lit = grey.copy()
    lit[:, :64], lit[:, 64:] = 200, 50
    white = np.full((128, 128, 3), 250, np.uint8)
    found = dict(zip(made.LIGHT, made.light(np.stack([grey, lit, white, grey // 6])).T, strict=True))
    assert found["side"][0] == pytest.approx(0, abs=1e-3) and found["side"][1] > 2
    assert found["white"].tolist() == [0, 0, 1, 0]
    assert found["colour"].max() == 0
    assert found["highlights"][3] < -4 < found["highlights"][0]
