"""tracks on small films that are made of the free portraits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.core.errors import InputError
from visavis.core.types import Face, Photo
from visavis.faces import track as room
from visavis.faces.analyse import find_faces
from visavis.faces.score import match
from visavis.faces.track import APART, Track, tracks
from visavis.media.video import Frame, frames

av = pytest.importorskip("av", reason="the extra [video] is not installed")

WIDTH, HEIGHT = 320, 240
Heads = dict[str, np.ndarray]
Place = tuple[str, int, int]


@pytest.fixture(scope="module")
def heads(portraits: dict[str, Path]) -> Heads:
    """The two men's faces with what is around them, of one size, uint8 [110, 90, 3]."""
    cut = {}
    for name in ("obama", "biden"):
        face = find_faces(portraits[name])[0]
        (x1, y1, x2, y2), image = face.box, Image.fromarray(face.photo.pixels)
        half, x, y = (y2 - y1) * 0.65, (x1 + x2) / 2, (y1 + y2) / 2
        box = (round(x - half * 9 / 11), round(y - half), round(x + half * 9 / 11), round(y + half))
        cut[name] = np.asarray(image.crop(box).resize((90, 110), Image.Resampling.LANCZOS))
    return cut


def picture(heads: Heads, *places: Place) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]: heads at places (x, y), later ones in front, over a plain background."""
    pixels = np.full((HEIGHT, WIDTH, 3), 1, np.uint8) * np.linspace(60, 180, WIDTH)[None, :, None].astype(np.uint8)
    for name, x, y in places:
        head = heads[name][:, : WIDTH - x]
        pixels[y : y + len(head), x : x + head.shape[1]] = head
    return pixels


def filmed(path: Path, pictures: Sequence[np.ndarray]) -> Iterator[Frame]:
    """The pictures as a video of five a second, read again."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5, options={"crf": "15"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return frames(path, 0.2)


def men(faces: list[Face], heads: Heads) -> set[str]:
    known = {name: find_faces(heads[name])[0] for name in heads}
    return {max(known, key=lambda name: match(face, known[name]).score) for face in faces}


def who(track: Track, heads: Heads) -> str:
    """The one man on all faces that a track kept."""
    (name,) = men(track.faces, heads)
    return name


def test_a_face_that_moves_is_one_track_with_all_frames(heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads, ("obama", 20 + 8 * n, 40 + 2 * n)) for n in range(11)]
    (track,) = tracks(filmed(tmp_path / "a.mp4", pictures))
    assert (track.first, track.last, track.count) == (0, 2, 11)
    assert len(track.faces) == len(track.seconds) == 3
    for face, seconds in zip(track.faces, track.seconds, strict=True):
        assert face.photo.meta["seconds"] == seconds
        middle = (face.box[0] + face.box[2]) / 2
        assert abs(middle - (20 + 45 + 8 * seconds * 5)) < 15
    assert len(set(track.seconds)) == 3


def test_two_people_side_by_side_are_two_tracks(heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads, ("obama", 20 + n, 60), ("biden", 190 - n, 60)) for n in range(10)]
    found = list(tracks(filmed(tmp_path / "a.mp4", pictures)))
    assert sorted(who(track, heads) for track in found) == ["biden", "obama"]
    assert [track.count for track in found] == [10, 10]


def test_a_cut_to_another_man_at_the_same_place_begins_a_track(heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads, (name, 100, 60)) for name in ["obama"] * 5 + ["biden"] * 5]
    first, second = tracks(filmed(tmp_path / "a.mp4", pictures))
    assert (who(first, heads), first.first, first.last, first.count) == ("obama", 0, 0.8, 5)
    assert (who(second, heads), second.first, second.last, second.count) == ("biden", 1, 1.8, 5)


def blurred(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(pixels).resize((WIDTH // 3, HEIGHT // 3), Image.Resampling.BOX)
    return np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def test_a_cut_to_a_blurred_man_begins_a_track(heads: Heads, tmp_path: Path) -> None:
    obama, biden = (picture(heads, (name, 100, 60)) for name in ("obama", "biden"))
    found = list(tracks(filmed(tmp_path / "a.mp4", [obama] * 2 + [blurred(biden)] * 2), keep=1))
    assert [track.count for track in found] == [2, 2]


@pytest.mark.parametrize("near", [False, True])
def test_beside_a_second_face_the_vectors_decide(near: bool, heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Photo(picture(heads, ("obama", 100, 60)))
    (face,) = find_faces(photo)
    (stranger,) = find_faces(picture(heads, ("biden", 100, 60)))
    # Looks like the face before it, but has another man's vector.
    other, beside = replace(face), replace(face, box=tuple(np.add(face.box, (30, 0, 30, 0))))
    other.__dict__["embedding"] = beside.__dict__["embedding"] = stranger.embedding
    shown = [[face], [other, beside] if near else [other]]
    monkeypatch.setattr(room, "find_faces", lambda *_, **__: shown.pop(0))
    counts = [found.count for found in tracks([Frame(photo, 0), Frame(photo, 0.2)], keep=1)]
    assert counts == ([1, 1, 1] if near else [2])


@pytest.mark.parametrize("steps", [4, 10])
def test_a_cross_fade_leads_no_track_from_man_to_man(steps: int, heads: Heads, tmp_path: Path) -> None:
    ends = [picture(heads, (name, 100, 60)).astype(float) for name in ("obama", "biden")]
    shares = [0.0] * 6 + [n / steps for n in range(1, steps)] + [1.0] * 6
    pictures = [np.rint(ends[0] * (1 - share) + ends[1] * share).astype(np.uint8) for share in shares]
    found = list(tracks(filmed(tmp_path / "a.mp4", pictures)))
    pure = [
        [face for face in track.faces if shares[round(face.photo.meta["seconds"] * 5)] in (0, 1)] for track in found
    ]
    shown = [men(faces, heads) for faces in pure]
    assert sorted(name for names in shown if names for name in names) == ["biden", "obama"]
    assert all(len(names) <= 1 for names in shown)


def test_people_who_cross_never_share_a_track(heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads, ("obama", 20 + 18 * n, 60), ("biden", 200 - 18 * n, 50)) for n in range(11)]
    found = list(tracks(filmed(tmp_path / "a.mp4", pictures)))
    assert {who(track, heads) for track in found} == {"obama", "biden"}
    for track in found:
        rightwards = {face.photo.meta["seconds"]: face.box[0] for face in track.faces}
        assert len(rightwards) == len(track.faces), "two faces of one frame"


@pytest.mark.parametrize(("back", "counts"), [("obama", [8]), ("biden", [4, 4])])
def test_after_a_gap_the_vectors_decide(back: str, counts: list[int], heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads, ("obama", 60, 60))] * 4 + [picture(heads)] * 3 + [picture(heads, (back, 190, 60))] * 4
    assert [track.count for track in tracks(filmed(tmp_path / "a.mp4", pictures))] == counts


def test_after_a_long_gap_a_new_track_begins(heads: Heads, tmp_path: Path) -> None:
    shown = [picture(heads, ("obama", 60, 60))] * 3
    found = list(tracks(filmed(tmp_path / "a.mp4", shown + [picture(heads)] * 6 + shown)))
    assert [(track.first, track.last, track.count) for track in found] == [(0, 0.4, 3), (1.8, 2.2, 3)]


def test_a_cut_of_the_place_ends_the_track(heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads, ("obama", x, 60)) for x in [20] * 3 + [200] * 3]
    assert [track.count for track in tracks(filmed(tmp_path / "a.mp4", pictures))] == [3, 3]


def test_one_look_is_a_track(heads: Heads, tmp_path: Path) -> None:
    pictures = [picture(heads)] * 3 + [picture(heads, ("biden", 100, 60))] + [picture(heads)] * 3
    (track,) = tracks(filmed(tmp_path / "a.mp4", pictures))
    assert (track.first, track.last, track.count, track.seconds) == (0.6, 0.6, 1, [0.6])


def test_no_face_no_track(heads: Heads, tmp_path: Path) -> None:
    assert list(tracks(filmed(tmp_path / "a.mp4", [picture(heads)] * 4))) == []
    assert list(tracks([])) == []


def test_the_sharpest_looks_are_kept_apart_in_time(heads: Heads, tmp_path: Path) -> None:
    clear = picture(heads, ("obama", 100, 60))
    pictures = [clear if n in (3, 4, 12) else blurred(clear) for n in range(16)]
    (track,) = tracks(filmed(tmp_path / "a.mp4", pictures), keep=2)
    assert track.count == 16
    assert sorted(track.seconds)[1] == pytest.approx(2.4)
    assert sorted(track.seconds)[0] in (pytest.approx(0.6), pytest.approx(0.8))
    (track,) = tracks(filmed(tmp_path / "b.mp4", pictures), keep=1)
    assert len(track.faces) == 1 and round(track.seconds[0] * 5) in (3, 4, 12)
    (track,) = tracks(filmed(tmp_path / "c.mp4", pictures), keep=5)
    times = sorted(track.seconds)
    assert len(times) == 5 and min(np.diff(times)) >= APART


def test_what_breaks_off_gives_its_tracks_first(heads: Heads) -> None:
    def breaking() -> Iterator[Frame]:
        for n in range(3):
            yield Frame(Photo(picture(heads, ("obama", 100, 60))), n / 5)
        raise InputError("cut off")

    found = tracks(breaking())
    assert next(found).count == 3
    with pytest.raises(InputError, match="cut off"):
        next(found)


def test_a_track_holds_only_the_frames_of_its_best_looks(heads: Heads) -> None:
    made: weakref.WeakSet[Photo] = weakref.WeakSet()
    most = 0

    def watched() -> Iterator[Frame]:
        nonlocal most
        for n in range(20):
            photo = Photo(picture(heads, ("obama", 60 + 3 * n, 60)))
            made.add(photo)
            frame = Frame(photo, n / 5)
            del photo
            yield frame
            del frame
            gc.collect()
            most = max(most, len(made))

    (track,) = tracks(watched(), keep=2)
    assert track.count == 20 and len(track.faces) == 2
    assert most <= 2 + 2  # the best looks, the last one, the one just seen
    gc.collect()
    assert len(made) == 2


def test_a_track_must_keep_a_face() -> None:
    with pytest.raises(InputError, match="not 0"):
        next(tracks([], keep=0))
