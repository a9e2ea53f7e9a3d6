"""The steps of diffusers' schedulers in one language, for flow and for epsilon: x = signal * x0 + spread * noise.

A level is spread / (signal + spread), 1 for noise and 0 for a clean sample. For flow it is the s of objective.py; a
network of the other kind sees the same mixture at abar with s = sqrt(1 - abar) / (sqrt(abar) + sqrt(1 - abar)).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KINDS = ("flow_prediction", "epsilon", "v_prediction", "sample")


@dataclass(frozen=True, eq=False)
class Schedule:
    """times [N] that a network is told, signal and spread [N + 1] before each step and after the last; kind: what the
    network predicts; own: a copy of the scheduler with these steps set."""

    times: Tensor
    signal: Tensor
    spread: Tensor
    kind: str
    own: Any

    @staticmethod
    def of(scheduler: Any, steps: int, device: torch.device | str = "cpu") -> Schedule:
        """Raises ValueError for schedulers of another kind."""
        own = copy.deepcopy(scheduler)
        kind = str(own.config.get("prediction_type"))
        if kind not in KINDS:
            raise ValueError(f"{type(own).__name__} predicts {kind}; known are {', '.join(KINDS)}.")
        own.set_timesteps(steps, device=device)
        if kind == "flow_prediction":
            spread = own.sigmas.double()
            signal = 1 - spread
        else:
            abar = _abar(own)
            signal, spread = abar.sqrt(), (1 - abar).sqrt()
        return Schedule(own.timesteps, signal.float().to(device), spread.float().to(device), kind, own)

    def entry(self, level: float) -> int:
        """The step whose own level is nearest; 0 for level 1."""
        if not 0 < level <= 1:
            raise ValueError(f"A level lies above 0 and up to 1, not at {level:g}.")
        levels = (self.spread / (self.signal + self.spread))[:-1]
        return int((levels - level).abs().argmin())

    def noised(self, clean: Tensor, noise: Tensor, level: float) -> Tensor:
        """What a run that enters at this level starts from."""
        at = self.entry(level)
        return self.signal[at] * clean + self.spread[at] * noise

    def clean(self, at: int, noisy: Tensor, predicted: Tensor) -> Tensor:
        """x0 as the prediction at a step has it."""
        signal, spread = self.signal[at], self.spread[at]
        if self.kind == "flow_prediction":
            return noisy - spread * predicted
        if self.kind == "epsilon":
            return (noisy - spread * predicted) / signal
        return signal * noisy - spread * predicted if self.kind == "v_prediction" else predicted

    def predicted(self, at: int, noisy: Tensor, clean: Tensor) -> Tensor:
        """The prediction that has this x0."""
        signal, spread = self.signal[at], self.spread[at]
        if self.kind == "flow_prediction":
            return (noisy - clean) / spread
        if self.kind == "epsilon":
            return (noisy - signal * clean) / spread
        return (signal * noisy - clean) / spread if self.kind == "v_prediction" else clean


def _abar(scheduler: Any) -> Tensor:
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None:
        return torch.as_tensor(1 / (1 + sigmas.double() ** 2))
    table = scheduler.alphas_cumprod.double()
    last = torch.as_tensor(getattr(scheduler, "final_alpha_cumprod", 1.0)).double()
    return torch.cat([table[scheduler.timesteps.long().cpu()], last.view(1)])
