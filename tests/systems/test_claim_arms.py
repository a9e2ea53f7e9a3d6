"""A claim's arms are trained as `visavis train` would, several at once, and go on where they were cut off."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.systems.conftest import QUICK  # noqa: E402

from visavis.bench.arms import losses, trained  # noqa: E402
from visavis.core import registry  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402


def test_arms_differ_by_idea_and_seed_alone(faces: Path, nano: Path, home: Path) -> None:
    card = registry.card("arc2face")
    assert card.claim
    claim = replace(card.claim, trained=((), ("people=6",)))
    settings = [f"data={faces}", f"base={nano}", *QUICK]
    made = list(trained(card, claim, settings, 8))
    assert [arm for arm, _ in made] == [0, 0, 1, 1] and len({path for _, path in made}) == 4
    told = [json.loads((path.parent / "run.json").read_text())["config"] for _, path in made]
    assert [config.pop("people") for config in told] == [0, 0, 6, 6]
    assert [config["schedule"].pop("seed") for config in told] == [0, 1, 0, 1]
    assert all(config == told[0] for config in told) and told[0]["schedule"]["precision"] != "auto"
    for _, path in made:
        assert re.fullmatch(r"training .*diffusion [\d.]+.*; held-out loss [\d.]+", losses(path.parent))
    with pytest.raises(InputError, match="ended early"):  # of other settings: not what lies there
        list(trained(card, claim, [*settings, "align=0"], 8))
