"""Fixtures of this room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.media.drawing import draw

from visavis.core.types import Photo
from visavis.media.photo import open_photo


@pytest.fixture
def drawn() -> Image.Image:
    return draw()


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Photo]:
    """Saves a Pillow picture under a name with Pillow's options and opens it again."""

    def save_and_open(image: Image.Image, name: str, **options: object) -> Photo:
        path = tmp_path / name
        image.save(path, **options)
        return open_photo(path)

    return save_and_open
