"""Files appear whole or not at all, under any name."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.media.drawing import as_nobody, draw

from visavis.core.errors import InputError
from visavis.media.photo import open_photo
from visavis.media.write import unique_names, write_bytes, write_jpeg, write_png

PIXELS = np.asarray(draw())


@pytest.mark.parametrize("name", ["a.png", "张 é 🎉 '\".png", "x" * 236 + ".png", "ж" * 125 + ".png"])
def test_png_and_jpeg_under_any_name(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "new" / "folders" / name, PIXELS)
    assert np.array_equal(open_photo(tmp_path / "new" / "folders" / name).pixels, PIXELS)
    write_jpeg(str(tmp_path / name), PIXELS)
    photo = open_photo(tmp_path / name)
    assert photo.meta["format"] == "JPEG"
    assert np.abs(photo.pixels.astype(int) - PIXELS).mean() < 2
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["new", name])


def test_frozen_and_gray_pixels_are_written(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", open_photo(PIXELS).pixels[:, ::-1])
    write_png(tmp_path / "g.png", PIXELS[:, :, 0])
    assert np.array_equal(open_photo(tmp_path / "a.png").pixels, PIXELS[:, ::-1])
    assert np.array_equal(open_photo(tmp_path / "g.png").pixels[:, :, 0], PIXELS[:, :, 0])


def test_an_older_file_is_replaced_and_the_users_permissions_hold(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"old")
        write_bytes(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.png", b"old")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(InputError, match=r"a\.png cannot be written \(File too large\)\.") as caught:
            write_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(caught.value.__cause__, OSError)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    (tmp_path / "file").touch()
    for path, word in (
        (tmp_path, "a folder"),
        (tmp_path / "file" / "a.png", "cannot be written"),
        (tmp_path / ("x" * 300), "cannot be written"),
        ("a\0b", "cannot be written"),
    ):
        with pytest.raises(InputError, match=word):
            write_png(path, PIXELS)
    with as_nobody(folder), pytest.raises(InputError, match="Permission denied"):
        write_png((folder if os.geteuid() else Path("/proc")) / "a.png", PIXELS)
    with pytest.raises(InputError, match="65,500"):
        write_jpeg(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "locked"]


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(InputError, match="a device"):
        write_png("/dev/null", PIXELS)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_unique_names_keep_to_their_sources() -> None:
    sources = ["x/a.jpg", "y/a.png", "y/A.JPG", "z/a-2.jpg", "b", "x/é.jpg", "x/e\u0301.jpg", "c.tar.gz"]
    assert unique_names(sources) == [
        "a.png",
        "a-2.png",
        "A-3.png",
        "a-2-2.png",
        "b.png",
        "é.png",
        "e\u0301-2.png",
        "c.tar.png",
    ]


def test_unique_names_are_fit_for_every_system(tmp_path: Path) -> None:
    sources = [Path("👩" * 60 + ".jpg"), Path("👩" * 60 + ".png"), 'a:b?"c".jpg', "con.jpg", "x\ny.jpg", "end. .jpg"]
    names = unique_names(sources, ".jpeg")
    assert len(set(names)) == len(sources)
    assert names[2:] == ["a_b__c_.jpeg", "con_.jpeg", "x_y.jpeg", "end.jpeg"]
    for name in names:
        write_jpeg(tmp_path / name, PIXELS)


def test_unique_names_spare_the_sources_in_the_same_folder(tmp_path: Path) -> None:
    sources = [tmp_path / "a.jpg", tmp_path / "a.PNG", tmp_path / "b.png", tmp_path / "c.jpg"]
    names = unique_names(sources, into=tmp_path / "." / "")
    assert names == ["a-2.png", "a-3.png", "b-2.png", "c.png"]
    assert unique_names(sources, into=tmp_path / "other") == ["a.png", "a-2.png", "b.png", "c.png"]


def test_written_pixels_carry_no_alpha_or_profile(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", PIXELS)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, dict(image.info)) == ("RGB", {})
