"""`visavis train` without the extra [ml]: one message that says what to install."""

from __future__ import annotations

import importlib.util

import pytest

from visavis.app.cli import run

without_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")


@without_torch
@pytest.mark.parametrize("arguments", [["train", "judge"], ["bench", "train"]])
def test_without_torch_it_says_what_to_install(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert "pip install '.[ml]'" in said and "download.pytorch.org/whl/cpu" in said


def test_an_unknown_training_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "juge"]) == 2
    assert "did you mean 'judge'?" in capsys.readouterr().err
