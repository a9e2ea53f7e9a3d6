"""The album on the command line, from the first folder to the receipt of who was forgotten."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from visavis.app.adding import add
from visavis.app.cli import run
from visavis.app.library import Album
from visavis.core.errors import InputError
from visavis.media.regions import read_regions
from visavis.people.store import Store

COMMAND = [sys.executable, "-m", "visavis"]
MAN = ("obama", "obama2", "obama3", "obama_partial", "obama_partial2")
Fill = Callable[..., Path]
Say = Callable[..., str]


@pytest.fixture(scope="module")
def filled(small: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of the portraits and an album of it, for copies."""
    top = tmp_path_factory.mktemp("filled")
    folder = top / "photos"
    folder.mkdir()
    for name in (*MAN, "biden"):
        shutil.copy(small[name], folder)
    store = Store(top / "album.db")
    add(store, [folder], processes=1)
    store.close()
    return folder, top / "album.db"


@pytest.fixture
def photos(filled: tuple[Path, Path], home: Path) -> Path:
    """The folder; the default album holds it already."""
    folder, album = filled
    shutil.copy(album, home / "album.db")
    return folder


def command(*arguments: object) -> int:
    """The exit code of a command; `--album` is a setting of its process and does not outlive it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISAVIS_ALBUM", os.environ.get("VISAVIS_ALBUM", ""))
        return run([str(argument) for argument in arguments])


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """say(arguments): what a command prints; it must end well and leave stderr empty."""

    def say_(*arguments: object) -> str:
        assert command(*arguments) == 0, capsys.readouterr().err
        said = capsys.readouterr()
        assert said.err == ""
        return said.out

    return say_


@pytest.fixture
def document(say: Say) -> Callable[..., Any]:
    """document(arguments): the one JSON document that a command prints."""

    def document_(*arguments: object) -> Any:
        out = say(*arguments, "--json")
        assert out.count("\n") == 1
        return json.loads(out)

    return document_


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Say:
    """refused(arguments): the one line on stderr of a command that ends with exit code 2."""

    def refused_(*arguments: object) -> str:
        assert command(*arguments) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
        return said.err

    return refused_


def test_from_a_folder_to_names_and_back(
    home: Path, fill: Fill, small: dict[str, Path], say: Say, document: Callable[..., Any], tmp_path: Path
) -> None:
    folder = fill((*MAN, "biden"))
    added = document("album", "add", folder)
    assert added["schema"] == "visavis.add/1" and added["counts"] == {"added": 6} and added["faces"] == 6
    assert "6 unchanged; 0 new faces." in say("album", "add", folder)

    everybody = document("album", "people", "--all")
    assert everybody["schema"] == "visavis.people/1"
    man, other = everybody["people"]
    assert (man["photos"], man["faces"], man["name"]) == (5, 5, None)
    assert (other["photos"], other["faces"]) == (1, 1)
    shown = say("album", "people")
    assert f"#{man['id']}" in shown and f"#{other['id']} " not in shown

    assert "5 faces on 5 photos" in say("album", "name", f"#{man['id']}", "Barack Obama")
    found = document("album", "find", small["again"])
    assert found["schema"] == "visavis.find/1" and found["verdict"] == "found" and found["searched"] == 2
    assert found["hits"][0]["name"] == "Barack Obama" and found["hits"][0]["expected"] < 0.05
    assert say("album", "find", small["again"]).startswith("Found: Barack Obama. Among 2 people, ")
    said = say("album", "find", small["biden"])
    assert f"#{other['id']}" in said.splitlines()[0] and "Obama" not in said.splitlines()[0]

    faces = document("album", "show", "Barack Obama")
    assert faces["schema"] == "visavis.album/1"
    assert {Path(row["path"]).stem for row in faces["faces"]} == set(MAN)
    assert say("album", "show", "Barack Obama").count("obama") == 5

    assert "1 face on 1 photo" in say("album", "merge", "Barack Obama", f"#{other['id']}")
    assert document("album", "people")["people"][0]["faces"] == 6
    assert say("album", "undo").startswith("Taken back: merge")
    assert [p["faces"] for p in document("album", "people", "--all")["people"]] == [5, 1]

    assert "written: 6 faces" in say("album", "export", tmp_path / "who.json")
    rows = json.loads((tmp_path / "who.json").read_text())["faces"]
    assert {Path(row["path"]).stem for row in rows if row["name"] == "Barack Obama"} == set(MAN)
    say("album", "export", tmp_path / "who.csv", "--as", "csv")
    sheet = list(csv.DictReader(io.StringIO((tmp_path / "who.csv").read_text())))
    assert sum(row["name"] == "Barack Obama" for row in sheet) == 5
    say("album", "export", tmp_path / "links", "--as", "links")
    linked = [path for path in (tmp_path / "links").rglob("*") if path.is_symlink()]
    assert {path.resolve().stem for path in linked if "Obama" in str(path.parent)} == set(MAN)
    assert "5 sidecars" in say("album", "export", "--as", "xmp")
    assert [region.name for region in read_regions(folder / "obama.jpg")] == ["Barack Obama"]
    assert not (folder / "biden.jpg.xmp").exists()

    assert say("album", "undo").startswith("Taken back: name")
    assert [p["name"] for p in document("album", "people")["people"]] == [None]


def test_what_is_told_in_a_sentence_is_a_document_too(
    photos: Path, small: dict[str, Path], document: Callable[..., Any], tmp_path: Path
) -> None:
    def said(*arguments: object) -> str:
        made = document("album", *arguments)
        assert made.keys() == {"schema", "said"} and made["schema"] == f"visavis.album.{arguments[0]}/1"
        return str(made["said"])

    man, other = document("album", "people", "--all")["people"]
    assert said("name", f"#{man['id']}", "Ana") == f"#{man['id']} is Ana now: 5 faces on 5 photos."
    assert said("differ", "Ana", f"#{other['id']}") == f"Ana and #{other['id']} are kept apart."
    assert "moved to Ana" in said("merge", "Ana", f"#{other['id']}")
    faces = [row["face"] for row in document("album", "show", "Ana")["faces"]]
    assert said("split", "Ana", *faces[:2], "--to", "Bob") == "2 faces of Ana moved to Bob."
    assert said("reject", faces[2]) == "1 rejected."
    assert said("undo") == f"Taken back: reject {faces[2]}"
    assert said("export", tmp_path / "who.json") == "written: 6 faces"
    joe = document("person", "add", "Joe", small["again"], "--until", "2031-05-01")
    assert joe["schema"] == "visavis.person/1" and (joe["name"], joe["faces"], joe["until"]) == ("Joe", 1, "2031-05-01")


def test_a_man_who_is_not_in_the_album_is_not_found(
    home: Path, fill: Fill, small: dict[str, Path], say: Say, document: Callable[..., Any]
) -> None:
    say("album", "add", fill(MAN))
    say("album", "name", f"#{document('album', 'people')['people'][0]['id']}", "Barack Obama")
    assert document("album", "find", small["biden"])["verdict"] != "found"
    assert not say("album", "find", small["biden"]).startswith("Found")


def test_who_is_forgotten_stays_forgotten_until_brought_back(
    photos: Path, small: dict[str, Path], say: Say, document: Callable[..., Any], tmp_path: Path
) -> None:
    say("album", "name", f"#{document('album', 'people')['people'][0]['id']}", "Barack Obama")
    receipt = document("forget", "Barack Obama")
    assert receipt["schema"] == "visavis.receipt/1"
    assert (receipt["faces"], receipt["photos"], receipt["bytes_found"]) == (5, 5, 0)
    assert Path(receipt["file"]).exists()
    found = document("album", "find", small["obama"])
    assert found["verdict"] != "found" and found["searched"] == 1 and "Barack Obama" not in str(found)

    again = document("album", "add", photos)
    assert (again["faces"], again["left_out"], again["counts"]) == (0, 5, {"unchanged": 6})
    assert "5 faces of forgotten people left out (--bring-back adds them)" in say("album", "add", photos)
    assert [p["faces"] for p in document("album", "people", "--all")["people"]] == [1]
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(photos, elsewhere)
    assert document("album", "add", elsewhere)["left_out"] == 5

    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(small["again"], new)
    assert document("album", "add", new)["faces"] == 1
    assert sorted((p["name"], p["faces"]) for p in document("album", "people", "--all")["people"]) == [(None, 1)] * 2

    back = document("album", "add", photos, "--bring-back")
    assert back["left_out"] == 0 and back["faces"] == 5
    assert [p["faces"] for p in document("album", "people", "--all")["people"]] == [6, 1]
    assert "left out" not in say("album", "add", photos)


def test_forget_tells_people_what_stays_and_what_is_out_of_reach(photos: Path, say: Say) -> None:
    say("album", "people")
    said = say("forget", "#1")
    assert said.startswith("#1 is forgotten: 5 faces on 5 photos.")
    assert "traces of a vector or picture found: 0." in said and "Cannot be reached from here" in said
    assert "Kept, so that the same files do not bring them back: file hash and box of each face (no biometric)." in said
    (file,) = [line.removeprefix("Receipt: ") for line in said.splitlines() if line.startswith("Receipt: ")]
    assert json.loads(Path(file).read_text())["faces"] == 5


def test_a_person_by_name_with_photos_and_consent(
    photos: Path, small: dict[str, Path], say: Say, document: Callable[..., Any]
) -> None:
    said = say("person", "add", "Joe", small["biden"], "--consent", "website", "--until", "2031-05-01")
    assert said == "Joe: 1 face, website, until 2031-05-01.\n"
    (joe,) = [p for p in document("album", "people")["people"] if p["name"]]
    assert (joe["name"], joe["consent"], joe["until"]) == ("Joe", "website", "2031-05-01")
    assert say("album", "find", small["biden"]).startswith("Found: Joe.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("album", "find", "{sky}"), "sky.jpg"),
        (("album", "find", "absent.jpg"), "absent.jpg does not exist"),
        (("album", "find", "{text}"), "text.jpg is not a photo"),
        (("album", "find", "{again}", "--face", "7"), "there is no face 7"),
        (("person", "add", "Ana", "{again}", "{sky}"), "sky.jpg"),
        (("person", "add", "Ana", "{again}", "--until", "tomorrow"), "YYYY-MM-DD, not 'tomorrow'"),
        (("person", "add", "#7", "{again}"), "does not begin with #"),
        (("forget", "Nobody"), "'Nobody'"),
        (("album", "name", "Nobody", "Ana"), "'Nobody'"),
        (("album", "name", "#1", " "), "1 to 200 characters"),
        (("album", "merge", "#1", "#1"), "with itself"),
        (("album", "show", "Nobody"), "'Nobody'"),
        (
            (
                "album",
                "undo",
            ),
            "undo",
        ),
        (("album", "reject", "99"), "no face 99"),
        (("album", "split", "#1", "99"), "99"),
        (("album", "export", "--as", "json"), "album export OUT"),
        (("album", "export", "out", "--as", "html"), "'html'"),
        (("album", "add", "absent"), "absent does not exist"),
        (("album", "add", "{again}", "--every", "1x"), "'1x'"),
        (("album", "add", "{again}", "--every", "-5s"), "'-5s'"),
        (("album", "add", "{again}", "--every", "nans"), "'nans'"),
        (("album", "people", "--album", "{text}"), "text.jpg"),
        (("album", "people", "--album", "mysql://a:b@c/d"), "mysql"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    arguments: tuple[str, ...], expected: str, photos: Path, small: dict[str, Path], refused: Say, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("not a photo")
    with Album() as album:
        album.people()
        album.export(tmp_path / "before.json")
    began = time.process_time()
    said = refused(*(argument.format(text=text, **small) for argument in arguments))
    assert time.process_time() - began < 3
    assert expected in said
    with Album() as album:
        album.export(tmp_path / "after.json")
    assert (tmp_path / "after.json").read_bytes() == (tmp_path / "before.json").read_bytes()


@pytest.mark.parametrize("what", ["sky", "absent", "text"])
def test_find_fails_fast_as_a_command(what: str, photos: Path, small: dict[str, Path], tmp_path: Path) -> None:
    path = small.get(what, tmp_path / f"{what}.jpg")
    if what == "text":
        path.write_text("not a photo")
    began = os.times().children_user
    made = subprocess.run([*COMMAND, "album", "find", str(path)], capture_output=True, text=True)
    assert os.times().children_user - began < 3
    assert made.returncode == 2 and made.stdout == ""
    assert made.stderr.count("\n") == 1 and path.name in made.stderr


def test_the_option_beats_the_variable_beats_the_default(
    home: Path, small: dict[str, Path], say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = {"default": home / "album.db", "variable": tmp_path / "variable.db", "option": tmp_path / "option.db"}
    say("album", "add", small["sky"])
    assert [name for name, path in places.items() if path.exists()] == ["default"]
    monkeypatch.setenv("VISAVIS_ALBUM", str(places["variable"]))
    assert "1 added" in say("album", "add", small["sky"])
    assert [name for name, path in places.items() if path.exists()] == ["default", "variable"]
    assert "1 added" in say("album", "add", small["sky"], "--album", places["option"])
    assert all(path.exists() and path.stat().st_mode & 0o777 == 0o600 for path in places.values())
    assert "1 unchanged" in say("album", "add", small["sky"])


def test_every_looks_again_until_ctrl_c(home: Path, fill: Fill, small: dict[str, Path]) -> None:
    folder = fill(("sky",))
    running = subprocess.Popen(
        [*COMMAND, "album", "add", str(folder), "--every", "1s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert "1 added" in running.stdout.readline()
    shutil.copy(small["obama"], folder)
    said = ""
    while "added" not in said:
        said = running.stdout.readline()
        assert said
    assert said == "1 added, 1 unchanged; 1 new face.\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130 and "Traceback" not in err


def test_every_prints_a_document_each_time(
    home: Path, small: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter([None])

    def sleep(seconds: float) -> None:
        assert seconds == 60
        if next(rounds, 1):
            raise KeyboardInterrupt

    monkeypatch.setattr("visavis.app.album.time.sleep", sleep)
    assert command("album", "add", small["sky"], "--every", "1m", "--json") == 130
    counted = [json.loads(line)["counts"] for line in capsys.readouterr().out.splitlines()]
    assert counted == [{"added": 1}, {"unchanged": 1}]


def test_ctrl_c_keeps_what_was_added_and_ends_helpers(home: Path, fill: Fill) -> None:
    folder = fill(40)
    running = subprocess.Popen(
        [*COMMAND, "album", "add", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    kept = 0
    while kept < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        kept = photos_in(home / "album.db")
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 130 and out == "" and "Traceback" not in err
    assert 2 <= photos_in(home / "album.db") < 40


def photos_in(album: Path) -> int:
    import sqlite3
    from contextlib import closing

    if not album.exists():
        return 0
    with closing(sqlite3.connect(f"file:{album}?mode=ro", uri=True)) as file:
        if not file.execute("SELECT name FROM sqlite_master WHERE name = 'photo'").fetchone():
            return 0
        return int(file.execute("SELECT count(*) FROM photo").fetchone()[0])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:hush-hush@127.0.0.1:1/faces",
        "postgresql://ana:hush-hush@127.0.0.1:port/faces",
        "postgresql://ana:hush-hush@/faces?host=/nowhere",
        "mysql://ana:hush-hush@127.0.0.1/faces",
    ],
)
def test_a_password_is_never_printed(url: str, home: Path, refused: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hush" not in refused("album", "people", "--album", url)
    monkeypatch.setenv("VISAVIS_ALBUM", url)
    assert "hush" not in refused("album", "people")


@pytest.mark.parametrize("where", ["postgres"], indirect=True)
def test_an_album_in_postgresql_keeps_its_password_to_itself(
    where: str, home: Path, fill: Fill, small: dict[str, Path], say: Say
) -> None:
    url = where.replace("postgres:@", "postgres:hush-hush@")
    assert "hush-hush" in url
    said = say("album", "add", fill((*MAN, "biden")), "--album", url)
    assert "6 added; 6 new faces." in said
    said += say("album", "people", "--album", url) + say("album", "name", "#1", "Barack Obama", "--album", url)
    said += say("album", "show", "Barack Obama", "--album", url)
    said += say("album", "people", "--album", url, "--json")
    said += say("person", "add", "Barack Obama", "--album", url, "--json", small["obama"])
    receipt = say("forget", "Barack Obama", "--album", url, "--json")
    assert json.loads(receipt)["faces"] == 5
    assert "hush" not in said + receipt + Path(json.loads(receipt)["file"]).read_text()


def test_python_sees_the_same_album(photos: Path, small: dict[str, Path]) -> None:
    with Album() as album:
        man = album.people()[0]
        assert album.name(man.called, "Barack Obama") == f"{man.called} is Barack Obama now: 5 faces on 5 photos."
        found = album.find(small["again"])
        assert found.verdict == "found" and found.hits[0].called == "Barack Obama"
        faces = [row["face"] for row in album.faces("Barack Obama")]
        assert "2 faces" in album.split("Barack Obama", faces[:2], "Somebody else")
        assert {p.name: p.faces for p in album.people() if p.name} == {"Barack Obama": 3, "Somebody else": 2}
        assert album.undo() == "split Barack Obama"
        album.reject(faces[:1])
        assert len(album.faces("Barack Obama")) == 4
        with pytest.raises(InputError, match="Nobody in this album"):
            album.forget("Somebody else")
