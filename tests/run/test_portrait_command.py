"""`visavis create portrait` and `visavis verify` as a user meets them, with a system that gives the photo back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("c2pa", reason="a signed manifest needs the extra [ml]")

from tests.run.toy_system_files import write_toy


@pytest.fixture(scope="module")
def made(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two pictures that the toy system made."""
    out = tmp_path_factory.mktemp("out")
    done = visavis(out, "create", "portrait", portraits["obama"], "--n", "2", "--seed", "7", "--json")
    assert done.returncode == 0, done.stderr
    (out / "document.json").write_text(done.stdout)
    return out


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-[0-9][0-9][0-9][0-9][0-9].png"))


def visavis(out: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    toy = out.parent / "toy"
    if not toy.exists():
        write_toy(toy)
    told = [*map(str, arguments)]
    if told[:2] == ["create", "portrait"]:
        told += ["--system", "toy", "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(toy)}
    return subprocess.run([sys.executable, "-m", "visavis", *told], env=env, capture_output=True, text=True)


def test_pictures_come_with_their_record_and_a_sheet(made: Path) -> None:
    document = json.loads((made / "document.json").read_text())
    assert document["schema"] == "visavis.create.portrait/1" and len(document["pictures"]) == 2
    first = document["pictures"][0]
    assert first["path"].endswith("-00007.png") and first["likeness"]["likeness"] > 1
    assert [Path(row["path"]) for row in document["pictures"]] == pictures(made)
    assert Image.open(document["sheet"]).size == (256, 128)
    record = json.loads(pictures(made)[0].with_suffix(".json").read_text())
    assert record["schema"] == "visavis.output/1" and record["seed"] == 7 and record["consent"][0]["state"]
    assert record["likeness"] == first["likeness"]


def test_what_was_made_is_recognised_as_such(made: Path, portraits: dict[str, Path]) -> None:
    told = visavis(made, "verify", pictures(made)[0], portraits["biden"], "--json")
    own, photo = json.loads(told.stdout)["files"]
    assert own["ai_made"] is True and own["manifest"] == "own" and own["mark"]["found"] and own["beside"] == "matches"
    assert photo["ai_made"] is None and photo["manifest"] == "missing" and not photo["mark"]["found"]
    Image.open(pictures(made)[0]).save(made / "again.jpg", quality=80)
    (made / "note.txt").write_text("no picture")
    done = visavis(made, "verify", made / "note.txt", made / "again.jpg")
    said = done.stdout
    assert done.returncode == 2 and "note.txt" in done.stderr
    assert "no C2PA manifest" in said and "mark of a picture made by AI was found" in said


def test_options_of_the_system_are_options_of_the_command(made: Path, portraits: dict[str, Path]) -> None:
    out = made.parent / "mirrored"
    done = visavis(out, "create", "portrait", portraits["obama"], "", "--n", "1", "--seed", "7", "--mirror")
    assert done.returncode == 0 and "a copy" in done.stdout
    assert re.search(r"likeness to this photo \d\.\d\d, copy-paste \d\.\d\d", done.stdout)
    straight, mirrored = (np.asarray(Image.open(pictures(folder)[0]), int) for folder in (made, out))
    assert np.abs(straight[:, ::-1] - mirrored).mean() < 5


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--strength", "3"], "--strength is a number from 0 to 1, not 3"),
        (["--n", "0"], "--n is a number from 1 to 1000"),
        (["--face", "2"], "there is no face 2"),
    ],
)
def test_bad_input_is_one_sentence(made: Path, portraits: dict[str, Path], more: list[str], says: str) -> None:
    done = visavis(made.parent / "none", "create", "portrait", portraits["obama"], "", *more)
    assert done.returncode == 2 and says in done.stderr and not (made.parent / "none").exists()


def test_weights_of_unknown_terms_are_refused_where_only_permissive_ones_are_allowed(
    made: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    more = ("--published", tmp_path, "--licence", "commercial")
    done = visavis(made.parent / "none", "create", "portrait", portraits["obama"], "", *more)
    assert done.returncode == 3 and "its terms are unknown and only permissive ones are allowed" in done.stderr
    assert not (made.parent / "none").exists()


def test_a_picture_that_cannot_be_finished_is_not_left_behind(
    made: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    visavis(out, "create", "portrait", portraits["obama"], "", "--n", "1")
    (picture,) = pictures(out)
    picture.unlink()
    record = picture.with_suffix(".json")
    record.unlink()
    record.mkdir()
    done = visavis(out, "create", "portrait", portraits["obama"], "", "--n", "1")
    assert done.returncode == 2 and record.name in done.stderr
    assert not picture.exists()


def test_nothing_that_was_made_is_lost_or_made_again(portraits: dict[str, Path], tmp_path: Path) -> None:
    def make(photo: str, prompt: str, *more: str) -> str:
        done = visavis(tmp_path / "out", "create", "portrait", portraits[photo], prompt, "--n", "2", *more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    make("obama", "smiling")
    first = {path: path.read_bytes() for path in pictures(tmp_path / "out")}
    for photo, prompt, more in (
        ("biden", "smiling", ()),
        ("obama", "serious", ()),
        ("obama", "smiling", ("--mirror",)),
    ):
        make(photo, prompt, *more)
    assert len(pictures(tmp_path / "out")) == 8 and all(path.read_bytes() == first[path] for path in first)
    names = [path.name for path in first]
    assert all(re.fullmatch(r".*obama.*-smiling-[0-9a-f]{6}-0000[01]\.png", name) for name in names), names
    kept, lost = first
    lost.unlink()  # as where it was stopped
    assert "1 of them were there" in make("obama", "smiling")
    assert lost.is_file() and kept.read_bytes() == first[kept]
    sheet = next(path for path in (tmp_path / "out").glob("*.png") if path.stem == names[0][: -len("-00000.png")])
    assert Image.open(sheet).size == (256, 128)


def test_of_a_folder_and_a_list_one_that_fails_is_named_and_the_rest_goes_on(
    portraits: dict[str, Path], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("obama", "biden"):
        (photos / f"{name}.jpg").write_bytes(portraits[name].read_bytes())
    Image.new("RGB", (300, 300)).save(photos / "nobody.png")
    (photos / "notes.txt").write_text("no photo")
    (tmp_path / "prompts.txt").write_text("smiling\n\na dragon\nserious, looking left\nsmiling\n")
    told = ("create", "portrait", photos, "--prompts", tmp_path / "prompts.txt", "--n", "1", "--json")
    done = visavis(tmp_path / "out", *told)
    assert done.returncode == 2 and "5 of 9 could not be made; the first: biden.jpg, 'a dragon'" in done.stderr
    document = json.loads(done.stdout)
    made = [(Path(row["path"]).name[:5], row["prompt"]) for row in document["pictures"]]
    assert made == [(who, said) for who in ("biden", "obama") for said in ("smiling", "serious, looking left")]
    assert any("nobody.png" in sentence for sentence in document["failed"]) and len(document["sheets"]) == 4
    before = {path: path.stat().st_mtime_ns for path in pictures(tmp_path / "out")}
    assert len(before) == 4
    visavis(tmp_path / "out", *told)
    assert {path: path.stat().st_mtime_ns for path in pictures(tmp_path / "out")} == before


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        (b"\n \n", (), "holds no prompt: write one on each line"),
        (b"\xff\xfe", (), "is no text in UTF-8"),
        (b"smiling", ("serious",), "PROMPT and --prompts were both given"),
    ],
)
def test_a_list_of_prompts_that_is_none(
    portraits: dict[str, Path], tmp_path: Path, text: bytes, more: tuple[str, ...], says: str
) -> None:
    (tmp_path / "list.txt").write_bytes(text)
    done = visavis(
        tmp_path / "out", "create", "portrait", portraits["obama"], *more, "--prompts", tmp_path / "list.txt"
    )
    assert done.returncode == 2 and says in done.stderr and not (tmp_path / "out").exists()
