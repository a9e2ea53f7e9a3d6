"""Templates and affines: exact both ways, pixels where the affine says, no black at borders, dlib's own chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.types import Pixels, Template
from visavis.faces import align
from visavis.faces.detect import detect
from visavis.faces.mesh import Mesh, dlib_points, fit_mesh, to_68
from visavis.media.photo import open_photo

TEMPLATES: tuple[Template, ...] = ("recognise", "portrait", "dlib")


@pytest.fixture(scope="module")
def seen(portraits: dict[str, Path]) -> dict[str, tuple[Pixels, Mesh]]:
    found = {}
    for name in ("obama", "obama2", "biden"):
        pixels = open_photo(portraits[name]).pixels
        found[name] = (pixels, fit_mesh(pixels, detect(pixels)[0]))
    return found


@pytest.mark.parametrize("template", TEMPLATES)
def test_crop_goes_back_into_the_photo(seen: dict[str, tuple[Pixels, Mesh]], template: Template) -> None:
    grid = np.random.default_rng(0).uniform(-500, 10_000, (200, 2))
    for pixels, mesh in seen.values():
        crop = align.crop(pixels, mesh.points, template)
        side = align.SIZES[template]
        assert crop.pixels.shape == (side, side, 3)
        assert crop.pixels.dtype == np.uint8
        back = align.apply(crop.to_photo, align.apply(crop.to_crop, grid))
        assert np.abs(back - grid).max() < 1e-6


@pytest.mark.parametrize("a", TEMPLATES)
@pytest.mark.parametrize("b", TEMPLATES)
def test_between_templates(seen: dict[str, tuple[Pixels, Mesh]], a: Template, b: Template) -> None:
    _, mesh = seen["obama2"]
    points = mesh.points[:, :2].astype(np.float64)
    direct = align.apply(align.to_template(points, b), points)
    by_way = align.apply(align.between(points, a, b), align.apply(align.to_template(points, a), points))
    assert np.abs(direct - by_way).max() < 1e-6


def test_portrait_frame() -> None:
    placed = align.apply(align.to_template(align.ARCFACE, "portrait"), align.ARCFACE)
    assert np.hypot(*(placed[1] - placed[0])) == pytest.approx(46, abs=1e-9)
    assert placed[:2].mean(0) == pytest.approx([64, 36], abs=1e-9)
    assert align.apply(align.to_template(align.ARCFACE, "recognise"), align.ARCFACE) == pytest.approx(align.ARCFACE)


def test_eyes_of_a_real_face_are_level_and_left_is_left(seen: dict[str, tuple[Pixels, Mesh]]) -> None:
    for _, mesh in seen.values():
        for template in TEMPLATES:
            placed = align.apply(align.to_template(mesh.points, template), to_68(mesh))
            left, right = placed[36:42].mean(0), placed[42:48].mean(0)
            assert left[0] < right[0]
            assert abs(left[1] - right[1]) < 0.06 * align.SIZES[template]
            assert placed[57][1] > left[1]  # the mouth is below


def test_similarity_is_found_exactly_and_never_mirrors() -> None:
    random = np.random.default_rng(1)
    points = random.normal(0, 50, (9, 2))
    turn = 3.0 * np.array([[np.cos(2.5), -np.sin(2.5)], [np.sin(2.5), np.cos(2.5)]])
    wanted = np.column_stack([turn, [7.0, -90.0]])
    assert align.similarity(points, align.apply(wanted, points)) == pytest.approx(wanted, abs=1e-9)
    mirrored = points * [-1, 1]
    assert np.linalg.det(align.similarity(points, mirrored)[:, :2]) > 0


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("bad", [np.zeros((468, 3)), np.full((5, 2), 17.0), np.full((468, 3), np.nan)])
def test_points_that_say_nothing(template: Template, bad: NDArray[np.float64]) -> None:
    with pytest.raises(InputError):
        align.to_template(bad, template)


def test_whole_shift_copies_pixels() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cut = align.warp(photo, np.array([[1.0, 0, -13], [0, 1.0, -21]]), 32)
    assert np.array_equal(cut, photo[21:53, 13:45])


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.7, 0.45, 0.24, 0.11])
def test_pixels_land_where_the_affine_says(scale: float) -> None:
    height, width = 900, 1100
    y, x = np.mgrid[0:height, 0:width] + 0.5
    spot = (613.3, 402.8)
    radius = 4 / scale
    blob = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * radius**2))
    photo = np.repeat(blob[..., None], 3, 2).astype(np.uint8)
    turn = scale * np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    to_crop = np.column_stack([turn, np.array([70.2, 60.4]) - turn @ spot])
    weight = align.warp(photo, to_crop, 128)[..., 0].astype(np.float64)
    v, u = np.mgrid[0:128, 0:128] + 0.5
    centre = (weight * u).sum() / weight.sum(), (weight * v).sum() / weight.sum()
    assert centre == pytest.approx((70.2, 60.4), abs=0.1)


def test_fine_pattern_becomes_grey_not_moire() -> None:
    photo = np.zeros((1600, 1600, 3), np.uint8)
    photo[::2, ::2] = photo[1::2, 1::2] = 255
    cut = align.warp(photo, np.array([[0.1, 0, -10], [0, 0.1, -10]]), 112).astype(int)
    assert np.abs(cut - 127).max() <= 2


@pytest.mark.parametrize("template", TEMPLATES)
def test_border_is_replicated(seen: dict[str, tuple[Pixels, Mesh]], template: Template) -> None:
    pixels, mesh = seen["obama"]
    middle = int(mesh.points[4, 0])
    half = np.maximum(pixels[:, middle:], 40)  # nothing in the photo is black
    points = mesh.points - [middle, 0, 0]
    whole = align.crop(np.maximum(pixels, 40), mesh.points, template).pixels.astype(int)
    crop = align.crop(half, points, template)
    assert crop.pixels.min() >= 40
    side = align.SIZES[template]
    edge = align.apply(crop.to_crop, np.array([[0.0, 0.0], [0.0, pixels.shape[0]]]))[:, 0]
    inside = slice(int(np.ceil(edge.max())) + 2, side)
    assert 0.3 * side < inside.start < 0.7 * side
    # the shift changes which pixels are averaged together, not the picture
    assert np.abs(crop.pixels[:, inside] - whole[:, inside]).mean() < 4
    outside = crop.pixels[:, : int(edge.min()) - 3].astype(int)
    assert np.abs(np.diff(outside, axis=1)).mean() < 3


@pytest.mark.parametrize("shape", [(1, 6000, 3), (6000, 1, 3), (1, 1, 3), (3, 2, 3)])
def test_odd_photos(shape: tuple[int, int, int]) -> None:
    photo = np.full(shape, 77, np.uint8)
    for scale, shift in ((0.02, 5.0), (1.0, -3.0), (30.0, -9000.0), (1e-4, 1e6), (1.0, 1e9)):
        cut = align.warp(photo, np.array([[scale, 0, shift], [0, scale, shift]]), 64)
        assert cut.shape == (64, 64, 3)
        assert (cut == 77).all()


def test_chip_is_dlibs_own(peer: object, portraits: dict[str, Path], seen: dict[str, tuple[Pixels, Mesh]]) -> None:
    from visavis.bench.peer import Peer
    from visavis.faces.embed import embed_chips

    assert isinstance(peer, Peer)
    for name, (pixels, mesh) in seen.items():
        out = peer.file("chip.npy")
        theirs = np.array(peer.ask("points", photo=str(portraits[name]), out=str(out))["points"], np.float64)
        # same order of points: off by parts of the eye's width, not by an eye
        eye = np.hypot(*(theirs[0] - theirs[2]))
        assert np.hypot(*(dlib_points(mesh) - 0.5 - theirs).T).max() < 0.1 * eye
        chips = np.stack([np.load(out), align.crop(pixels, theirs + 0.5, "dlib").pixels])
        a, b = embed_chips(chips, mirror=False)
        assert float(a @ b) >= 0.999
