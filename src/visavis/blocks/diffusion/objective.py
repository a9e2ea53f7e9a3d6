"""Flow matching (arXiv 2210.02747, section 4.1; 2403.03206, section 3): the only place where noise levels meet losses.

A level s in 0..1 mixes a clean sample with noise, x_s = (1 - s) x0 + s noise; a network told the timestep 1000 s
predicts the velocity noise - x0. Schedulers of diffusers with `prediction_type="flow_prediction"` sample what is
trained so; their `add_noise` is wrong before `set_timesteps`, so that x_s is made here.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 1000  # what diffusers' timesteps count to


def levels(count: int, device: torch.device | str = "cpu", mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    """Logit-normal levels [count] in 0..1: the middle of the way is learnt more often than its ends (2403.03206)."""
    return torch.sigmoid(mean + deviation * torch.randn(count, device=device))


def noised(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """x_s of samples [B, ...] at levels [B]."""
    s = _like(level, clean)
    return (1 - s) * clean + s * noise


def velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """What the network predicts."""
    return noise - clean


def timestep(level: Tensor) -> Tensor:
    """The number that a UNet or transformer of diffusers is told."""
    return level * STEPS


def clean_estimate(noisy: Tensor, predicted: Tensor, level: Tensor) -> Tensor:
    """x0 as a predicted velocity has it."""
    return noisy - _like(level, noisy) * predicted


def flow_loss(predicted: Tensor, clean: Tensor, noise: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared error of the velocity, a mean over places where the mask [B, 1, H, W] is 1; computed in float32."""
    squared = (predicted.float() - velocity(clean, noise).float()).square()
    if mask is None:
        return squared.mean()
    weight = mask.expand_as(squared)
    return (squared * weight).sum() / weight.sum().clamp(min=1)


def _like(level: Tensor, samples: Tensor) -> Tensor:
    return level.to(samples.dtype).view(-1, *[1] * (samples.dim() - 1))
