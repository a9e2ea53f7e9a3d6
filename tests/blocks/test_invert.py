"""A picture's noise, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler  # noqa: E402

from visavis.bases.nano.folder import SCHEDULER  # noqa: E402
from visavis.blocks.diffusion.invert import invert  # noqa: E402
from visavis.blocks.diffusion.sample import sample  # noqa: E402

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
FIRST = {
    "flow": lambda: DPMSolverMultistepScheduler(**SCHEDULER | {"solver_order": 1}),
    "ddim": lambda: DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=False),
    "dpm": lambda: DPMSolverMultistepScheduler(**SD, solver_order=1),
    "euler": lambda: EulerDiscreteScheduler(**SD),
}


def network(noisy: Any, time: Any, text: Any) -> Any:
    """An answer that depends on all that it is told, and not in proportion."""
    return 0.3 * noisy + 0.3 * torch.tanh(noisy.roll(1, -1) + text + time.view(-1, 1, 1, 1) / 1000)


@pytest.mark.parametrize("kind", sorted(FIRST))
@pytest.mark.parametrize("level", [1.0, 0.5])
def test_a_sampler_of_first_order_undoes_it(kind: str, level: float) -> None:
    torch.manual_seed(1)
    scheduler, clean, ladder = FIRST[kind](), torch.randn(2, 8, 4, 4), [{"text": torch.randn(2, 8, 1, 1)}]
    found = invert(network, scheduler, clean, ladder, steps=10, level=level, refine=20)
    back = sample(network, scheduler, found, ladder, steps=10, level=level)
    # Euler's scheduler takes what starts at level 1 for noise and stretches it by 0.2 % less.
    assert float((back - clean).abs().max()) < (0.05 if (kind, level) == ("euler", 1.0) else 1e-3)
    assert float((found - clean).abs().mean()) > 0.05
    once = invert(network, scheduler, clean, ladder, steps=10, level=level, refine=0)
    worse = sample(network, scheduler, once, ladder, steps=10, level=level)
    assert float((worse - clean).abs().max()) > float((back - clean).abs().max())


def test_nano_s_own_sampler_comes_close() -> None:
    torch.manual_seed(1)
    scheduler, clean = DPMSolverMultistepScheduler(**SCHEDULER), torch.randn(1, 8, 4, 4)
    ladder = [{"text": torch.randn(1, 8, 1, 1)}]
    back = sample(network, scheduler, invert(network, scheduler, clean, ladder, level=0.5), ladder, level=0.5)
    assert float((back - clean).abs().mean()) < 0.02


def test_bad_input() -> None:
    other = DDIMScheduler(**SD, prediction_type="v_prediction")
    with pytest.raises(ValueError, match="not v_prediction"):
        invert(network, other, torch.zeros(1, 8, 4, 4), [{"text": torch.zeros(1, 8, 1, 1)}], steps=2)
