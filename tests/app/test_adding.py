"""add on folders as they are: mixed, moved, vanishing, with names and videos, and killed in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from visavis.app.adding import AddJob, add
from visavis.app.cli import run
from visavis.app.library import Album
from visavis.core.errors import InputError
from visavis.media.regions import Region, write_regions
from visavis.people import schema
from visavis.people.record import look_at
from visavis.people.store import Store

Fill = Callable[..., Path]


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store(home / "album.db")
    yield opened
    opened.close()


def rows(store: Store) -> dict[str, list[str]]:
    """All that the album holds, without its facts about itself."""
    tables = {name: table for name, table in schema.METADATA.tables.items() if name != "about"}
    with store.read() as connection:
        return {name: sorted(map(repr, connection.execute(sa.select(table)))) for name, table in tables.items()}


def content(store: Store) -> dict[str, list[tuple[float, ...]]]:
    """The boxes of the faces of each photo, by the photo's sha256."""
    with store.read() as connection:
        found: dict[str, list[tuple[float, ...]]] = {
            sha256: [] for sha256 in connection.scalars(sa.select(schema.photo.c.sha256))
        }
        boxes = [schema.face.c[side] for side in ("x1", "y1", "x2", "y2")]
        for sha256, *box in connection.execute(sa.select(schema.photo.c.sha256, *boxes).join(schema.face)):
            found[sha256].append(tuple(round(side, 4) for side in box))
    return {sha256: sorted(boxes_) for sha256, boxes_ in found.items()}


def files(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.scalars(sa.select(schema.file.c.path).where(~schema.file.c.missing)))


def test_a_mixed_folder_is_done_once_and_every_other_file_has_its_reason(
    store: Store, small: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "Ana's 张 é"
    (folder / "below").mkdir(parents=True)
    shutil.copy(small["obama"], folder / "good.jpg")
    shutil.copy(small["biden"], folder / "below" / "张 é 'quote'.jpg")
    shutil.copy(small["obama2"], folder / ("n" * 236 + ".jpg"))
    shutil.copy(small["sky"], folder)
    shutil.copy(small["obama3"], folder / ".hidden.jpg")
    shutil.copy(os.fsencode(small["obama3"]), os.fsencode(folder) + b"/no\xfftext.jpg")
    (folder / "text.jpg").write_text("not a photo")
    (folder / "cut.jpg").write_bytes(small["obama"].read_bytes()[:2000])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("notes")
    (folder / "link.jpg").symlink_to(small["obama"])
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.mp4")

    first = add(store, [folder], processes=1)
    assert first.counts == {"added": 4, "unreadable": 2} and first.faces == 3 and not first.gone
    reasons = {os.fsencode(Path(path).name): reason for path, reason in first.skipped}
    said = {
        b".hidden.jpg": "hidden",
        b"no\xfftext.jpg": "rename",
        b"text.jpg": "not a photo",
        b"cut.jpg": "cut",
        b"empty.jpg": "empty",
        b"notes.txt": "suffix .txt",
        b"link.jpg": "a link",
        b"pipe.jpg": "a named pipe",
        b"pipe.mp4": "a named pipe",
    }
    assert reasons.keys() == said.keys()
    assert all(words in reasons[name] for name, words in said.items()), reasons

    before = rows(store)
    assert [len(before[table]) for table in ("photo", "file", "face", "crop")] == [6, 6, 3, 3]
    assert list(AddJob(store, [folder]).items()) == []
    second = add(store, [folder], processes=1)
    assert second.counts == {"unchanged": 6} and second.faces == 0
    assert {os.fsencode(Path(path).name) for path, _ in second.skipped} == said.keys() - {b"text.jpg", b"cut.jpg"}
    assert rows(store) == before


def test_a_pipe_that_is_named_is_no_photo_and_is_not_waited_for(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    made = subprocess.run(
        [sys.executable, "-m", "visavis", "album", "add", "pipe.jpg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0 and "pipe.jpg is a named pipe" in made.stdout


def test_copies_in_one_folder_are_one_photo(store: Store, small: dict[str, Path], fill: Fill) -> None:
    folder = fill(("obama",))
    for number in range(3):
        shutil.copy(small["obama"], folder / f"copy{number}.jpg")
    report = add(store, [folder], processes=1)
    assert report.faces == 1 and sum(report.counts.values()) == 4 and report.counts["added"] == 1
    held = rows(store)
    assert [len(held[table]) for table in ("photo", "file", "face")] == [1, 4, 1]


def test_a_moved_file_is_followed_and_a_deleted_one_reported_once(store: Store, fill: Fill) -> None:
    folder = fill(("obama", "biden", "sky"))
    add(store, [folder], processes=1)
    faces = rows(store)["face"]
    (folder / "below").mkdir()
    (folder / "obama.jpg").rename(folder / "below" / "he.jpg")
    aside = folder.parent / "aside.jpg"
    (folder / "biden.jpg").rename(aside)
    report = add(store, [folder], processes=1)
    assert report.counts == {"unchanged": 1, "moved": 1}
    assert report.gone == [str(folder / "biden.jpg")]
    assert files(store) == {str(folder / "below" / "he.jpg"), str(folder / "sky.jpg")}
    assert add(store, [folder], processes=1).gone == []
    aside.rename(folder / "biden.jpg")
    assert list(AddJob(store, [folder]).items()) == []
    assert str(folder / "biden.jpg") in files(store) and rows(store)["face"] == faces


def test_a_file_with_another_content_is_looked_at_again(store: Store, small: dict[str, Path], fill: Fill) -> None:
    folder = fill(("obama", "sky"))
    add(store, [folder], processes=1)
    shutil.copy(small["sky"], folder / "obama.jpg")
    shutil.copy(small["biden"], folder / "sky.jpg")
    report = add(store, [folder], processes=1)
    assert report.counts == {"changed": 1, "copied": 1} and not report.gone
    assert content(store).keys() == {look_at(small[name]).sha256 for name in ("sky", "biden")}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_that_vanishes_in_the_middle_leaves_what_was_added(store: Store, fill: Fill, processes: int) -> None:
    folder = fill(40)

    def vanish() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return False

    report = add(store, [folder], processes=processes, cancelled=vanish)
    kept = report.counts["added"]
    assert 1 <= kept < 20 and report.gone == []
    assert len(report.skipped) == 40 - kept
    assert len(files(store)) == len(content(store)) == kept
    with pytest.raises(InputError, match="does not exist"):
        add(store, [folder], processes=1)
    assert len(files(store)) == kept


def test_a_video_that_vanishes_before_its_look_is_skipped(store: Store, fill: Fill) -> None:
    pytest.importorskip("av", reason="the extra [video] is not installed")
    folder = fill(("sky",))
    video = folder / "video.mp4"
    video.write_bytes(b"film")

    def vanish() -> bool:
        video.unlink(missing_ok=True)
        return False

    report = add(store, [folder], processes=1, cancelled=vanish)
    assert report.counts == {"added": 1} and report.gone == []
    ((path, reason),) = report.skipped
    assert path == str(video) and "does not exist" in reason


def test_cancelled_in_between_the_same_call_does_the_rest(store: Store, fill: Fill) -> None:
    folder = fill(("obama", "obama2", "biden"))
    report = add(store, [folder], processes=1, cancelled=lambda: True)
    assert report.counts == {"added": 1} and not report.gone
    assert add(store, [folder], processes=1).counts == {"added": 2, "unchanged": 1}


def test_an_album_that_breaks_ends_the_run_and_is_not_blamed_on_the_files(store: Store, fill: Fill) -> None:
    folder = fill(("sky",))
    add(store, [folder], processes=1)
    with closing(sqlite3.connect(str(store.path))) as other:
        other.execute("ALTER TABLE file RENAME TO lost")
    job = AddJob(store, [folder])
    with pytest.raises(InputError, match=r"album\.db"):
        list(job.items())
    assert job.report.skipped == []


def test_names_of_other_programs_are_suggested_for_new_and_known_photos(
    store: Store, fill: Fill, small: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(("obama", "obama2"))
    for name, called in (("obama", "Barack O."), ("obama2", "Nobody here")):
        record = look_at(small[name])
        x1, y1, x2, y2 = record.faces[0].box
        box = (x1 + 0.02, y1 + 0.01, x2, y2) if name == "obama" else (0.0, 0.9, 0.1, 1.0)
        write_regions(folder / f"{name}.jpg", [Region(called, box)], (record.width, record.height))
    assert add(store, [folder], processes=1).names == 0
    shutil.copy(folder / "obama.jpg.xmp", folder / "again.jpg.xmp")
    (folder / "again.jpg").write_bytes(small["obama"].read_bytes() + b"again")
    report = add(store, [folder], processes=1, read_names=True)
    assert report.counts == {"unchanged": 2, "added": 1} and report.names == 2
    before = rows(store)
    assert len(before["suggestion"]) == 2
    add(store, [folder], processes=1, read_names=True)
    assert rows(store) == before
    assert run(["album", "people"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "#1" in line]
    assert "Barack O." in line and "Nobody" not in line


def test_videos_are_searched_and_poor_ones_remembered(store: Store, fill: Fill, small: dict[str, Path]) -> None:
    av = pytest.importorskip("av", reason="the extra [video] is not installed")
    folder = fill(("biden",))
    for name in ("obama", "sky"):
        pixels = np.asarray(Image.open(small[name]).convert("RGB").resize((480, 600)))
        with av.open(str(folder / f"{name}.mp4"), "w") as out:
            stream = out.add_stream("libx264", rate=5)
            stream.width, stream.height, stream.pix_fmt = 480, 600, "yuv420p"
            for number in range(8):
                frame = av.VideoFrame.from_ndarray(np.roll(pixels, number, 1), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 5)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    (folder / "broken.mp4").write_bytes((folder / "obama.mp4").read_bytes()[:3000])
    report = add(store, [folder], processes=1)
    assert report.counts == {"added": 3, "unreadable": 1}
    ((path, reason),) = report.skipped
    assert path.endswith("broken.mp4") and "broken.mp4" in reason
    with store.read() as connection:
        found = connection.execute(
            sa.select(schema.file.c.path, schema.face.c.seconds).join(
                schema.face, schema.face.c.photo_id == schema.file.c.photo_id
            )
        ).all()
    times = [seconds for path, seconds in found if path.endswith("obama.mp4")]
    assert times and all(0 <= seconds < 1.6 for seconds in times) and len(set(times)) == len(times)
    assert [seconds for path, seconds in found if not path.endswith("obama.mp4")] == [None]
    assert list(AddJob(store, [folder]).items()) == []
    with Album(store.path) as album:
        assert sorted(person.faces for person in album.people()) == [1, len(times)]


def held(where: str) -> int:
    """Photos in an album that another process writes; 0 where it has no tables yet."""
    if where.startswith("postgresql"):
        import psycopg

        with psycopg.connect(where) as server:
            found = server.execute("SELECT to_regclass('photo')").fetchone()
            row = server.execute("SELECT count(*) FROM photo").fetchone() if found and found[0] else None
    elif not Path(where).exists():
        return 0
    else:
        with closing(sqlite3.connect(f"file:{where}?mode=ro", uri=True)) as file:
            found = file.execute("SELECT name FROM sqlite_master WHERE name = 'photo'").fetchone()
            row = file.execute("SELECT count(*) FROM photo").fetchone() if found else None
    return int(row[0]) if row else 0


def test_killed_at_any_moment_the_same_command_completes(where: str, home: Path, fill: Fill, tmp_path: Path) -> None:
    folder = fill(12)
    undisturbed = Store(home / "undisturbed.db")
    add(undisturbed, [folder], processes=1)
    expected = content(undisturbed)
    undisturbed.close()
    assert len(expected) == 12 and all(expected.values())
    # One process for the one kind, helpers for the other.
    threads = "1" if where.startswith("postgresql") else "2"
    command = [sys.executable, "-m", "visavis", "album", "add", str(folder), "--album", where, "--threads", threads]
    reached = []
    for goal in (0, 1, 5, 9):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            if goal == 0:  # while the tables are being made
                time.sleep(1.2)
            deadline = time.monotonic() + 60
            while running.poll() is None and held(where) < goal and time.monotonic() < deadline:
                time.sleep(0.01)
            running.kill()
        assert running.returncode == -signal.SIGKILL
        reached.append(held(where))
    assert reached == sorted(reached) and reached[0] < 12 and 9 <= reached[-1] <= 12
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    opened = Store(where)
    assert content(opened) == expected
    assert files(opened) == {str(path) for path in folder.iterdir()}
    assert len(rows(opened)["crop"]) == sum(map(len, expected.values()))
    before = rows(opened)
    assert add(opened, [folder], processes=1).counts == {"unchanged": 12}
    assert rows(opened) == before
    opened.close()
