"""`visavis measure likeness`: a copy, a likeness, a stranger by photos whose answer is known; folders that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visavis.app.cli import run
from visavis.faces.analyse import find_faces
from visavis.faces.frame import frame_of
from visavis.run.measure import measured

Made = Callable[[dict[str, str]], Path]


@pytest.fixture
def made(portraits: dict[str, Path], tmp_path: Path) -> Made:
    """made({"made/a.jpg": "obama", ...}): a folder of such photos."""

    def make(photos: dict[str, str]) -> Path:
        for place, name in photos.items():
            path = tmp_path / "bench" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(portraits[name], path)
        return tmp_path / "bench"

    return make


def document(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["measure", "likeness", str(folder), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_copy_is_told_from_a_likeness_and_from_a_stranger(
    made: Made, portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {"copy": "obama", "likeness": "obama2", "truth": "obama3", "stranger": "biden"}
    photos = {f"made/{name}.jpg": shown for name, shown in cases.items()}
    photos |= {f"reference/{name}.jpg": "obama" for name in cases} | {f"truth/{name}.jpg": "obama3" for name in cases}
    folder = made(photos)
    # A portrait frame, as systems make it: the face fills the picture.
    frame = frame_of(find_faces(portraits["obama"])[0]).pixels
    Image.fromarray(frame).save(folder / "made" / "copy.png")
    (folder / "made" / "copy.jpg").unlink()
    found = document(folder, capsys)
    rows = {Path(row["path"]).stem: row for row in found["pictures"]}
    assert rows["copy"]["copy_paste"] > 0.6 and rows["copy"]["sim_ref"] > 0.9
    assert rows["truth"]["copy_paste"] == pytest.approx(-1, abs=5e-3) and rows["truth"]["sim_gt"] > 0.999
    assert abs(rows["likeness"]["copy_paste"]) < 0.6
    assert rows["stranger"]["sim_gt"] < rows["likeness"]["sim_gt"] - 0.2
    assert found["sim_gt"] == pytest.approx(np.mean([row["sim_gt"] for row in rows.values()]), abs=1e-3)
    assert (found["missed"], found["alike"], found["judge"]) == (0, 0, "judge_b")


def test_people_of_a_group_may_stand_in_any_order_and_a_wrong_count_has_no_score(
    made: Made, portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    photos = {
        f"{part}/two/{i}.jpg": name for part in ("reference", "truth") for i, name in enumerate(("obama", "biden"))
    }
    folder = made({**photos, "truth/two/0.jpg": "obama3", "made/two/alone.jpg": "obama"})
    both = [frame_of(find_faces(portraits[name])[0]).pixels for name in ("biden", "obama2")]
    Image.fromarray(np.concatenate(both, 1)).save(folder / "made" / "two" / "both.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "made" / "two" / "sheet.png")
    alone, group = measured(folder)
    assert (alone.picture.name, alone.faces, alone.people, alone.scores) == ("alone.jpg", 1, 2, None)
    assert group.scores is not None and group.scores.sim_gt.min() > 0.5
    found = document(folder, capsys)
    # Of one of the two the same photo is reference and truth: that face has no copy-paste, the other one has.
    assert found["missed"] == 1 and found["alike"] == 0 and found["pictures"][0]["sim_gt"] is None
    assert run(["measure", "likeness", str(folder)]) == 0
    assert "1 faces for 2 people: no score" in capsys.readouterr().out


def test_the_same_photo_twice_says_nothing_of_copying(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(made({"made/a.jpg": "obama2", "reference/a.jpg": "obama", "truth/a.jpg": "obama"}), capsys)
    assert found["alike"] == 1 and found["copy_paste"] is None and found["sim_gt"] == found["sim_ref"]


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        ({"made/a.jpg": "obama", "reference/a.jpg": "obama"}, "lacks the folder truth"),
        ({"reference/a.jpg": "obama", "truth/a.jpg": "obama", "made/notes.txt": "obama"}, "holds no picture"),
        ({"made/a.jpg": "obama", "reference/b.jpg": "obama", "truth/a.jpg": "obama"}, "no counterpart a in"),
        (
            {"made/a.jpg": "obama", "reference/a/1.jpg": "obama", "reference/a/2.jpg": "biden", "truth/a.jpg": "obama"},
            "shows 2 people and",
        ),
    ],
)
def test_a_folder_that_is_none_is_told_what_it_lacks(
    made: Made, photos: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["measure", "likeness", str(made(photos))]) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


def test_photos_that_show_nobody_or_are_none_are_named(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made({"made/a.jpg": "obama", "reference/a.jpg": "obama", "truth/a.jpg": "obama"})
    Image.fromarray(np.full((200, 200, 3), 128, np.uint8)).save(folder / "truth" / "a.jpg")
    assert run(["measure", "likeness", str(folder)]) == 2
    assert "No face was found on" in capsys.readouterr().err
    (folder / "truth" / "a.jpg").write_bytes(b"nothing")
    assert run(["measure", "likeness", str(folder)]) == 2
    assert "a.jpg" in capsys.readouterr().err
    assert run(["measure", "likeness", str(folder / "none")]) == 2
