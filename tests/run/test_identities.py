"""People whom nobody has met: person by person, judged among themselves, marked; with a system that paints grey."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("c2pa", reason="a signed manifest needs the extra [ml]")

from tests.run.toy_system_files import write_toy

from visavis.faces.analyse import find_faces
from visavis.faces.frame import frame_of
from visavis.run.likeness import alike
from visavis.run.verify import verify


def visavis(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not (folder / "toy").exists():
        write_toy(folder / "toy")
    env = {**os.environ, "PYTHONPATH": str(folder / "toy")}
    command = [sys.executable, "-m", "visavis", "create", "identity", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_each_person_has_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "people"
    told = ["--system", "toy", "--n", "2", "--photos", "3", "--seed", "40", "--out", str(out), "--json"]
    done = visavis(tmp_path, *told)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "visavis.create.identity/1"
    assert document["notes"] == []
    assert [row["seed"] for row in document["people"]] == [40, 41]
    assert [row["alike"] for row in document["people"]] == [None, None]  # grey is nobody's face
    assert sorted(path.name for path in out.iterdir()) == ["00040", "00041", "sheet.json", "sheet.png"]
    record = json.loads((out / "00041" / "02.json").read_text())
    assert record["task"] == "create.identity" and record["seed"] == 41 and record["photo"] == 2
    assert verify(out / "00041" / "02.png").ai_made
    said = visavis(tmp_path, "--system", "toy", "--n", "1", "--photos", "1", "--out", str(out / "more")).stdout
    assert "person 0: 1 pictures, not judged" in said


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (["--n", "0"], "--n is a number from 1 to 1000, not 0."),
        (["--photos", "101"], "--photos is a number from 1 to 100, not 101."),
        (["--system", "freecure"], "freecure makes up nobody; arc2face, toy does."),
        (["--system", "nobody"], "There is no system 'nobody'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, told: list[str], says: str) -> None:
    done = visavis(tmp_path, *told, "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and says in done.stderr
    assert not (tmp_path / "out").exists()


def test_one_man_is_more_alike_than_two(portraits: dict[str, Path]) -> None:
    frames = [frame_of(find_faces(portraits[name])[0]) for name in ("obama", "obama2", "obama3", "biden")]
    own, mixed = alike(frames[:3]), alike([frames[0], frames[3]])
    assert own is not None and mixed is not None and own > 0.5 > mixed
    assert alike(frames[:1]) is None
