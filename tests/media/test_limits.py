"""Too large is refused by the header, before anything is decoded."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.media.drawing import draw, png, refusal, sentences

from visavis.core.errors import InputError
from visavis.media.photo import open_photo

HEIC = Path(__file__).parent / "heic" / "orientation_6.heic"


def _heif_of_size(width: int, height: int) -> bytes:
    data = HEIC.read_bytes()
    size, cut = data.index(b"ispe") + 8, data.index(b"clap") + 4  # what is coded, and what of it is shown
    data = data[:size] + struct.pack(">II", width, height) + data[size + 8 :]
    return data[:cut] + struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1) + data[cut + 32 :]


def _patched(name: str, old: bytes, new: bytes, **options: object) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        path = folder / name
        draw().save(path, **options)
        assert old in path.read_bytes()
        return path.read_bytes().replace(old, new, 1)

    return make


BOMBS: dict[str, Callable[[Path], bytes]] = {
    "png": lambda _: png(20_000, 20_000, b"\0" * 1000),
    "jpeg": _patched("a.jpg", struct.pack(">HH", 48, 64), struct.pack(">HH", 65_000, 65_000)),
    "gif": _patched("a.gif", struct.pack("<HH", 64, 48), struct.pack("<HH", 65_000, 65_000)),
    "bmp": _patched("a.bmp", struct.pack("<ii", 64, 48), struct.pack("<ii", 20_000, 20_000)),
    "ppm": _patched("a.ppm", b"64 48", b"20000 20000"),
    "tiff": _patched("a.tif", struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, 64_000_000)),
    "jp2": _patched("a.jp2", struct.pack(">II", 48, 64), struct.pack(">II", 20_000, 20_000)),
    "heic": lambda _: _heif_of_size(20_000, 20_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.jpg"
    path.write_bytes(BOMBS[name](tmp_path))
    draw().save(tmp_path / "good.jpg")
    script = f"""
import sys, time
from visavis.core.errors import InputError
from visavis.media.photo import open_photo
from visavis.media import formats
def peak():
    return [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
open_photo({str(tmp_path / "good.jpg")!r}); open_photo({str(HEIC)!r}); formats._readers()
before, started = peak(), time.perf_counter()
try:
    open_photo({str(path)!r})
except InputError as error:
    print(error)
print(time.perf_counter() - started, (peak() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    message, numbers = done.stdout.splitlines()
    seconds, megabytes = map(float, numbers.split())
    sentences(message, "bomb.jpg")
    assert "VISAVIS_MAX_PIXELS" in message
    assert seconds < 1
    assert megabytes < 20
    assert done.stderr == ""


def test_the_limit_is_a_setting_and_holds_for_arrays_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw().save(tmp_path / "a.png")
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", "3071")
    text = refusal(tmp_path / "a.png")
    assert "64 x 48" in text
    for thing in (np.zeros((48, 64, 3), np.uint8), draw()):
        with pytest.raises(InputError, match="VISAVIS_MAX_PIXELS"):
            open_photo(thing)
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", "3072")
    assert open_photo(tmp_path / "a.png").width == 64


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    draw().save(path)
    os.truncate(path, 10**12)  # takes no room
    assert "VISAVIS_MAX_PIXELS" in refusal(path)


@pytest.mark.parametrize("chunk", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_text_or_profile_that_swells_is_refused(tmp_path: Path, chunk: bytes) -> None:
    swollen = zlib.compress(bytes(20_000_000), 9)
    body = b"name\0\1\0\0\0" + swollen if chunk == b"iTXt" else b"name\0\0" + swollen
    rows = b"\0\1\2\3"
    (tmp_path / "a.png").write_bytes(png(1, 1, rows, 8, 2, (chunk, body)))
    assert "swells" in refusal(tmp_path / "a.png")
