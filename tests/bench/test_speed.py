"""Times: repeats are interleaved, ratios are medians with their range; the probe measures a fresh process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.bench import probe
from visavis.bench.speed import REPEATS, interleaved, ratio, spread, timed
from visavis.core.errors import VisavisError


def test_jobs_take_turns() -> None:
    order: list[str] = []

    def job(name: str) -> float:
        order.append(name)
        return float(len(order))

    a, b = interleaved(lambda: job("a"), lambda: job("b"))
    assert order == ["a", "b"] * REPEATS
    assert a.tolist() == [1, 3, 5]
    assert b.tolist() == [2, 4, 6]


def test_ratio_and_spread() -> None:
    figure = ratio("x", np.array([10.0, 30.0, 12.0]), np.array([2.0, 3.0, 4.0]))
    assert (figure.value, figure.low, figure.high) == (5, 3, 10)
    figure = spread("y", np.array([0.002, 0.001, 0.004]))
    assert (figure.value, figure.low, figure.high, figure.better) == (2, 1, 4, "lower")


def test_timed() -> None:
    assert timed(lambda: sum(range(200_000))) > 0


def test_probe_looks_in_its_own_process(portraits: dict[str, Path]) -> None:
    answer = probe.ask("look", [portraits["obama"], portraits["biden"]])
    assert answer["faces"] == 2
    assert 50 < answer["megabytes"] < 2500
    assert answer["total_seconds"] >= answer["seconds"] > 0


def test_probe_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(VisavisError, match="The probe look failed"):
        probe.ask("look", [tmp_path / "nothing.jpg"])
