"""The conformance vectors of VISAVIS_GOLDEN: numbers from the authors' own code that ours must reproduce.

`pytest --golden` runs nothing but the tests that read them and writes results/golden.json.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TOLERANCE = 1e-4  # times the largest number of an output, where that is over 1
STARTED = time.time()
_apart: dict[str, list[float]] = {}


@dataclass(frozen=True)
class Golden:
    """One file; fp16 weights are cast up."""

    name: str
    config: dict[str, Any]
    weights: dict[str, Any]
    given: dict[str, Any]
    out: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Any]:
        """Weights whose keys start so, without it."""
        return {key.removeprefix(prefix): value for key, value in self.weights.items() if key.startswith(prefix)}

    def check(self, ours: Any, name: str) -> None:
        """The tolerance allows the largest difference to an output."""
        made, wanted = (_array(each) for each in (ours, self.out[name]))
        assert made.shape == wanted.shape
        apart = float(np.abs(made - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
        _apart.setdefault(self.name, []).append(apart)
        assert apart <= TOLERANCE, f"{self.name} {name}: {apart}"

    def same(self, ours: Any, name: str) -> None:
        """Pictures, masks and numbers of steps are equal."""
        made, wanted = (np.asarray(each) for each in (ours, self.out[name]))
        _apart.setdefault(self.name, []).append(0.0 if np.array_equal(made, wanted) else 1.0)
        assert np.array_equal(made, wanted), f"{self.name} {name}"


def _array(values: Any) -> Any:
    return np.asarray(values.detach() if hasattr(values, "detach") else values, np.float64)


@pytest.fixture(scope="session")
def golden() -> Callable[..., Golden]:
    """Reads a file by name, as tensors or ("np") arrays; the test is skipped where there is none."""

    def read(name: str, framework: str = "pt") -> Golden:
        path = Path(os.environ.get("VISAVIS_GOLDEN", "")) / f"{name}.safetensors"
        if not os.environ.get("VISAVIS_GOLDEN") or not path.is_file():
            pytest.skip(f"VISAVIS_GOLDEN has no {name}")
        from safetensors import safe_open

        with safe_open(path, framework) as file:
            config = json.loads((file.metadata() or {}).get("config", "{}"))
            kept: dict[str, dict[str, Any]] = {"weights": {}, "in": {}, "out": {}}
            for key in file.keys():  # noqa: SIM118
                kind, inner = key.split("/", 1)
                value = file.get_tensor(key)
                kept[kind][inner] = value.float() if kind == "weights" and value.is_floating_point() else value
        return Golden(name, config, kept["weights"], kept["in"], kept["out"])

    return read


def write_results() -> None:
    """The largest difference in each file, in units of its output's largest number where that is over 1."""
    from visavis.bench.figures import Figure, write

    figures = [
        Figure(name, max(values), unit="difference", better="lower", n=len(values))
        for name, values in sorted(_apart.items())
    ]
    notes = [f"tolerance: {TOLERANCE}; n: outputs of the file that were compared"]
    write("golden", figures, seed=0, started=STARTED, notes=notes)
