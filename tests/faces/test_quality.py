from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import visavis
from visavis.core.types import Pose, Quality
from visavis.faces.detect import detect
from visavis.faces.geometry import geometry, pose
from visavis.faces.mesh import fit_mesh, five_points
from visavis.faces.quality import quality
from visavis.faces.texture import layout, texture

FULL = ("obama", "obama2", "biden")
FRONTAL = Pose(0, 0, 0)
# Outline of the face below the nose, from ear to ear, in mesh vertices.
MASK = (234, 227, 50, 205, 36, 98, 2, 327, 266, 425, 280, 447, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)
MASK = (*MASK, 148, 176, 149, 150, 136, 172, 58, 132, 93)


@dataclass(frozen=True, eq=False)
class Framed:
    box: np.ndarray
    points5: np.ndarray
    turn: int = 0


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Path]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(pixels, mesh points) of the portraits."""
    found = {}
    for name in FULL:
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((1400, 1400))
        pixels = np.asarray(image)
        largest = max(detect(pixels), key=lambda d: (d.box[2] - d.box[0]) * (d.box[3] - d.box[1]))
        found[name] = (pixels, fit_mesh(pixels, largest).points)
    return found


def again(pixels: np.ndarray, points: np.ndarray) -> Quality:
    """Quality after the mesh was fitted anew to a changed photo."""
    frame = Framed(np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]), five_points(points))
    mesh = fit_mesh(pixels, frame)
    return quality(pixels, mesh.points, pose(mesh), mesh.presence)


def filled(pixels: np.ndarray, outline: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in outline[:, :2]], fill=colour)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)))


def light(pixels: np.ndarray, gain: np.ndarray | float) -> np.ndarray:
    return (np.clip((pixels / 255.0) ** 2.2 * gain, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


@pytest.mark.parametrize("name", FULL)
def test_an_official_portrait_has_no_complaint(name, faces):
    pixels, points = faces[name]
    found = quality(pixels, points, pose(points), 1.0)
    assert found.words == ()
    assert found.sharpness.word == "sharp"
    assert found.covered.word == "not covered"


@pytest.mark.parametrize(
    ("eyes", "word", "good"), [(20, "tiny", False), (32, "small", False), (60, "large enough", True)]
)
def test_size(eyes, word, good, faces):
    pixels, points = faces["obama"]
    factor = eyes / quality(pixels, points, FRONTAL, 1.0).size_px.value
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    found = quality(small, points * np.float32(factor), FRONTAL, 1.0)
    assert found.size_px.value == pytest.approx(eyes, rel=0.01)
    assert (found.size_px.word, found.size_px.good) == (word, good)
    assert "blurred" not in found.words  # small is another complaint than blurred


def test_size_does_not_shrink_when_the_head_turns():
    points = geometry().vertices * 80
    turned = points @ np.array([[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]])
    blank = np.full((10, 10, 3), 100, np.uint8)
    straight = quality(blank, points.astype(np.float32), FRONTAL, 1.0).size_px.value
    assert quality(blank, turned.astype(np.float32), FRONTAL, 1.0).size_px.value == pytest.approx(straight, rel=0.1)


@pytest.mark.parametrize("name", FULL)
def test_blur_lowers_sharpness_step_by_step(name, faces):
    pixels, points = faces[name]
    apart = quality(pixels, points, FRONTAL, 1.0).size_px.value
    blurred = [
        np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(share * apart)))
        for share in (0.01, 0.03, 0.05, 0.08, 0.15)
    ]
    values = [again(p, points).sharpness.value for p in (pixels, *blurred)]
    assert all(b <= a + 0.02 for a, b in pairwise(values))
    assert values[0] > 0.55
    assert again(blurred[3], points).sharpness.word == "blurred"
    assert "blurred" in again(blurred[4], points).words


def test_sharpness_does_not_depend_on_contrast(faces):
    pixels, points = faces["obama"]
    flat = (pixels * 0.4 + 80).astype(np.uint8)
    whole, faint = (quality(p, points, FRONTAL, 1.0).sharpness.value for p in (pixels, flat))
    assert faint == pytest.approx(whole, abs=0.12)


@pytest.mark.parametrize(
    ("angles", "word", "good"),
    [
        ((0, 0, 80), "frontal", True),
        ((-25, 5, 0), "turned a little", True),
        ((55, 0, 0), "turned away", False),
        ((5, 45, 0), "looks far up", False),
        ((5, -45, 0), "looks far down", False),
    ],
)
def test_pose(angles, word, good, faces):
    found = quality(*faces["obama"], Pose(*angles), 1.0).pose
    assert (found.word, found.good) == (word, good)


def test_pose_is_the_angle_between_nose_and_camera(faces):
    assert quality(*faces["obama"], Pose(30, 0, 50), 1.0).pose.value == pytest.approx(30)
    assert 40 < quality(*faces["obama"], Pose(30, 30, 0), 1.0).pose.value < 43


@pytest.mark.parametrize("name", FULL)
def test_light(name, faces):
    pixels, points = faces[name]
    assert again(light(pixels, 1 / 30), points).light.word == "too dark"
    assert again(light(pixels, 12), points).light.word == "overexposed"
    low, high = points[:, 0].min(), points[:, 0].max()
    ramp = np.clip((np.arange(pixels.shape[1]) - low) / (high - low), 0, 1)
    assert (
        quality(light(pixels, 2.0 ** (-8 * ramp)[None, :, None]), points, FRONTAL, 1.0).light.word
        == "light from one side"
    )
    washed = (pixels * 0.1 + 180).astype(np.uint8)
    assert quality(washed, points, FRONTAL, 1.0).light.word == "washed out"


@pytest.mark.parametrize("colour", [(240, 240, 240), (150, 190, 215), (30, 30, 35), (200, 60, 60)])
@pytest.mark.parametrize("name", FULL)
def test_a_mask_over_the_lower_half_is_named(name, colour, faces):
    pixels, points = faces[name]
    found = again(filled(pixels, points[list(MASK)], colour), points)
    assert found.covered.word == "lower half covered"
    assert found.covered.value > 0.5
    assert "lower half covered" in found.words


@pytest.mark.parametrize("name", FULL)
def test_a_bar_over_the_eyes_is_named(name, faces):
    pixels, points = faces[name]
    left, right = points[127, :2], points[356, :2]
    high = np.array([0, 0.13 * (right - left)[0]])
    bar = np.stack([left - high, right - high, right + high, left + high])
    assert again(filled(pixels, bar, (10, 10, 10)), points).covered.word == "eyes covered"


@pytest.mark.parametrize("share", [0.35, 0.5])
def test_a_face_cut_by_the_border_is_named(share, faces):
    pixels, points = faces["obama"]
    low, high = points[:, 0].min(), points[:, 0].max()
    gone = int(low + share * (high - low))
    rest = quality(np.ascontiguousarray(pixels[:, gone:]), points - np.float32([gone, 0, 0]), FRONTAL, 1.0)
    assert rest.covered.word == "cut off by the border"
    assert not rest.covered.good


@pytest.mark.parametrize("name", ["obama_partial", "obama_partial2"])
def test_a_face_half_outside_its_photo_is_named(name, portraits):
    (face,) = visavis.look(portraits[name])
    assert face.quality.covered.word == "cut off by the border"
    assert not face.quality.covered.good


def test_a_mesh_that_the_network_doubts_is_named(faces):
    assert quality(*faces["biden"], FRONTAL, 0.2).covered.word == "hardly visible"


def test_the_texture_is_the_same_spot_of_a_turned_photo(faces):
    pixels, points = faces["obama"]
    width = pixels.shape[1]
    turned = np.stack([points[:, 1], width - points[:, 0], points[:, 2]], 1)
    here, there = texture(pixels, points), texture(np.ascontiguousarray(np.rot90(pixels)), turned)
    assert np.abs(here.colours - there.colours).mean() < 6
    assert len(here.colours) == len(layout().cell) > 500


def test_odd_meshes_do_not_break_it():
    blank = np.zeros((40, 40, 3), np.uint8)
    away = (geometry().vertices * 30 + (500, -700, 0)).astype(np.float32)
    found = quality(blank, away, FRONTAL, 0.3)
    assert found.covered.word == "cut off by the border"
    assert np.isfinite(
        [m.value for m in (found.size_px, found.sharpness, found.pose, found.light, found.covered)]
    ).all()
    quality(blank, np.zeros((468, 3), np.float32), FRONTAL, 0.0)


def test_it_is_quick(faces):
    pixels, points = faces["biden"]
    quality(pixels, points, FRONTAL, 1.0)
    times = []
    for _ in range(20):
        started = time.perf_counter()
        quality(pixels, points, FRONTAL, 1.0)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.01  # some 1 ms on a quiet machine
