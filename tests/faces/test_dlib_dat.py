"""dlib's file format: the real network whole, and everything else refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from visavis.core import weights
from visavis.core.errors import InputError
from visavis.faces.dlib_dat import Layer, named_arrays, read_network


@pytest.fixture(scope="module")
def file() -> Path:
    return weights.path("recogniser_a")


def test_whole_network(file: Path) -> None:
    layers = read_network(file)
    kinds = Counter(layer.kind for layer in layers)
    assert (kinds["input"], kinds["con"], kinds["affine"], kinds["relu"], kinds["fc"]) == (1, 29, 29, 29, 1)
    assert (kinds["add_prev"], kinds["max_pool"], kinds["avg_pool"]) == (14, 1, 5)
    assert layers[0].size == (150, 150)
    assert layers[0].arrays["mean"] == pytest.approx([122.782, 117.001, 104.298])
    assert layers[1].window == (7, 7)
    assert layers[1].stride == (2, 2)
    assert layers[1].padding == (0, 0)
    arrays = named_arrays(layers)
    assert arrays["1.con.weight"].shape == (32, 3, 7, 7)
    assert arrays["108.fc.weight"].shape == (256, 128)
    assert sum(a.size for a in arrays.values()) == 5_614_595
    assert all(np.isfinite(a).all() and a.dtype == np.float32 for a in arrays.values())


@pytest.mark.parametrize("share", [0.0, 1e-6, 1e-5, 1.5e-5, 0.001, 0.5, 0.9999999])
def test_truncated(file: Path, tmp_path: Path, share: float) -> None:
    data = file.read_bytes()
    cut = tmp_path / "cut.dat"
    cut.write_bytes(data[: min(len(data) - 1, int(len(data) * share))])
    with pytest.raises(InputError, match=r"cut\.dat is not a whole dlib network"):
        read_network(cut)


@pytest.mark.parametrize(
    "damage", [b"\x00" * 300, b"\xff" * 300, b"hello, this is text\n" * 20, b"\x89PNG\r\n\x1a\n" * 9]
)
def test_something_else(tmp_path: Path, damage: bytes) -> None:
    other = tmp_path / "other.dat"
    other.write_bytes(damage)
    with pytest.raises(InputError):
        read_network(other)


def test_bytes_after_the_end(file: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.dat"
    longer.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InputError, match="1 bytes too many"):
        read_network(longer)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_never_crashes(file: Path, tmp_path: Path, seed: int) -> None:
    data = bytearray(file.read_bytes()[:60_000])
    random = np.random.default_rng(seed)
    data[int(random.integers(0, 400))] = int(random.integers(0, 256))
    broken = tmp_path / "broken.dat"
    broken.write_bytes(data)
    with pytest.raises(InputError):
        read_network(broken)


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_network(tmp_path / "nowhere.dat")


def test_layer_without_arrays_is_named_by_none() -> None:
    assert named_arrays([Layer("relu"), Layer("add_prev")]) == {}
