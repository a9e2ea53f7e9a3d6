"""`visavis weights`: three commands, with --json one document on stdout and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from visavis.app.weights import app
from visavis.core import weights
from visavis.core.errors import InputError

runner = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    monkeypatch.delenv("VISAVIS_LICENCE", raising=False)
    return tmp_path


def document(*arguments: str, code: int = 0) -> dict[str, dict[str, object]]:
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert found["schema"] == "visavis.weights/1"
    return {row["name"]: row for row in found["weights"]}


def test_list_shows_source_terms_and_state(home: Path) -> None:
    rows = document("list")
    assert set(rows) == {entry.name for entry in weights.entries()}
    recogniser = rows["recogniser_a"]
    assert recogniser["terms"] == "permissive"
    assert "FaceScrub" in str(recogniser["trained_on"])
    assert recogniser["state"] == "missing"
    assert recogniser["download_bytes"] == 100_149_358
    text = runner.invoke(app, ["list"]).stdout
    assert all(entry.name in text for entry in weights.entries())
    assert "wheel face_recognition_models 0.3.0" in text
    assert str(home / "weights") in text
    assert not (home / "weights").exists(), "a list writes nothing"


def test_verify_tells_missing_from_damaged(home: Path) -> None:
    assert document("verify")["yunet"]["state"] == "missing"
    (home / "weights").mkdir()
    (home / "weights" / "centerface.onnx").write_bytes(b"half")
    rows = document("verify", code=2)
    assert (rows["yunet"]["state"], rows["centerface"]["state"]) == ("missing", "damaged")
    result = runner.invoke(app, ["verify"])
    assert result.exit_code == 2
    assert str(home / "weights" / "centerface.onnx") in result.stderr


def test_fetch_of_an_unknown_name() -> None:
    result = runner.invoke(app, ["fetch", "nothing"])
    assert isinstance(result.exception, InputError)
    assert result.stdout == ""


def test_fetch_says_what_it_did(portraits: dict[str, Path], home: Path) -> None:
    (home / "weights").mkdir()
    for file in portraits.values():
        (home / "weights" / file.name).write_bytes(file.read_bytes())
    rows = document("fetch", "portrait_biden")
    assert [*rows] == ["portrait_biden"]
    assert (rows["portrait_biden"]["fetched"], rows["portrait_biden"]["state"]) == (False, "ok")
    assert "was here" in runner.invoke(app, ["fetch", "portrait_biden"]).stdout
