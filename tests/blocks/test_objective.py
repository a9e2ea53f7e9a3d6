"""Flow matching against its own equations and against diffusers' sampler."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.blocks.diffusion import objective  # noqa: E402


def test_the_clean_sample_comes_back_from_the_right_velocity() -> None:
    torch.manual_seed(0)
    clean, noise, level = torch.randn(5, 8, 4, 4), torch.randn(5, 8, 4, 4), objective.levels(5)
    noisy = objective.noised(clean, noise, level)
    assert torch.allclose(objective.clean_estimate(noisy, noise - clean, level), clean, atol=1e-5)
    assert float(objective.flow_loss(noise - clean, clean, noise)) == 0
    ends = objective.noised(clean[:2], noise[:2], torch.tensor([0.0, 1.0]))
    assert torch.equal(ends[0], clean[0]) and torch.equal(ends[1], noise[1])


def test_masked_places_cost_nothing_and_do_not_dilute() -> None:
    clean, noise, mask = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2), torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    wrong = torch.full((1, 2, 2, 2), 3.0)
    assert float(objective.flow_loss(wrong, clean, noise, mask)) == 9
    wrong[..., 0, 0] = 0
    assert float(objective.flow_loss(wrong, clean, noise, mask)) == 0


def test_levels_lie_in_the_middle_more_often() -> None:
    torch.manual_seed(0)
    found = objective.levels(20_000)
    assert found.min() > 0 and found.max() < 1
    assert float(((found > 0.25) & (found < 0.75)).float().mean()) > 0.7


def test_diffusers_sampler_follows_the_same_velocity() -> None:
    """A network that always points at one sample: the stock scheduler of nano's folder must end there."""
    from diffusers import DPMSolverMultistepScheduler

    from visavis.bases.nano.folder import SCHEDULER

    torch.manual_seed(0)
    wanted, sample = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4)
    scheduler = DPMSolverMultistepScheduler(**SCHEDULER)
    scheduler.set_timesteps(20)
    for t in scheduler.timesteps:
        level = float(t) / objective.STEPS
        velocity = (sample - wanted) / level
        sample = scheduler.step(velocity, t, sample).prev_sample
    assert torch.allclose(sample, wanted, atol=1e-2)  # timesteps are whole numbers, levels are not
