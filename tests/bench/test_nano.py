"""What `bench nano` measures with, on cases whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.bench import nano, obeyed
from visavis.bench.canvas import see, smiled, turned
from visavis.faces.analyse import find_faces
from visavis.faces.frame import BORDER, canvas
from visavis.faces.mesh import to_68


def test_frechet_of_known_distributions() -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=(40_000, 3))
    b = random.normal(size=(40_000, 3)) * 2 + (1, 0, 0)
    assert nano.frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert nano.frechet(a, b) == pytest.approx(1 + 3, rel=0.05)  # shift squared and (2 - 1) squared for each axis


def test_bands_and_variation() -> None:
    assert [obeyed.band(years) for years in (0, 2.9, 3, 19.5, 20, 69.9, 70, 90)] == [0, 0, 1, 2, 3, 7, 8, 8]
    assert nano.variation(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0])) == 0.5
    assert nano.variation(np.array([0]), np.array([13])) == 1


def test_a_frame_on_its_canvas_is_seen_and_its_mirror_image_turns_the_other_way(portraits: dict[str, Path]) -> None:
    frame = find_faces(portraits["obama"])[0].crop("portrait").pixels
    nothing = np.full_like(frame, 128)
    assert (canvas(frame)[BORDER:-BORDER, BORDER:-BORDER] == frame).all()
    seen = see(np.stack([frame, nothing, frame[:, ::-1]]), "frames")
    assert seen.found.tolist() == [True, False, True]
    assert np.linalg.norm(seen.vectors, axis=1) == pytest.approx([1, 0, 1], abs=1e-5)
    assert seen.vectors[0] @ seen.vectors[2] > 0.8
    points = np.stack([to_68(mesh) for mesh in seen.facts["mesh"][[0, 2]]]).astype(float)
    one, other = turned(points)
    assert one == pytest.approx(-other, abs=0.06)
    assert smiled(points)[0] == pytest.approx(smiled(points)[1], abs=0.1)


def test_turns_and_smiles_of_drawn_points() -> None:
    points = np.zeros((1, 68, 2))
    points[0, [36, 45]] = (0, 0), (10, 0)
    points[0, 30] = (8, 5)
    points[0, [48, 54]], points[0, [62, 66]] = [(2, 10), (8, 10)], [(5, 11), (5, 13)]
    assert turned(points) == pytest.approx([0.3])
    assert smiled(points) == pytest.approx([0.6 + 2 * 0.2])
