"""Small photos of faces, and a home of its own for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.training.made_sets import jpeg

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


@pytest.fixture
def home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One process looks."""
    monkeypatch.setenv("VISAVIS_THREADS", "1")
    return home
