"""What `bench create` measures with, on made-up vectors whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from visavis.bench.create import _of_ceilings, _pairs
from visavis.bench.figures import Figure
from visavis.bench.people import Gallery
from visavis.core.types import Floats


@dataclass(frozen=True, eq=False)
class Known(Gallery):
    """Eight pictures of each person: a direction of their own, one that all share, and noise."""

    own: float
    shared: float

    def judged(self) -> list[Floats]:
        random, made = np.random.default_rng(0), []
        common = random.standard_normal(64)
        for _ in range(40):
            person = self.own * random.standard_normal(64) + self.shared * common
            vectors = person + 0.3 * random.standard_normal((8, 64))
            made.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
        return made


def shares(own: float, shared: float) -> tuple[float, float]:
    strict, photos = _pairs("toy", Known([], [], own, shared))
    assert strict.name == "toy.same_person_pairs" and strict.n == 40 * 28
    assert strict.low is not None and strict.high is not None and strict.low <= strict.value <= strict.high
    return strict.value, photos.value


def test_one_face_for_all_earns_nothing_where_it_would_pass_as_photos_do() -> None:
    assert shares(1.0, 0.0) == (1.0, 1.0)
    strict, photos = shares(0.0, 1.0)
    assert strict < 0.01 and photos == 1.0


def test_likeness_as_a_share_of_the_ceilings() -> None:
    values = {"ceiling.autoencoder": 0.8, "ceiling.vector_a": 0.5, "toy.likeness": 0.4, "toy.likeness.fifty": 0.3}
    made = _of_ceilings([Figure(name, value) for name, value in values.items()])
    assert {figure.name: figure.value for figure in made} == {
        "toy.likeness.of_ceiling_autoencoder": pytest.approx(0.5),
        "toy.likeness.of_ceiling_vector_a": pytest.approx(0.8),
    }
