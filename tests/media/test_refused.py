"""What is no photo, or no longer one: one or two sentences that name the file, quickly, and nothing on stderr."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.media.drawing import as_nobody, draw, refusal, sentences

from visavis.core.errors import InputError
from visavis.media.photo import decode_photo, open_photo

HEIC = Path(__file__).parent / "heic" / "orientation_6.heic"
FILES: dict[str, dict[str, object]] = {
    "a.jpg": {},
    "progressive.jpg": {"progressive": True},
    "a.png": {},
    "a.webp": {"lossless": True},
    "a.gif": {"save_all": True, "append_images": [draw().rotate(90)]},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "jpeg.tif": {"compression": "jpeg"},
    "g4.tif": {"compression": "group4"},
    "a.bmp": {},
    "a.avif": {},
    "a.jp2": {},
    "a.ppm": {},
    "a.mpo": {"save_all": True, "append_images": [draw().rotate(90)]},
    "a.heic": {},
}


@pytest.fixture(params=FILES)
def good(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    if path.suffix == ".heic":
        path.write_bytes(HEIC.read_bytes())
    else:
        picture = draw().convert("1") if path.name == "g4.tif" else draw()
        picture.save(path, **FILES[path.name])
    return path


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "gone.jpg")
    (tmp_path / "file").touch()
    assert "does not exist" in refusal(tmp_path / "file" / "gone.jpg")
    assert "cannot be opened" in refusal(tmp_path / ("x" * 300))


def test_a_name_with_a_null_byte() -> None:
    with pytest.raises(InputError, match="no possible file name"):
        open_photo("a\0b.jpg")


def test_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone")
    assert "does not exist" in refusal(tmp_path / "link.jpg")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert "empty (0 bytes)" in refusal(tmp_path / "empty.jpg")
    with pytest.raises(InputError, match="empty"):
        decode_photo(b"")


@pytest.mark.parametrize(
    "content",
    [
        b"I am only a text.\n",
        b"BMW cars and other texts",
        b"P",
        b"%PDF-1.7\n",
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        bytes(1000),
        b"\xff",
    ],
)
def test_no_photo_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert "is not a photo" in refusal(tmp_path / "a.jpg")


@pytest.mark.timeout(20)
def test_pipes_devices_sockets_and_folders_are_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "named pipe" in refusal(tmp_path / "pipe.jpg")
    assert "a folder" in refusal(tmp_path)
    assert "a device" in refusal("/dev/zero")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s.jpg")
        assert "a socket" in refusal("s.jpg")


@pytest.mark.parametrize(
    "url",
    ["https://example.org/a.jpg", "http://localhost/a.jpg", "s3://b/a.jpg", "file:///a.jpg", "data:image/png,a.jpg"],
)
def test_a_url_is_refused_and_nothing_fetched(url: str) -> None:
    assert "URL" in refusal(url)
    assert "URL" in refusal(Path(url))


def test_a_file_that_looks_like_a_url_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http:").mkdir()
    draw().save("http:/a.png")
    assert open_photo("http://a.png").width == 64


def test_unreadable(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    draw().save(folder / "secret.png")
    (folder / "secret.png").chmod(0)
    with as_nobody(folder):
        assert "Permission denied" in refusal(folder / "secret.png")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_truncated_is_called_so(good: Path, share: float) -> None:
    whole = good.read_bytes()
    good.write_bytes(whole[: int(len(whole) * share)])
    if good.name in ("a.gif", "a.mpo") and share > 0.5:
        assert open_photo(good).height == 48  # the first of two frames is whole
        return
    text = refusal(good)
    if good.suffix not in (".tif", ".jp2"):  # their index is at the end, or they carry no length
        assert "truncated" in text
    else:
        assert "truncated" in text or "damaged" in text


def test_two_hundred_truncations_and_flipped_bits_of_each_format(
    good: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    random = np.random.default_rng(0)
    whole = good.read_bytes()
    outcomes = {"photo": 0, "refused": 0}
    for number in range(200):
        damaged = bytearray(whole)
        if number % 3 == 0:
            del damaged[random.integers(0, len(whole)) :]
        else:
            for _ in range(random.integers(1, 8)):
                # Half of the damage goes to the header, where it does most.
                at = random.integers(0, len(whole) if random.random() < 0.5 else min(200, len(whole)))
                damaged[at] = (
                    damaged[at] ^ (1 << random.integers(8)) if number % 3 == 1 else random.choice([0, 127, 255])
                )
        try:
            decode_photo(bytes(damaged), "a.x")
            outcomes["photo"] += 1
        except InputError as error:
            sentences(str(error), "a.x")
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0
    assert capfd.readouterr().err == ""
    assert not recwarn.list


def test_a_damaged_list_of_frames_leaves_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.mpo"
    draw().save(path, "MPO", save_all=True, append_images=[draw()])
    data = path.read_bytes()
    at = data.index(b"MPF\0")
    path.write_bytes(data[: at + 12] + b"\xff" * 20 + data[at + 32 :])
    assert open_photo(path).width == 64


def test_a_tiff_of_too_many_samples_is_refused_silently(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    draw().save(path)
    data = path.read_bytes()
    entry = struct.pack("<HHI", 277, 3, 1)
    path.write_bytes(data.replace(entry + struct.pack("<I", 3), entry + struct.pack("<I", 60000)))
    refusal(path)
    assert capfd.readouterr().err == ""


def test_pillow_pictures_that_cannot_be_decoded(tmp_path: Path) -> None:
    draw().save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:150])
    with Image.open(tmp_path / "a.png") as image, pytest.raises(InputError, match=r"a\.png"):
        open_photo(image)
