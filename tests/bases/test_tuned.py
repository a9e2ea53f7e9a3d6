"""The plain way to a person: low-rank changes of nano, learnt from one photo in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.bases import prompts  # noqa: E402
from visavis.bases.load import base, read  # noqa: E402
from visavis.bases.nano.tuned import tuned  # noqa: E402
from visavis.bench.plain import Told, Tuned  # noqa: E402
from visavis.blocks.diffusion import objective  # noqa: E402
from visavis.blocks.diffusion.sample import to_latents  # noqa: E402
from visavis.blocks.images import to_tensor  # noqa: E402
from visavis.core.card import Asked  # noqa: E402
from visavis.faces.analyse import find_faces  # noqa: E402
from visavis.media.photo import open_photo  # noqa: E402


@torch.no_grad()
def loss(pipeline: Any, clean: Any, caption: str) -> float:
    noise = torch.randn(16, *clean.shape[1:], generator=torch.Generator().manual_seed(1))
    level = (torch.arange(16) + 0.5) / 16
    told = prompts.encoded(pipeline, [caption] * 16)["text"]
    noisy = objective.noised(clean.expand(16, -1, -1, -1), noise, level)
    velocity = pipeline.unet(noisy, objective.timestep(level), told, return_dict=False)[0]
    return float(objective.flow_loss(velocity, clean.expand(16, -1, -1, -1), noise))


def test_a_photo_is_learnt_beside_an_unchanged_base(nano: Path, portraits: dict[str, Path]) -> None:
    pipeline = read(nano)
    photo = np.asarray(open_photo(portraits["obama"]).pixels)[:128, :128].copy()
    clean = to_latents(pipeline.vae, to_tensor(photo)).detach()
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    first = loss(pipeline, clean, "an id man")
    made, steps = tuned(pipeline, photo, "an id man", 15.0)
    assert steps > 1 and loss(made, clean, "an id man") < 0.97 * first
    after = pipeline.unet.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert loss(pipeline, clean, "an id man") == first
    assert tuned(pipeline, photo, "an id man", 0.0)[1] == 1


def test_the_plain_ways_hear_sex_and_age_of_the_photo_and_the_prompt(
    nano: Path, portraits: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visavis.bench.plain.TUNED", 0.0)
    shown = ((find_faces(portraits["obama"])[0],),)
    plain, tuned_on = Told(base(str(nano))), Tuned(base(str(nano)))
    said = {
        "smiling": [f"a man of {years}, smiling" for years in range(35, 66)],
        "a person of 60, serious": ["a man of 60, serious"],
    }
    for prompt, texts in said.items():
        asked = Asked(shown, prompt, 1, steps=2)
        (made,) = plain(asked, 3, lambda share: None)
        same = [next(plain.base.pictures(text, 1, seed=3, steps=2, guidance=asked.guidance)) for text in texts]
        assert sum((made.pixels == one).all() for one in same) == 1
        (changed,) = tuned_on(asked, 3, lambda share: None)
        assert (changed.pixels != made.pixels).any()
    assert tuned_on.steps == [1]  # both prompts by one tuning
