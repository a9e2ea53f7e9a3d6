"""frames and taken on small films of every kind, made here."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visavis.core.errors import InputError
from visavis.media import video
from visavis.media.video import frames, is_video, taken

av = pytest.importorskip("av", reason="the extra [video] is not installed")

TENTHS = tuple(range(0, 2000, 100))
# Red, green / blue, white: every turn and flip of it differs.
COLOURS = np.array([[(220, 30, 30), (30, 200, 30)], [(30, 30, 220), (230, 230, 230)]], np.uint8)
PICTURE = COLOURS.repeat(48, 0).repeat(64, 1)


def film(
    path: Path,
    stamps: Sequence[int] = TENTHS,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    between: int = 3,
    scale: int = 1,
    step: int = 0,
    sound: float = 0,
    aspect: Fraction | None = None,
    turn: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """PICTURE (scaled) with noise at each stamp (milliseconds), a little brighter each time.

    between: frames that refer to later ones; step: pixels to the right each time; sound: seconds of silence beside.
    """
    picture = PICTURE.repeat(scale, 0).repeat(scale, 1)
    # The same call makes the same file, whatever ran before and however busy the cores are.
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=10)
        stream.codec_context.thread_count = 1
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt, stream.gop_size = pixels, 5
        stream.codec_context.max_b_frames, stream.bit_rate = between, 1_000_000
        stream.codec_context.time_base = Fraction(1, 10 if codec == "mpeg4" else 1000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn:
            stream.set_display_rotation(**turn)
        speaker = out.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number, stamp in enumerate(stamps):
            noise = random.integers(-10, 11, (*picture.shape[:2], 1))
            frame = av.VideoFrame.from_ndarray(
                (np.roll(picture, step * number, 1) + noise + number).clip(0, 255).astype(np.uint8), "rgb24"
            )
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if speaker is not None:
            for start in range(0, int(sound * 8000), 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                silence.sample_rate, silence.pts, silence.time_base = 8000, start, Fraction(1, 8000)
                out.mux(speaker.encode(silence))
            out.mux(speaker.encode())
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def seconds(path: Path, every: float = 0) -> list[float]:
    return [round(frame.seconds, 3) for frame in frames(path, every)]


def corners(pixels: np.ndarray) -> np.ndarray:
    """float [2, 2, 3]: the mean colours in the middle of the four quarters."""
    height, width = (side // 8 for side in pixels.shape[:2])
    rows = [[pixels[y * height :, x * width :][: 2 * height, : 2 * width].mean((0, 1)) for x in (1, 5)] for y in (1, 5)]
    return np.array(rows)


KINDS = [
    ("a.mp4", {}),
    ("a.mov", {"pixels": "yuv420p10le"}),
    ("a.mkv", {"pixels": "yuv444p"}),
    ("a.avi", {"codec": "mpeg4", "between": 0}),
    ("a.mts", {}),
    ("a.m4v", {"movflags": "frag_keyframe+empty_moov"}),
]


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_every_kind_gives_all_frames_with_their_seconds(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = film(tmp_path / name, **options)
    found = list(frames(path, 0))
    assert [round(frame.seconds, 3) for frame in found] == [stamp / 1000 for stamp in TENTHS]
    for number, frame in enumerate(found):
        pixels = frame.photo.pixels
        assert pixels.shape == PICTURE.shape and pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous and not pixels.flags.writeable
        assert np.abs(corners(pixels) - COLOURS - number).max() <= 16
    assert found[3].photo.name == f"{name} at 0.3 s"
    assert found[3].photo.meta["path"] == str(path)
    assert found[3].photo.meta["seconds"] == found[3].seconds


def test_frames_come_at_least_every_seconds_apart(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    assert seconds(path, 0.2) == [stamp / 1000 for stamp in TENTHS[::2]]
    assert seconds(path, 0.25) == [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8]
    assert seconds(path, 60) == [0]


@pytest.mark.parametrize("every", [-1.0, float("nan"), float("inf")])
def test_an_impossible_distance_is_refused(every: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 or more"):
        next(frames(film(tmp_path / "a.mp4"), every))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_frame_rate_is_told_by_the_stamps(name: str, tmp_path: Path) -> None:
    stamps = [0, 33, 67, 500, 510, 520, 1700, 1733, 1967]
    path = film(tmp_path / name, stamps)
    assert seconds(path) == [stamp / 1000 for stamp in stamps]
    assert seconds(path, 0.2) == [0, 0.5, 1.7, 1.967]


def turned(pixels: np.ndarray, degrees: float, hflip: bool = False, vflip: bool = False) -> np.ndarray:
    if hflip:
        pixels = pixels[:, ::-1]
    if vflip:
        pixels = pixels[::-1]
    return np.rot90(pixels, round(degrees / 90))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    "turn", [{"degrees": 90}, {"degrees": 180}, {"degrees": -90}, {"degrees": 0, "hflip": True}], ids=str
)
def test_the_display_matrix_is_applied(name: str, turn: dict[str, Any], tmp_path: Path) -> None:
    frame = next(frames(film(tmp_path / name, turn=turn)))
    expected = turned(PICTURE, **turn)
    assert frame.photo.pixels.shape == expected.shape
    assert np.abs(corners(frame.photo.pixels) - corners(expected)).max() <= 16


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    pixels = next(frames(film(tmp_path / "a.mp4", aspect=Fraction(4, 3), turn={"degrees": 90}))).photo.pixels
    assert pixels.shape == (round(PICTURE.shape[1] * 4 / 3), PICTURE.shape[0], 3)


BREAKING = [
    ("a.mkv", {}),
    ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ("b.mp4", {"movflags": "faststart"}),
    ("a.avi", {"codec": "mpeg4"}),
]


@pytest.mark.parametrize(("name", "options"), BREAKING)
def test_what_breaks_off_gives_the_good_frames_first(name: str, options: dict[str, str], tmp_path: Path) -> None:
    path = cut(film(tmp_path / name, between=0, **options), 0.6)
    found: list[video.Frame] = []
    with pytest.raises(InputError, match=r"cut off: it could be read up to second \d\.\d") as caught:
        found.extend(frames(path, 0))
    assert 5 < len(found) < len(TENTHS)
    assert [round(frame.seconds, 3) for frame in found] == [stamp / 1000 for stamp in TENTHS[: len(found)]]
    assert np.abs(corners(found[-1].photo.pixels) - COLOURS - len(found) + 1).max() <= 16
    assert str(path) in str(caught.value) and str(caught.value).endswith(f"second {found[-1].seconds:.1f}.")


def is_whole(frame: video.Frame) -> bool:
    """Whether each 8 x 8 block is what `film` with step 16 drew."""
    number = round(frame.seconds * 10)
    wrong = np.roll(PICTURE, 16 * number, 1) + float(number) - frame.photo.pixels
    blocks = wrong.reshape(PICTURE.shape[0] // 8, 8, PICTURE.shape[1] // 8, 8, 3).mean((1, 3))
    return bool(np.abs(blocks).max() < 40)


@pytest.mark.parametrize("hole", [0.2, 0.35, 0.5])
def test_frames_that_are_damaged_are_left_out(hole: float, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mts", step=16)
    data = path.read_bytes()
    start, size = round(len(data) * hole) // 188 * 188, 188 * 10
    path.write_bytes(data[:start] + data[start + size :])
    found = list(frames(path, 0))
    assert found[0].seconds == 0 and found[-1].seconds == 1.9
    assert 10 < len(found) < len(TENTHS)
    assert all(is_whole(frame) for frame in found)


@pytest.mark.parametrize("share", [0.3, 0.45, 0.6, 0.75])
def test_a_stream_that_is_cut_ends_with_no_half_frame(share: float, tmp_path: Path) -> None:
    path = cut(film(tmp_path / "a.mts", step=16), share)
    found: list[video.Frame] = []
    with suppress(InputError):  # where the cut falls between two packets, nothing tells it
        found.extend(frames(path, 0))
    assert len(found) > 3
    assert all(is_whole(frame) for frame in found)


def test_sound_that_lasts_longer_is_no_break(tmp_path: Path) -> None:
    assert len(seconds(film(tmp_path / "a.mkv", sound=4.0))) == len(TENTHS)


def test_frames_over_the_limit_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4")
    height, width = PICTURE.shape[:2]
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", str(height * width))
    assert seconds(path, 60) == [0]
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", str(height * width - 1))
    monkeypatch.setattr(video, "_decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match=rf"{width} x {height} pixels.*VISAVIS_MAX_PIXELS"):
        seconds(path)


def test_frames_that_grow_over_the_limit_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mts")
    path.write_bytes(path.read_bytes() + film(tmp_path / "b.mts", scale=2).read_bytes())
    assert len({frame.photo.pixels.shape for frame in frames(path, 0)}) == 2
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", str(PICTURE.shape[0] * PICTURE.shape[1]))
    found: list[video.Frame] = []
    with pytest.raises(InputError, match="could be read up to second"):
        found.extend(frames(path, 0))
    assert len(found) > 5


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    contents = {
        "text.mp4": b"hello\n" * 500,
        "empty.mp4": b"",
        "noise.mkv": np.random.default_rng(0).bytes(20_000),
        "headless.mp4": cut(film(tmp_path / "whole.mp4"), 0.5).read_bytes(),
    }
    for format in ("JPEG", "PNG", "GIF"):
        handle = io.BytesIO()
        Image.fromarray(PICTURE).save(handle, format)
        contents[f"{format}.mp4"] = handle.getvalue()
    for name, data in contents.items():
        path = tmp_path / name
        path.write_bytes(data)
        for read in (seconds, taken):
            with pytest.raises(InputError, match=name):
                read(path)
    for name, said in {"nowhere.mp4": "does not exist", "": "is a folder, not a video"}.items():
        with pytest.raises(InputError, match=said):
            seconds(tmp_path / name)


def test_a_file_without_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        speaker = out.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        out.mux(speaker.encode(silence))
        out.mux(speaker.encode())
    with pytest.raises(InputError, match="has no video stream"):
        seconds(path)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    inner = film(tmp_path / "inner.mts")
    for name, text in {
        "a.mp4": f"ffconcat version 1.0\nfile '{inner.name}'\n",
        "b.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{inner}\n#EXT-X-ENDLIST\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="no video that can be read"):
            seconds(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.timeout(20)
def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    for read in (seconds, taken):
        with pytest.raises(InputError, match="is a named pipe, not a video"):
            read(path)


def test_any_name_is_read_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = film(tmp_path / "a.mp4").read_bytes()
    monkeypatch.chdir(tmp_path)
    names = [b"concat:a.mp4|a.mp4", b"http:b.mp4", b"-", "ü 100%d.mp4".encode(), b"bad\xff.mp4"]
    for name in names if os.name == "posix" else names[3:4]:
        with open(name, "wb") as handle:
            handle.write(data)
        assert len(seconds(Path(os.fsdecode(name)))) == len(TENTHS)


def test_ffmpeg_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = cut(film(tmp_path / "a.mp4"), 0.5)
    av.logging.restore_default_callback()
    with pytest.raises(av.FFmpegError):
        av.open(str(path))
    assert "moov" in capfd.readouterr().err
    with pytest.raises(InputError):
        seconds(path)
    assert capfd.readouterr() == ("", "")


def test_without_the_extra_the_command_that_adds_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"pip install '\.\[video\]'"):
        seconds(Path("a.mp4"))


def test_taken_is_the_creation_time_in_utc(tmp_path: Path) -> None:
    told = {"creation_time": "2024-05-01T12:30:15.000000Z"}
    for name in ("a.mp4", "a.mkv"):
        assert taken(film(tmp_path / name, TENTHS[:2], metadata=told)) == datetime(2024, 5, 1, 12, 30, 15)
        assert taken(film(tmp_path / name, TENTHS[:2])) is None


def test_a_video_is_known_by_its_suffix() -> None:
    assert all(is_video(f"a{suffix.upper()}") for suffix in video.SUFFIXES)
    assert not any(is_video(name) for name in ("a.jpg", "mp4", "a.ts", "a.mp4.png"))
