"""Figures: one format, and what the texts quote is what was measured."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from visavis.bench.figures import Figure, bootstrap, kept, read, write

TOP = Path(__file__).parents[2]
QUOTE = re.compile(r"`([a-z0-9_]+)/([a-zA-Z0-9_.\-]+)`[^|]*\|\s*\**([0-9][0-9.,]*(?:e-?\d+)?)")


def test_written_figures_carry_their_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("toy", [Figure("a.b", 0.5, 0.4, 0.6, n=10)], seed=3, started=time.time())
    made = json.loads((tmp_path / "results" / "toy.json").read_text())
    assert {"command", "commit", "dirty", "machine", "date", "seed", "seconds", "figures"} <= made.keys()
    assert made["figures"] == [
        {"name": "a.b", "value": 0.5, "low": 0.4, "high": 0.6, "unit": "share", "better": "higher", "n": 10}
    ]
    assert read(tmp_path / "results") == [("toy", Figure("a.b", 0.5, 0.4, 0.6, n=10))]


def test_the_recorded_command_names_no_folder_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = ["claim", "toy", "--sheets", "/home/me/sheets", "--set", "start=/home/me/runs/first/best.safetensors"]
    monkeypatch.setattr("sys.argv", ["visavis", *told])
    made = json.loads(write("toy", [], seed=0, started=time.time()).read_text())
    assert made["command"] == "visavis claim toy --sheets sheets --set start=first/best.safetensors"


def test_no_result_names_a_folder_of_a_machine() -> None:
    for path in (TOP / "results").rglob("*.json"):
        assert not re.search(r"(^|[ =])/", json.loads(path.read_text())["command"]), path.name


def test_what_was_cut_off_goes_on_where_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*told: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@a", *told], check=True, capture_output=True)

    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    monkeypatch.chdir(checkout)
    measured = iter(range(10))

    def part(name: str) -> float:
        (figure,) = kept("toy", name, lambda: [Figure("a", next(measured), n=3)])
        assert figure.n == 3
        return figure.value

    assert [part("one"), part("one")] == [0, 1]  # of no commit: measured anew
    (checkout / "code.py").write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    assert [part("one"), part("one"), part("two"), part("one")] == [2, 2, 3, 2]
    (checkout / "code.py").write_text("2")
    assert [part("one"), part("one")] == [4, 5]
    git("commit", "-qam", "second")
    assert [part("one"), part("one")] == [6, 6]


def test_bootstrap_of_units_is_wider_than_of_their_repeats() -> None:
    random = np.random.default_rng(0)
    person = random.normal(size=40)
    values, units = np.repeat(person, 25), np.repeat(np.arange(40), 25)
    alone, together = bootstrap(values), bootstrap(values, units=units)
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])
    assert together[0] < values.mean() < together[1]


def test_quoted_figures_are_in_results_with_that_value() -> None:
    known = {(file, figure.name): figure.value for file, figure in read(TOP / "results")}
    texts = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
    quotes = [(path, *found.groups()) for path in texts for found in QUOTE.finditer(path.read_text())]
    assert quotes, "README quotes no figure"
    for path, file, name, text in quotes:
        assert (file, name) in known, f"{path.name} quotes {file}/{name}, which no result holds"
        quoted = text.rstrip(".,").replace(",", "")
        digits = len(quoted.split("e")[0].partition(".")[2])
        value = known[file, name]
        shown = f"{value:.{digits}e}" if "e" in quoted else f"{value:.{digits}f}"
        assert float(shown) == float(quoted), f"{path.name} says {quoted} for {file}/{name}, measured {value}"
