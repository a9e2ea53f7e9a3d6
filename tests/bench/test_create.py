"""What `bench create` measures with, on made-up vectors whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.bench.create import _copied, _looks, _of_ceilings, _pairs, _varied
from visavis.bench.figures import Figure
from visavis.bench.obeyed import Answers, pooled
from visavis.bench.people import Gallery, Pooled, Somebody
from visavis.bench.trade import Place, draw
from visavis.core.types import Floats
from visavis.faces.analyse import find_faces
from visavis.faces.frame import frame_of


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


def test_a_picture_without_a_face_disobeys() -> None:
    found = np.array([True, True, True, False])  # two people with two pictures each
    smile = Answers(np.array([0, 2]), np.array([True, True]))
    look = Answers(np.array([0, 1]), np.array([True, False]))
    obeyed = pooled([smile, look], found, 2)
    assert obeyed.people == 2 and obeyed.value() == pytest.approx(3 / 5)
    assert obeyed.value(np.array([0.0, 1])) == pytest.approx(1 / 2)
    low, high = Pooled(np.array([0.0, 1, 1]), np.ones(3)).interval()
    assert low == pytest.approx(1 / 3) and high == 1


def test_the_photo_itself_copies_and_one_picture_twice_has_no_diversity(portraits: dict[str, Path]) -> None:
    face, other = (find_faces(portraits[name])[0] for name in ("obama", "obama3"))
    own, off = frame_of(face), frame_of(other)
    made = Gallery([], [[own, own, off, None], [own, off, off, off]])
    copied, whose = _copied(_looks(made), [Somebody("somebody", face, ())] * 2)
    assert whose.tolist() == [0, 0, 0, 1, 1, 1, 1] and copied[[0, 1, 3]] == pytest.approx(1)
    assert max(copied[[2, 4]]) < 0.8
    varied, whose = _varied(_looks(made))
    assert whose.tolist() == [0, 1, 1] and varied[[0, 2]] == pytest.approx(0) and varied[1] > 0.2


def test_the_trade_is_drawn_of_systems_with_a_dial_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw([Place("toy", 0.5, 0.1, 0.9), Place("toy", 1.0, 0.3, 0.8)], [Place("toy", 0, 0.2, 0.8), Place("b", 0, 0, 0.9)])
    with Image.open(tmp_path / "results" / "create_trade.png") as drawn:
        assert drawn.size == (720, 480)
