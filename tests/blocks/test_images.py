"""Images in torch code: exact there and back, and the crop that faces/align.py cuts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.blocks.images import to_pixels, to_tensor, warp  # noqa: E402
from visavis.core.types import Affine, Pixels  # noqa: E402
from visavis.faces import align  # noqa: E402
from visavis.media.photo import open_photo  # noqa: E402


@pytest.fixture(scope="module")
def photo(portraits: dict[str, Path]) -> Pixels:
    return open_photo(portraits["obama2"]).pixels[200:560, 100:500]


def turned(scale: float, degrees: float, shift: tuple[float, float]) -> Affine:
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def test_every_level_comes_back() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    images = to_tensor(levels)
    assert images.shape == (1, 3, 16, 16) and images.dtype == torch.float32
    assert float(images.min()) == -1 and float(images.max()) == 1
    assert np.array_equal(to_pixels(images), levels)
    assert np.array_equal(to_pixels(to_tensor(levels[0, :, ::-1])), levels[:, :, ::-1])


def test_photos_come_back(photo: Pixels) -> None:
    pixels = photo.copy()
    pixels.flags.writeable = False
    images = to_tensor(pixels)
    assert images.shape == (1, 3, *pixels.shape[:2])
    assert np.array_equal(to_pixels(images)[0], pixels)


def test_to_pixels_rounds_and_clamps() -> None:
    images = torch.tensor([-3.0, 0.6 / 127.5 - 1, 1.4 / 127.5 - 1, 0.999, 7.0, 1.0]).reshape(1, 1, 1, 6)
    pixels = to_pixels(images.expand(1, 3, 1, 6).requires_grad_())
    assert pixels.dtype == np.uint8
    assert pixels[0, 0, :, 0].tolist() == [0, 1, 1, 255, 255, 255]


@pytest.mark.parametrize(("scale", "degrees"), [(1, 0), (0.9, 5), (1.1, -20), (1.3, 170)])
def test_warp_is_the_crop_of_align(photo: Pixels, scale: float, degrees: float) -> None:
    middle = align.apply(turned(scale, degrees, (0, 0)), np.array([[200.0, 180.0]]))[0]
    to_crop = turned(scale, degrees, tuple(75.3 - middle))
    crop = (warp(to_tensor(photo), to_crop, 150)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    # Pillow cuts its interpolated levels down to whole ones instead of rounding them.
    difference = np.abs(np.floor(crop + 1e-3) - align.warp(photo, to_crop, 150))
    assert difference.mean() < 0.01 and difference.max() <= 1


def test_warp_beside_the_image_replicates(photo: Pixels) -> None:
    to_crop = turned(1, 0, (40, 30))
    ours = to_pixels(warp(to_tensor(photo), to_crop, 96))[0]
    assert np.array_equal(ours, align.warp(photo, to_crop, 96))
    assert (ours[:30, :40] == photo[0, 0]).all()


def test_warp_takes_one_affine_or_one_for_each(photo: Pixels) -> None:
    images = to_tensor(np.stack([photo, photo[:, ::-1]]))
    a, b = turned(0.8, 10, (3, 4)), turned(1.2, -10, (-30, 4))
    both = warp(images, torch.tensor(np.stack([a, b])), 64)
    assert both.shape == (2, 3, 64, 64) and both.dtype == torch.float32
    assert torch.equal(both[:1], warp(images[:1], a, 64))
    assert torch.equal(both[1:], warp(images[1:], b, 64))
    assert torch.equal(warp(images, a, 64)[1:], warp(images[1:], a, 64))


def test_warp_moves_nothing_where_nothing_moves(photo: Pixels) -> None:
    square = to_tensor(photo[:128, :128])
    assert (warp(square, np.eye(2, 3), 128) - square).abs().max() < 1e-4


def test_warp_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((2, 3, 9, 8), generator=generator, dtype=torch.float64, requires_grad=True)
    to_crop = torch.tensor(turned(0.8, 12, (0.3, -0.2))).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, a: warp(i, a, 6), (images, to_crop))


def test_autocast_moves_nothing(photo: Pixels) -> None:
    images, to_crop = to_tensor(photo), turned(1.1, 7, (-90.4, -80.2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(warp(images, to_crop, 112), expected := warp(images, to_crop, 112))
        half = warp(images.bfloat16(), to_crop, 112)
    assert torch.equal(warp(images, to_crop, 112), expected)
    assert half.dtype == torch.float32 and (half - expected).abs().max() < 0.01


def test_other_arrays_are_refused(photo: Pixels) -> None:
    images = to_tensor(photo)
    for wrong in (photo.astype(np.float32), photo[..., 0], photo[..., :2]):
        with pytest.raises(ValueError, match="Pixels are uint8"):
            to_tensor(wrong)
    for bad in (images[0], images.permute(0, 2, 3, 1), images.to(torch.uint8)):
        with pytest.raises(ValueError, match="Images are float"):
            to_pixels(bad)
        with pytest.raises(ValueError, match="Images are float"):
            warp(bad, np.eye(2, 3), 8)
    for affine in (np.eye(3), np.zeros((2, 2, 3))):
        with pytest.raises(ValueError, match="Affines are"):
            warp(images, affine, 8)
