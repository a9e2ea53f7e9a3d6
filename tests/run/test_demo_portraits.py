"""The demo makes portraits where a system is at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("c2pa", reason="a signed manifest needs the extra [ml]")

from tests.run.toy_system_files import write_toy

from visavis.core import registry, weights
from visavis.run.runner import system_for
from visavis.run.verify import verify


def test_one_photo_in_six_portraits_out(portraits: dict[str, Path], tmp_path: Path) -> None:
    folder, toy = tmp_path / "photos", write_toy(tmp_path / "toy")
    folder.mkdir()
    (folder / "obama.jpg").write_bytes(portraits["obama"].read_bytes())
    default = registry.card(system_for(""))
    system = default.slug if all(map(weights.found, default.weights)) else "toy"
    env = {**os.environ, "PYTHONPATH": str(toy)}
    command = [sys.executable, "-m", "visavis", "demo", str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Portraits: 6 of the person on obama.jpg by {system}, likeness" in done.stdout + done.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    made = [tmp_path / "out" / f"portrait-{number}.png" for number in range(1, 7)]
    assert all(path.is_file() and path.name in page for path in made)
    assert "Made by AI" in page and (system != "toy" or "may be copied" in page)
    assert all(verify(path).ai_made for path in made[:2])
