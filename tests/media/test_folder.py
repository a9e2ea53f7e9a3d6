"""Which files of a folder are photos to open."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.media.drawing import as_nobody, draw

from visavis.core.errors import InputError
from visavis.media.folder import walk


def found(*sources: Path) -> tuple[list[str], dict[str, str]]:
    top = sources[0]
    good, skipped = [], {}
    for path, reason in walk(sources):
        name = str(path.relative_to(top)) if path.is_relative_to(top) else str(path)
        if reason is None:
            good.append(name)
        else:
            skipped[name] = reason
    return good, skipped


@pytest.mark.timeout(20)
def test_a_mixed_folder(tmp_path: Path) -> None:
    top = tmp_path / "photos"
    (top / "b" / "c").mkdir(parents=True)
    (top / ".thumbnails").mkdir()
    for name in ("b.jpg", "a.JPEG", "é 张.png", "b/x.heic", "b/c/y.tiff", "b/a.webp", "broken.gif", ".hidden.jpg"):
        (top / name).write_bytes(b"not looked into")
    draw().save(top / "no suffix", "JPEG")
    draw().save(top / "Party 3.2019", "PNG")
    (top / "README").write_text("a text")
    (top / "notes.txt").write_text("a text")
    (top / "film.mp4").touch()
    os.mkfifo(top / "pipe.jpg")
    (top / "link.jpg").symlink_to(top / "b.jpg")
    (top / "loop").symlink_to(top)
    if os.geteuid() == 0 and sys.platform == "linux":
        os.mknod(top / "zero.jpg", 0o020666, os.makedev(1, 5))
    good, skipped = found(top)
    assert good == [
        "Party 3.2019",
        "a.JPEG",
        "b.jpg",
        "broken.gif",
        "no suffix",
        "é 张.png",
        "b/a.webp",
        "b/x.heic",
        "b/c/y.tiff",
    ]
    assert skipped.pop("zero.jpg", "a device") == "a device"
    assert skipped == {
        ".hidden.jpg": "hidden",
        ".thumbnails": "hidden",
        "README": "not a photo by its first bytes",
        "film.mp4": "not a photo by its suffix .mp4",
        "link.jpg": "a link, not followed",
        "loop": "a link, not followed",
        "notes.txt": "not a photo by its suffix .txt",
        "pipe.jpg": "a named pipe",
    }


def test_named_files_are_given_out_in_order_whatever_they_are(tmp_path: Path) -> None:
    for name in ("z.txt", "a.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a.jpg")
    sources = [tmp_path / "z.txt", tmp_path / "link", str(tmp_path / "a.jpg")]
    assert list(walk(sources)) == [(Path(source), None) for source in sources]


def test_a_linked_folder_is_walked_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list(walk([tmp_path / "link"])) == [(tmp_path / "link" / "a.jpg", None)]


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    assert list(walk([tmp_path])) == []
    with pytest.raises(InputError, match=r"gone does not exist\."):
        walk([tmp_path, tmp_path / "gone"])  # at the call, before any photo is looked at


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    top = tmp_path / "photos"
    for name in ("a", "locked", "z"):
        (top / name).mkdir(parents=True)
        (top / name / "x.jpg").touch()
    (top / "locked").chmod(0)
    with as_nobody(top):
        good, skipped = found(top)
        with pytest.raises(InputError, match=r"locked cannot be read \(Permission denied\)"):
            walk([top / "locked"])
    assert good == ["a/x.jpg", "z/x.jpg"]
    assert skipped == {"locked": "a folder that cannot be read (Permission denied)"}


def test_folders_nested_deeper_than_recursion_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("d")
    while len(str(folder)) < 1900:
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "a.jpg").touch()
    limit = sys.getrecursionlimit()
    assert len(folder.parts) > 900
    sys.setrecursionlimit(400)
    try:
        assert [path for path, _ in walk(["d"])] == [folder / "a.jpg"]
    finally:
        sys.setrecursionlimit(limit)
