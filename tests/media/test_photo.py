"""open_photo on files of every usual kind, and on arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.media.drawing import difference

from visavis.core.errors import InputError
from visavis.core.types import Photo
from visavis.media.formats import MOST_FRAMES
from visavis.media.photo import decode_photo, open_photo

Opened = Callable[..., Photo]


def test_a_photo_has_frozen_rgb_pixels_a_name_and_facts(drawn: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    drawn.save(path)
    photo = open_photo(str(path))
    assert difference(photo, drawn) == 0
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert not photo.pixels.flags.writeable
    assert photo.name == "a.png"
    assert photo.meta == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": "PNG",
        "frames": 1,
        "orientation": 1,
    }
    assert open_photo(photo) is photo
    assert difference(decode_photo(path.read_bytes()), drawn) == 0


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("a.jpg", {"quality": 95, "subsampling": 0}, 2),
        ("a.webp", {"lossless": True}, 0),
        ("a.avif", {"quality": 95, "subsampling": "4:4:4"}, 3),
        ("a.bmp", {}, 0),
        ("a.jp2", {}, 0),
        ("a.ppm", {}, 0),
        ("a.gif", {}, 12),
        ("a.tif", {}, 0),
        ("lzw.tif", {"compression": "tiff_lzw"}, 0),
        ("jpeg.tif", {"compression": "jpeg", "quality": 95}, 5),
    ],
)
def test_formats(drawn: Image.Image, opened: Opened, name: str, options: dict[str, object], most: float) -> None:
    assert difference(opened(drawn, name, **options), drawn) <= most


@pytest.mark.parametrize("turn", range(1, 9))
def test_eight_orientations_of_jpeg_and_heic_give_the_same_pixels(
    drawn: Image.Image, opened: Opened, turn: int
) -> None:
    stored = drawn if turn == 1 else drawn.transpose(STORED[turn])
    jpeg = opened(stored, "a.jpg", exif=orientation(turn), quality=95, subsampling=0)
    heic = open_photo(Path(__file__).parent / "heic" / f"orientation_{turn}.heic")
    assert difference(jpeg, drawn) < 2
    assert difference(heic, drawn) < 2
    assert jpeg.meta["orientation"] == heic.meta["orientation"] == turn
    assert (jpeg.meta["format"], heic.meta["format"]) == ("JPEG", "HEIF")


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "lzw.tif", "a.avif"])
def test_orientation_is_applied_once_in_every_format(drawn: Image.Image, opened: Opened, turn: int, name: str) -> None:
    stored = drawn if turn == 1 else drawn.transpose(STORED[turn])
    options: dict[str, object] = {"lossless": True} if name == "a.webp" else {}
    if name == "lzw.tif":
        options["compression"] = "tiff_lzw"
    if name == "a.avif":
        options |= {"quality": 95, "subsampling": "4:4:4"}
    photo = opened(stored, name, exif=orientation(turn), **options)
    assert difference(photo, drawn) < 3
    assert photo.meta["orientation"] == turn


def test_a_large_turned_photo_is_put_together_from_its_blocks(opened: Opened) -> None:
    random = np.random.default_rng(0)
    upright = random.integers(0, 256, (600, 700, 3), np.uint8)
    for turn in (1, 3, 6, 7):
        image = Image.fromarray(upright)
        stored = image if turn == 1 else image.transpose(STORED[turn])
        assert difference(opened(stored, "a.png", exif=orientation(turn), compress_level=1), upright) == 0


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0"])
def test_damaged_exif_is_no_obstacle(drawn: Image.Image, opened: Opened, exif: bytes) -> None:
    assert opened(drawn, "a.jpg", exif=exif).meta["orientation"] == 1


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif", "a.mpo", "a.avif"])
def test_of_several_frames_the_first_is_taken_and_said_so(drawn: Image.Image, opened: Opened, name: str) -> None:
    others = [Image.new("RGB", drawn.size, colour) for colour in ("black", "white")]
    options = {"lossless": True} if name == "a.webp" else {"quality": 95} if name in ("a.mpo", "a.avif") else {}
    photo = opened(drawn, name, save_all=True, append_images=others, **options)
    assert difference(photo, drawn) < 12
    assert photo.meta["frames"] == 3
    assert photo.meta["note"] == "first of 3 frames"


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png"])
def test_frames_without_end_are_not_counted(opened: Opened, name: str) -> None:
    """Each is looked for in the file: a hundred megabytes of small ones would take minutes."""
    first, *others = (Image.new("L", (2, 2), 255 * (number % 2)) for number in range(MOST_FRAMES + 100))
    photo = opened(first, name, save_all=True, append_images=others)
    assert (photo.meta["frames"], photo.meta["note"]) == (1000, "first of at least 1,000 frames")


def test_the_suffix_does_not_matter(drawn: Image.Image, tmp_path: Path) -> None:
    for name in ("plain", "a.png", "a.txt"):
        drawn.save(tmp_path / name, "JPEG", quality=95)
        assert open_photo(tmp_path / name).meta["format"] == "JPEG"


@pytest.mark.parametrize(
    "name",
    [
        "é.jpg",
        "e\u0301.jpg",
        "张三.jpg",
        "👩‍👩‍👧🎉.jpg",
        "two words  and more.jpg",
        'it\'s "quoted".jpg',
        "a" * 236 + ".jpg",
        "-rf.jpg",
        "%s{0}\\n$HOME.jpg",
        "#?&=.jpg",
        "new\nline\x1b[31m.jpg",
    ],
)
def test_names_of_any_spelling(drawn: Image.Image, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "фото 写真 📷"
    folder.mkdir()
    drawn.save(folder / "a.jpg")
    (folder / "a.jpg").rename(folder / name)
    photo = open_photo(folder / name)
    assert photo.meta["path"] == str(folder / name)
    assert photo.name.isprintable() or "‍" in photo.name
    json.dumps(dict(photo.meta))
    with pytest.raises(InputError) as caught:
        open_photo(folder / (name + "x"))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("size", [(1, 1), (6000, 1), (1, 6000), (70_000, 1)])
def test_odd_shapes(opened: Opened, size: tuple[int, int]) -> None:
    photo = opened(Image.new("RGB", size, (10, 20, 30)), "a.png")
    assert (photo.width, photo.height) == size
    assert (photo.pixels == (10, 20, 30)).all()


def test_eight_threads_read_the_same_as_one(drawn: Image.Image, tmp_path: Path) -> None:
    stored = drawn.resize((350, 450))
    files = [tmp_path / name for name in ("a.jpg", "a.png", "a.webp", "a.tif", "a.gif", "a.avif")]
    for path in files:
        stored.save(path, exif=orientation(6))
    files.append(Path(__file__).parent / "heic" / "orientation_6.heic")
    alone = [open_photo(path).pixels for path in files]
    jobs = [i for _ in range(16) for i in range(len(files))]
    with ThreadPoolExecutor(8) as pool:
        for i, photo in zip(jobs, pool.map(lambda i: open_photo(files[i]), jobs), strict=True):
            assert np.array_equal(photo.pixels, alone[i])


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 128, 255]], np.uint8), [0, 128, 255]),
        (np.array([[0, 128 * 257, 65535]], np.uint16), [0, 128, 255]),
        (np.array([[0, 128 * 257, 65535]], ">u2"), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float64), [0, 128, 255]),
        (np.array([[0, 0.5, 1.0005]], np.float32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float16), [0, 128, 255]),
    ],
)
def test_gray_arrays(array: np.ndarray, expected: list[int]) -> None:
    for form in (array, array[:, :, None], np.stack([array] * 3, -1)):
        photo = open_photo(form)
        assert photo.name == "array"
        assert photo.pixels.shape == (1, 3, 3)
        assert photo.pixels[0, :, 1].tolist() == expected


def test_an_array_is_copied_and_its_alpha_laid_over_white() -> None:
    array = np.zeros((2, 2, 4), np.uint8)
    array[0, 0] = (200, 100, 0, 255)
    array[0, 1] = (200, 100, 0, 128)
    photo = open_photo(array)
    array[:] = 7
    assert photo.pixels.tolist() == [[[200, 100, 0], [227, 177, 127]], [[255] * 3, [255] * 3]]
    assert not photo.pixels.flags.writeable
    opencv = np.zeros((300, 5, 3), np.uint8)
    opencv[..., 0] = 255  # blue, in OpenCV's order
    reversed_view = open_photo(opencv[:, :, ::-1])
    assert reversed_view.pixels.flags.c_contiguous
    assert (reversed_view.pixels == (0, 0, 255)).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 2), np.uint8), ["[4, 4, 2]", "uint8"]),
        (np.zeros((3, 40, 50), np.float32), ["[3, 40, 50]", "float32"]),
        (np.zeros((1, 4, 4, 3), np.uint8), ["[1, 4, 4, 3]"]),
        (np.zeros(5, np.uint8), ["[5]"]),
        (np.zeros((0, 4, 3), np.uint8), ["[0, 4, 3]"]),
        (np.zeros((4, 4, 3), np.int64), ["[4, 4, 3]", "int64"]),
        (np.zeros((4, 4), bool), ["bool"]),
        (np.zeros((4, 4), object), ["object"]),
        (np.full((4, 4, 3), 200.0), ["200", "0..1", "float64"]),
        (np.full((4, 4, 3), -0.5), ["-0.5", "0..1"]),
        (np.full((4, 4, 3), np.nan), ["NaN", "[4, 4, 3]"]),
        (np.full((4, 4, 3), np.inf, np.float32), ["infinite", "float32"]),
    ],
)
def test_an_array_that_is_no_photo_is_named_by_shape_and_dtype(array: np.ndarray, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        open_photo(array)
    for word in words:
        assert word in str(caught.value)


def test_a_pillow_picture_is_taken_too(drawn: Image.Image) -> None:
    turned = drawn.transpose(STORED[6])
    turned.getexif()[274] = 6
    assert difference(open_photo(turned), drawn) == 0
    assert open_photo(drawn.convert("1")).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("thing", [None, 3, b"a.jpg", ["a.jpg"]])
def test_other_things_are_named_by_their_type(thing: object) -> None:
    with pytest.raises(InputError, match=type(thing).__name__):
        open_photo(thing)  # type: ignore[arg-type]


STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def orientation(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = turn
    return exif
