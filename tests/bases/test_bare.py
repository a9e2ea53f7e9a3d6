"""The sampler is timed beside the very calls that it made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.bases import sampling  # noqa: E402
from visavis.bases.bare import overhead  # noqa: E402
from visavis.bases.load import read  # noqa: E402


def test_the_sampler_costs_little_beside_its_networks(nano: Path) -> None:
    pipeline, calls, between = read(nano), [], 0.0

    def network(noisy: Any, moment: Any, said: Any) -> Any:
        calls.append(noisy.shape)
        time.sleep(0.05)
        return torch.zeros_like(noisy)

    class Ready:
        terms = "permissive"

        def check(self, asked: Any) -> None: ...

        def __call__(self, asked: Any, seed: int, progress: Any) -> Any:
            def told(part: slice) -> list[dict[str, Any]]:
                time.sleep(between)
                return [{"said": torch.zeros(1, 1)}]

            return sampling.pictures(pipeline, network, told, [seed], [], steps=10)

    inside, bare = overhead(Ready(), None)
    assert len(calls) == 20 and len(set(calls)) == 1  # ten steps, and each call once more
    assert bare >= 0.5 and 0.5 <= inside < bare + 0.5
    between = 2.0  # what is said before sampling is none of its time
    assert overhead(Ready(), None)[0] < 1.5
    assert sampling.sample.__module__ == "visavis.blocks.diffusion.sample"
