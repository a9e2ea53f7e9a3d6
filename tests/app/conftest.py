"""Small photos, and homes of their own: what a test writes lies nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

MAN = ("obama", "obama2", "obama3", "obama_partial", "obama_partial2")


@pytest.fixture(scope="session")
def small(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The portraits at a fraction of their size; `again`: another copy of one, mirrored; `sky`: nobody."""
    folder = tmp_path_factory.mktemp("small")
    made = {}
    for name, path in portraits.items():
        image = Image.open(path).convert("RGB")
        image.thumbnail((600, 960))  # smaller faces are poor ones
        made[name] = folder / f"{name}.jpg"
        image.save(made[name], quality=90)
    made["again"] = folder / "again.jpg"
    ImageOps.mirror(Image.open(made["obama3"])).resize((500, 810)).save(made["again"], quality=80)
    made["sky"] = folder / "sky.jpg"
    Image.new("RGB", (300, 200), (90, 140, 220)).save(made["sky"])
    return made


@pytest.fixture
def fill(small: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """fill(count or names): a folder of so many different files of the man, or of these photos."""

    def fill_(what: int | tuple[str, ...], name: str = "photos") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if isinstance(what, int):
            for number in range(what):
                # Bytes behind the end of a JPEG make another file and the same picture.
                path = folder / f"{number:02}.jpg"
                path.write_bytes(small[MAN[number % len(MAN)]].read_bytes() + bytes([number]))
        else:
            for one in what:
                shutil.copy(small[one], folder)
        return folder

    return fill_
