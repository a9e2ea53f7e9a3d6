"""Dual denoising, foundation-aware self-attention, asymmetric prompt guidance (section 3); nothing is learnt."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visavis.bases.parts import Parts
from visavis.blocks.diffusion.hooks import Fasa, Rule, processed, self_attentions
from visavis.blocks.diffusion.invert import invert
from visavis.blocks.diffusion.sample import Conditions, generators, noise, sample

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Cure:
    """Of some pictures of a system. part: which of its pictures; seeds: of each; prompt: that all hear."""

    parts: Parts
    part: slice
    seeds: Sequence[int]
    prompt: str
    steps: int

    @torch.no_grad()
    def dual(self, fasa: Fasa | None = None, layers: Sequence[str] = (), on_step: OnStep | None = None) -> list[Tensor]:
        """Latents [N, C, h, w] of PD, with identity, and of FD, without it, from the same noise; with `fasa` PD looks
        at FD in these layers."""
        unet, each = self.parts.pipeline.unet, generators([*self.seeds, *self.seeds])
        shape = unet.config.in_channels, unet.config.sample_size, unet.config.sample_size
        start = noise(each, shape, next(self.parts.pipeline.vae.parameters()).device)
        with processed(unet, layers, fasa) if fasa else contextlib.nullcontext():
            made = self._sampled(start, self._paired(), each=each, on_step=on_step)
        return list(made.chunk(2))

    def fasa(self, mask: Tensor, omega: float, rule: Rule) -> Fasa:
        """mask: [1 or N, 1, H, W] of 0 and 1. A side of guidance without weight is not run: then there is one less."""
        sides = sum(up != down for up, down in itertools.pairwise((1.0, *self.parts.guidance, 0.0)))
        return Fasa(mask, omega, rule, sides=sides)

    def layers(self, share: float) -> list[str]:
        """The last self-attention layers in the order of calls, at least one."""
        names = self_attentions(self.parts.pipeline.unet)
        return names[-max(1, round(share * len(names))) :]

    @torch.no_grad()
    def apg(self, latents: Tensor, template: str, full: str, gamma: float, on_step: OnStep | None = None) -> Tensor:
        """Latents [N, C, h, w] taken back to the level gamma under the template and forward again under the full
        prompt, both without identity."""
        scheduler = _first_order(self.parts.pipeline.scheduler)
        neutral, wanted = (self.parts.told(self.part, prompt, False) for prompt in (template, full))
        how: dict[str, Any] = {"steps": self.steps, "level": gamma}
        back = invert(self.parts.network, scheduler, latents, neutral[-1:], **how)
        return sample(self.parts.network, scheduler, back, wanted, self.parts.guidance, on_step=on_step, **how)

    def _sampled(self, start: Tensor, ladder: Sequence[Conditions], **how: Any) -> Tensor:
        pipeline, guidance = self.parts.pipeline, self.parts.guidance
        return sample(self.parts.network, pipeline.scheduler, start, ladder, guidance, steps=self.steps, **how)

    def _paired(self) -> list[Conditions]:
        """On each side of guidance first all of PD, then all of FD, as `Fasa` wants it."""
        with_, without = (self.parts.told(self.part, self.prompt, identity) for identity in (True, False))
        return [{k: torch.cat([own[k], other[k]]) for k in own} for own, other in zip(with_, without, strict=True)]


def _first_order(scheduler: Any) -> Any:
    """One that `invert` undoes exactly."""
    if "solver_order" not in scheduler.config:
        return scheduler
    return type(scheduler).from_config(scheduler.config, solver_order=1)
