"""Small photos of faces, and a home of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from made_sets import jpeg
from PIL import Image

from visavis.core import weights
from visavis.core.settings import settings
from visavis.faces.analyse import embed_faces, find_faces

Photo = Callable[..., bytes]


@pytest.fixture(scope="session")
def small(portraits: dict[str, Path]) -> dict[str, bytes]:
    """The portraits as JPEG, at most 360 px; `sky`: nobody."""
    made = {}
    for name, path in portraits.items():
        image = Image.open(path).convert("RGB")
        image.thumbnail((360, 360))
        made[name] = jpeg(image)
    made["sky"] = jpeg(Image.new("RGB", (120, 100), (90, 140, 220)))
    return made


@pytest.fixture(scope="session")
def photo(small: dict[str, bytes]) -> Photo:
    """photo(name, number): bytes behind the end of a JPEG make another file of the same picture."""
    return lambda name="obama", number=0: small[name] + number.to_bytes(4, "big")


@pytest.fixture(scope="session")
def networks(portraits: dict[str, Path]) -> tuple[Path, list[Path]]:
    """The folder of weights and the built networks, all there."""
    weights.fetch(["cohort", "false_match_table", "child"])
    embed_faces(find_faces(portraits["biden"]))
    return settings().weights, [path for path in settings().cache.iterdir() if path.is_file()]


@pytest.fixture
def home(networks: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VISAVIS_HOME is a new folder that has the networks and nothing else; one process looks."""
    top, (folder, built) = tmp_path / "home", networks
    (top / "cache").mkdir(parents=True)
    os.symlink(folder, top / "weights")
    for path in built:
        os.symlink(path, top / "cache" / path.name)
    monkeypatch.setenv("VISAVIS_HOME", str(top))
    monkeypatch.setenv("VISAVIS_THREADS", "1")
    return top
