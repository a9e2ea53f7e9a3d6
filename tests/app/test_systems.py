"""`visavis systems`, `card`, `claim`: what is there, from cards alone, also those that another distribution brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.run.toy_system_files import CARD, write_toy

from visavis.app.cli import run
from visavis.bench.figures import Figure, write
from visavis.core import registry
from visavis.core.task import forms_of


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that knows one system more."""
    folder = write_toy(tmp_path_factory.mktemp("toy"))
    return {**os.environ, "PYTHONPATH": str(folder)}


def visavis(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "visavis", *arguments], env=env, capture_output=True, text=True)


def test_a_system_from_another_distribution_is_listed_with_its_card(toy: dict[str, str]) -> None:
    listed = json.loads(visavis(toy, "systems", "--task", "create.portrait", "--json").stdout)["systems"]
    row = next(row for row in listed if row["slug"] == "toy")
    assert row["terms"] == "none of its own"
    assert row["options"]["strength"] == "how much of the photo is kept (1.0, 0 to 1)"
    said = visavis(toy, "card", "toy").stdout
    assert "\n## toy: A copy\n" in visavis(toy, "card").stdout
    assert said.startswith("# toy: A copy\n") and "Is a copy a copy?" in said and "Here: not run." in said
    assert "toy: how much of the photo is kept, 1.0 unless given" in " ".join(
        visavis(toy, "create", "portrait", "--help").stdout.split()
    )


def test_every_system_says_all_that_a_stranger_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(registry.cards()) >= 2
    for slug, card in registry.cards().items():
        assert card.paper.startswith("arXiv ") and card.idea.endswith(".") and card.limits.endswith(".")
        assert all(form.help for _, _, form in forms_of(card.options))
        assert run(["card", slug]) == 0
        assert capsys.readouterr().out.startswith(f"# {slug}: ")


def test_the_page_of_systems_says_what_cards_and_results_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["card"]) == 0
    written = Path(__file__).parents[2] / "docs" / "systems.md"
    assert capsys.readouterr().out == written.read_text("utf-8"), "write it anew: visavis card > docs/systems.md"


def test_a_card_tells_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    figures = [Figure("arc2face.likeness", 0.5, 0.41, 0.6), Figure("arc2face.seconds", 1.25, unit="s")]
    write("create", [*figures, Figure("instantid.likeness", 0.1)], seed=0, started=0)
    assert run(["card", "arc2face"]) == 0
    said = capsys.readouterr().out
    assert "| likeness | 0.5 | 0.41 to 0.6 |\n| seconds | 1.25 |  |\n" in said and "0.1 |" not in said
    assert run(["card", "arc2face", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["figures"]
    assert [(row["name"], row["value"], row["unit"]) for row in rows] == [
        ("likeness", 0.5, "share"),
        ("seconds", 1.25, "s"),
    ]


def test_a_system_whose_options_are_in_the_way_is_left_out_and_the_rest_works(tmp_path: Path) -> None:
    card = CARD.replace("mirror: bool", "seed: int = option(0, 'noise', low=0)\n    mirror: bool")
    env = {**os.environ, "PYTHONPATH": str(write_toy(tmp_path / "toy", card))}
    done = visavis(env, "systems")
    assert done.returncode == 0 and "toy" not in done.stdout
    assert "toy is left out: TypeError: its options seed are called like inputs of its task" in done.stderr
    env = {**os.environ, "PYTHONPATH": str(write_toy(tmp_path / "other", card.replace("seed: int", "grains: int")))}
    assert "noise (0, 0 or more)" in visavis(env, "card", "toy").stdout


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["card", "arcface"], "did you mean 'arc2face'?"),
        (
            ["systems", "--task", "create.dragon"],
            "No system does 'create.dragon'; there are systems for create.identity, create.portrait.",
        ),
        (["card", "--json"], "--json prints one card: name its system, or use `visavis systems --json`."),
        (["claim", "nobody"], "There is no system 'nobody'"),
    ],
)
def test_what_there_is_not_is_said(command: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    assert says in capsys.readouterr().err
