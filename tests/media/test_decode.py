"""Every mode of pixels, and every fate of a colour profile."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.media import profiles
from tests.media.drawing import difference, png, tiff

from visavis.core.errors import InputError
from visavis.core.types import Photo
from visavis.media import decode
from visavis.media.photo import decode_photo

Opened = Callable[..., Photo]
STEPS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def gray_of(photo: Photo) -> np.ndarray:
    assert (photo.pixels == photo.pixels[:, :, :1]).all()
    return photo.pixels[:, :, 0]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jp2"])
def test_16_bit_gray_is_scaled_not_cut(opened: Opened, name: str) -> None:
    photo = opened(Image.fromarray(STEPS.astype(np.uint16) * 257), name)
    assert np.array_equal(gray_of(photo), STEPS)
    assert "stretched" not in photo.meta


def test_a_turned_16_bit_photo(opened: Opened) -> None:
    exif = Image.Exif()
    exif[274] = 8
    photo = opened(Image.fromarray(STEPS.astype(np.uint16) * 257), "a.png", exif=exif)
    assert np.array_equal(gray_of(photo), np.rot90(STEPS))


def test_16_bit_colour_and_gray_with_alpha() -> None:
    wide = STEPS.astype(">u2") * 257
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in wide)
    assert np.abs(gray_of(decode_photo(png(16, 16, rows, 16, 2))).astype(int) - STEPS).max() <= 1
    opaque = np.full_like(wide, 65535)
    rows = b"".join(b"\0" + np.stack([a, b], -1).tobytes() for a, b in zip(wide, opaque, strict=True))
    assert np.abs(gray_of(decode_photo(png(16, 16, rows, 16, 4))).astype(int) - STEPS).max() <= 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(STEPS.astype(np.uint16) * 257, 16), STEPS),
        (tiff(65535 - STEPS.astype(np.uint16) * 257, 16, photometric=0), STEPS),
        (tiff((STEPS.astype(np.uint32) * 4095 + 127) // 255, 12), STEPS),
        (tiff(STEPS.astype(np.int32), 32, 2), STEPS),
        (tiff(STEPS.astype(np.int32) * 257, 32, 2), STEPS),
        (tiff(STEPS.astype(np.float32) / 255, 32, 3), STEPS),
        (tiff(1 - STEPS.astype(np.float32) / 255, 32, 3, photometric=0), STEPS),
        (tiff(STEPS.astype(np.float32), 32, 3), STEPS),
        (tiff(STEPS.astype(np.float32) * 257, 32, 3), STEPS),
        (tiff(np.zeros((4, 4), np.float32), 32, 3), np.zeros((4, 4))),
    ],
)
def test_wide_values_in_a_usual_range(data: bytes, expected: np.ndarray) -> None:
    photo = decode_photo(data)
    assert np.array_equal(gray_of(photo), expected)
    assert "stretched" not in photo.meta


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (tiff(STEPS.astype(np.float32) * 4 - 400, 32, 3), (-400, 620)),
        (tiff(STEPS.astype(np.int32) * 1000 - 7, 32, 2), (-7, 254993)),
        (tiff(STEPS.astype(np.uint32) * 16843009, 32, 1), (0, 2**32 - 1)),
    ],
)
def test_other_wide_values_are_stretched_and_said_so(data: bytes, ends: tuple[float, float]) -> None:
    photo = decode_photo(data)
    assert np.array_equal(gray_of(photo), STEPS)
    assert photo.meta["stretched"] == ends


def test_constant_values_beyond_the_ranges_are_black() -> None:
    assert not decode_photo(tiff(np.full((4, 4), -3, np.float32), 32, 3)).pixels.any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    values = np.ones((4, 4), np.float32)
    values[1, 2] = value
    with pytest.raises(InputError, match=r"x\.tif holds values that are no numbers"):
        decode_photo(tiff(values, 32, 3), "x.tif")


def test_one_bit(drawn: Image.Image, opened: Opened) -> None:
    bits = drawn.convert("1")
    for name in ("a.png", "a.tif", "a.bmp", "a.pbm"):
        assert difference(opened(bits, name), bits) == 0
    assert difference(opened(bits, "g4.tif", compression="group4"), bits) == 0


def test_gray_and_palette(drawn: Image.Image, opened: Opened) -> None:
    for image in (drawn.convert("L"), drawn.quantize(16), drawn.quantize(200)):
        for name in ("a.png", "a.tif", "a.gif"):
            assert difference(opened(image, name), image) == 0


def test_transparent_parts_become_white(drawn: Image.Image, opened: Opened) -> None:
    alpha = Image.linear_gradient("L").resize(drawn.size)
    coloured, gray = drawn.copy(), drawn.convert("L")
    coloured.putalpha(alpha)
    gray.putalpha(alpha)
    for image in (coloured, gray):
        expected = Image.new("RGBA", drawn.size, "white")
        expected.alpha_composite(image.convert("RGBA"))
        for name in ("a.png", "a.tif"):
            assert np.abs(opened(image, name).pixels.astype(int) - np.asarray(expected.convert("RGB"))).max() <= 1
    photo = opened(coloured, "a.webp", lossless=True, exact=True)
    assert photo.pixels[0].min() > 250  # wholly transparent in the top row


def test_one_transparent_colour_becomes_white(drawn: Image.Image, opened: Opened) -> None:
    palette = drawn.quantize(16)
    gray = drawn.convert("L")
    for image, clear in ((palette, palette.getpixel((8, 8))), (drawn, (255, 255, 0)), (gray, gray.getpixel((8, 8)))):
        photo = opened(image, "a.png", transparency=clear)
        assert photo.pixels[8, 8].tolist() == [255, 255, 255]
        assert photo.pixels[30, 50].tolist() == list(image.convert("RGB").getpixel((50, 30)))
    photo = opened(palette, "a.gif", transparency=palette.getpixel((8, 8)))
    assert photo.pixels[8, 8].tolist() == [255, 255, 255]


def test_cmyk_without_a_profile(drawn: Image.Image, opened: Opened) -> None:
    inks = drawn.convert("CMYK")
    assert difference(opened(inks, "a.jpg", quality=98, subsampling=0), drawn) < 2  # stored inverted, as Adobe does
    assert difference(opened(inks, "a.tif"), drawn) == 0


def test_cmyk_by_its_profile(opened: Opened) -> None:
    paper, other = (255, 0, 0), (128, 60, 40)
    # Cyan alone prints reddish in this profile: nothing but the profile could know.
    corners = [paper if i == 0 else other if i == 8 else (0, 0, 0) for i in range(16)]
    icc = profiles.inks(corners)
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for name in ("a.jpg", "a.tif"):
        photo = opened(image, name, icc_profile=icc)
        red, green, _ = photo.pixels[4, 4].astype(int)
        assert red > 150
        assert red > green + 60
        assert photo.meta["profile"] == "made by hand"
    white = opened(Image.new("CMYK", (8, 8), 0), "a.tif", icc_profile=icc)
    assert white.pixels.min() >= 253


def test_colours_are_brought_to_srgb_by_the_profile(opened: Opened) -> None:
    swapped = profiles.matrix(profiles.GREEN, profiles.BLUE, profiles.RED)
    image = Image.new("RGB", (700, 600), (255, 0, 0))
    for name in ("a.jpg", "a.png", "a.webp", "a.tif", "a.avif"):
        photo = opened(image, name, icc_profile=swapped)
        for y, x in ((0, 0), (599, 699)):
            red, green, blue = photo.pixels[y, x].astype(int)
            assert green > 240
            assert max(red, blue) < 30
        assert photo.meta["profile"] == "made by hand"


def test_a_profile_of_gray(opened: Opened) -> None:
    photo = opened(Image.new("L", (8, 8), 128), "a.png", icc_profile=profiles.gray(1.0))
    assert 184 <= gray_of(photo)[0, 0] <= 190  # linear 0.5 is 188 in sRGB
    clear = Image.new("LA", (8, 8), (128, 0))
    assert opened(clear, "a.png", icc_profile=profiles.gray(1.0)).pixels.min() >= 254


def test_transparent_pixels_and_palettes_follow_their_profile(opened: Opened) -> None:
    swapped = profiles.matrix(profiles.GREEN, profiles.BLUE, profiles.RED)
    for image in (Image.new("RGBA", (8, 8), (255, 0, 0, 255)), Image.new("RGB", (8, 8), (255, 0, 0)).quantize(2)):
        red, green, _ = opened(image, "a.png", icc_profile=swapped).pixels[0, 0].astype(int)
        assert green > red + 200


def test_srgb_changes_nothing(drawn: Image.Image, opened: Opened) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = opened(drawn, "a.png", icc_profile=srgb)
    assert difference(photo, drawn) == 0
    assert "sRGB" in photo.meta["profile"]


@pytest.mark.parametrize(
    "icc",
    [
        b"no profile",
        profiles.matrix(profiles.RED, profiles.GREEN, profiles.BLUE)[:200],
        profiles.gray(1.0),
        profiles.inks([(0, 0, 0)] * 16),
        bytes(128),
    ],
)
def test_a_broken_or_unfit_profile_is_ignored_and_said_so(drawn: Image.Image, opened: Opened, icc: bytes) -> None:
    photo = opened(drawn, "a.png", icc_profile=icc)
    assert difference(photo, drawn) == 0
    assert photo.meta["profile"] == "broken"


def test_lab_and_ycbcr(drawn: Image.Image, opened: Opened) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(drawn, srgb, lab, outputMode="LAB")
    assert image is not None
    assert difference(opened(image, "a.tif"), drawn) < 4
    assert difference(opened(drawn.convert("YCbCr"), "a.tif"), drawn) < 2


def test_warnings_are_silent_only_in_the_thread_that_reads() -> None:
    heard: list[str] = []

    def other() -> None:
        warnings.warn("from another thread", stacklevel=1)
        logging.getLogger("PIL.TiffImagePlugin").error("log from another thread")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        handler = logging.Handler()
        handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("PIL.TiffImagePlugin")
        logger.addHandler(handler)
        try:
            with decode.quiet():
                warnings.warn("inside", stacklevel=1)
                logger.error("log inside")
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
            warnings.warn("afterwards", stacklevel=1)
            logger.error("log afterwards")
        finally:
            logger.removeHandler(handler)
    assert [str(warning.message) for warning in caught] == ["from another thread", "afterwards"]
    assert heard == ["log from another thread", "log afterwards"]


def test_pillows_own_limit_neither_warns_nor_moves(
    drawn: Image.Image, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # the picture has 3072
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("a.jpg", "a.png", "a.tif", "a.gif", "a.webp"):
            drawn.save(tmp_path / name)
            assert decode_photo((tmp_path / name).read_bytes()).width == 64
    assert Image.MAX_IMAGE_PIXELS == 2000
