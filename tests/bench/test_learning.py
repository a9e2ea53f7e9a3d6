"""The curve of likeness over samples follows a system's runs back to the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.bench.figures import values_of
from visavis.bench.learning import run
from visavis.core.errors import InputError
from visavis.training.runs import run_folder

pytest.importorskip("torch")


def _trained(name: str, start: str, points: dict[int, float]) -> None:
    from visavis.training.checkpoint import Run

    made = Run(run_folder(name), {"start": start, "schedule": {"batch": 4}}, resume=False)
    for step, value in points.items():
        made.metrics.validated(step, {"score": -1.0, "likeness_a": value})
    made.set("best", {"figure": "step", "value": step, "step": step})


def test_samples_count_from_the_first_run_of_a_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _trained("first", "", {10: 0.1, 20: 0.2})
    _trained("last", str(run_folder("first") / "best.safetensors"), {5: 0.25})
    run(["toy=last"])
    assert values_of("learning") == {"toy.likeness_a.40": 0.1, "toy.likeness_a.80": 0.2, "toy.likeness_a.100": 0.25}
    assert (tmp_path / "results" / "learning.png").is_file()
    with pytest.raises(InputError, match="SLUG=RUN"):
        run(["toy"])
    (run_folder("first") / "run.json").unlink()
    with pytest.raises(InputError, match="first holds no run any more"):
        run(["toy=last"])
