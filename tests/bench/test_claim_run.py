"""`visavis claim` from photos to the verdict, with a system that learns nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("pyarrow")
from tests.run.toy_system_files import write_toy

PEOPLE = {"ana": ("obama", "obama2"), "ben": ("biden", "biden"), "cid": ("obama3", "obama_partial")}


@pytest.fixture(scope="module")
def place(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up `identity` of three people on two photos each, and a toy system."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    top = tmp_path_factory.mktemp("place")
    rows = []
    for name, theirs in PEOPLE.items():
        for number, portrait in enumerate(theirs):
            image = Image.open(portraits[portrait]).convert("RGB")
            image.thumbnail((300 + 40 * number, 300 + 40 * number))
            file = io.BytesIO()
            image.save(file, "JPEG")
            rows.append({"name": name, "file": f"{name}-{number}", "image": file.getvalue()})
    (top / "data" / "identity").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), top / "data" / "identity" / "celeba_identity.parquet")
    (top / "data" / "identity" / "split.json").write_text(json.dumps({"test": list(PEOPLE)}))
    write_toy(top / "toy")
    return top


def claim(place: Path, *told: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(place / "toy"), "VISAVIS_DATA": str(place / "data")}
    command = [sys.executable, "-m", "visavis", "claim", *told]
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)


def test_a_copy_is_more_like_the_person_than_grey(place: Path) -> None:
    done = claim(place, "toy")
    assert done.returncode == 0, done.stderr
    assert "toy: holds (effect on likeness" in done.stdout + done.stderr
    made = json.loads((place / "results" / "claims" / "toy.json").read_text())
    figures = {figure["name"]: figure for figure in made["figures"]}
    assert figures["likeness.with"]["value"] == pytest.approx(1, abs=0.05)  # the photo that was shown itself
    assert abs(figures["likeness.without"]["value"]) < 0.05
    assert figures["effect"]["low"] > 0 and figures["effect"]["n"] == 3 and "effect.seed_0" not in figures
    assert made["notes"][0] == "verdict: holds" and "nothing is learnt, so that no seeds vary" in made["notes"]
    assert "consent: research set (identity of CelebA), looked up in no album" in made["notes"]
    card = subprocess.run(
        [sys.executable, "-m", "visavis", "card", "toy"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place / "toy")},
        capture_output=True,
        text=True,
    )
    assert "Here: holds (effect on likeness" in card.stdout


def test_quick_is_written_beside(place: Path) -> None:
    done = claim(place, "toy", "--quick")
    assert done.returncode == 0 and (place / "results" / "claims" / "toy-quick.json").is_file()


def test_without_the_people_it_says_what_is_needed(place: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(place / "toy"), "VISAVIS_DATA": str(place)}
    command = [sys.executable, "-m", "visavis", "claim", "toy"]
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and "This needs the data set identity" in done.stderr
