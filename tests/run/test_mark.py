"""The invisible mark on real portraits: read back after what happens to pictures, absent where it was not laid."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.core.types import Affine, Pixels
from visavis.faces.analyse import find_faces
from visavis.media.photo import open_photo
from visavis.run import mark

WHOLE = [np.eye(2, 3)]


def jpeg(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return np.asarray(Image.open(file))


def half(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR))


def cropped(pixels: Pixels) -> Pixels:
    """90 % of both sides, most of the loss on the left and at the bottom."""
    height, width = pixels.shape[:2]
    return pixels[round(0.03 * height) : round(0.93 * height), round(0.09 * width) : round(0.99 * width)]


def psnr(before: Pixels, after: Pixels) -> float:
    return float(20 * np.log10(255 / np.sqrt(np.mean((before.astype(float) - after) ** 2))))


def frames_of(pixels: Pixels) -> list[Affine]:
    return [face.crop().to_crop for face in find_faces(pixels)]


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Path]) -> dict[str, Pixels]:
    """Portrait frames uint8 [128, 128, 3]."""
    return {name: find_faces(path)[0].crop().pixels for name, path in portraits.items()}


@pytest.fixture(scope="module")
def photo(portraits: dict[str, Path]) -> Pixels:
    return open_photo(portraits["obama"]).pixels


def test_a_face_of_128_pixels_keeps_its_mark(faces: dict[str, Pixels]) -> None:
    for name, face in faces.items():
        marked = mark.embed(face, WHOLE)
        assert marked.dtype == np.uint8 and marked.shape == face.shape
        assert psnr(face, marked) >= 38, name
        assert not mark.read(face, WHOLE).found, name
        for seen in (marked, jpeg(marked), cropped(marked), half(marked), half(jpeg(marked)), jpeg(half(marked))):
            reading = mark.read(seen)
            assert reading.found and reading.false_alarm <= 1 / 3000, name


def test_a_large_picture_carries_it_on_the_whole_and_on_the_face(photo: Pixels) -> None:
    frames = frames_of(photo)
    marked = mark.embed(photo, frames)
    assert psnr(photo, marked) >= 38
    assert not mark.read(photo, frames).found
    for seen in (marked, jpeg(marked), cropped(marked), half(marked), jpeg(half(marked))):
        assert mark.read(seen).found
    x1, y1, x2, y2 = (int(side) for side in find_faces(photo)[0].box)
    cut = jpeg(marked[y1 - 40 : y2 + 40, x1 - 40 : x2 + 40])
    assert not mark.read(cut).found  # too little is left of the whole
    assert mark.read(cut, frames_of(cut)).found


def test_another_key_reads_nothing(faces: dict[str, Pixels]) -> None:
    marked = mark.embed(faces["biden"], key=b"mine")
    assert mark.read(marked, key=b"mine").found
    assert not mark.read(marked).found and not mark.read(marked, key=b"theirs").found


def test_the_chance_that_is_said_is_the_share_of_other_keys_that_score_as_high(faces: dict[str, Pixels]) -> None:
    said = np.array([mark.read(face, key=b"%d" % k).false_alarm for face in faces.values() for k in range(30)])
    for share in (0.1, 0.3):
        assert (said <= share).mean() == pytest.approx(share, abs=0.1)


def test_the_same_picture_and_key_give_the_same_bytes(faces: dict[str, Pixels]) -> None:
    assert np.array_equal(mark.embed(faces["obama"]), mark.embed(faces["obama"]))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((128, 128, 3), np.uint8),
        np.full((300, 200, 3), 255, np.uint8),
        np.tile(np.arange(128, dtype=np.uint8)[:, None], (128, 1, 3)).reshape(128, 128, 3),
        np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2).astype(np.uint8) * 255,
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((9, 700, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (131, 97, 3), np.uint8),
    ],
    ids=["black", "white", "ramp", "chessboard", "one pixel", "a line", "noise"],
)
def test_pictures_without_content_hold_no_mark_and_break_nothing(pixels: Pixels) -> None:
    assert not mark.read(pixels, WHOLE).found
    assert mark.embed(pixels, WHOLE).shape == pixels.shape


def test_frames_that_reach_beyond_the_picture_are_marked_as_far_as_they_go(photo: Pixels) -> None:
    part = photo[: photo.shape[0] // 5]
    away, over = np.array([[1, 0, 5000.0], [0, 1, 0]]), np.array([[0.7, 0, -300.0], [0, 0.7, 20]])
    marked = mark.embed(part, [away, over])
    assert psnr(part, marked) >= 38 and mark.read(marked, [away, over]).found
