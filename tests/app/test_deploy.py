"""The container file and the systemd unit of docs/serve, as their linters read them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "docs" / "serve"


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here")
    return found


def test_the_container_file_is_one() -> None:
    done = subprocess.run([_program("hadolint"), str(FILES / "Containerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_unit_is_one() -> None:
    told = [_program("systemd-analyze"), "verify", "--user", "--man=no", str(FILES / "visavis.service")]
    done = subprocess.run(told, capture_output=True, text=True)
    # The command itself is not installed where the test runs.
    left = [line for line in done.stderr.splitlines() if "not executable" not in line and "visavis.service" in line]
    assert not left, done.stderr
