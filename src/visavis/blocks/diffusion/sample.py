"""One sampler for all create systems: a network, a scheduler of diffusers, and what each side of guidance is told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from visavis.blocks.diffusion.schedule import Schedule

# network(noisy [N, C, h, w], timesteps [N], **conditions) -> prediction [N, C, h, w]
Network = Callable[..., Tensor]
Conditions = Mapping[str, Tensor]


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One for each picture, so that a picture follows from its seed alone, whatever is made beside it."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def noise(each: Sequence[torch.Generator], shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """[N, *shape], drawn on the CPU: the same on every device."""
    return torch.stack([torch.randn(*shape, generator=generator) for generator in each]).to(device)


def guided(
    network: Network, noisy: Tensor, timestep: Tensor, ladder: Sequence[Conditions], guidance: Sequence[float]
) -> Tensor:
    """The prediction under a ladder of conditions, each of which says more than the one before it: v0 + sum of
    guidance k * (v k+1 - v k), all in one call of the network.

    ladder:   [nothing, all] is guidance as usual (arXiv 2207.12598, equation 6); [nothing, text, text and identity]
              takes text and identity apart (InstructPix2Pix, arXiv 2211.09800, equation 3). Tensors are [N, ...].
    guidance: one number less; a side that has no weight in the sum (all numbers 1: all but the last) is not run
    """
    if not ladder or len(ladder) != len(guidance) + 1:
        raise ValueError(f"{len(ladder)} conditions take {len(ladder) - 1} numbers of guidance, not {len(guidance)}.")
    weights = [up - down for up, down in zip((1.0, *guidance), (*guidance, 0.0), strict=True)]
    sides = [(weight, side) for weight, side in zip(weights, ladder, strict=True) if weight]
    count = len(sides)
    told = {key: torch.cat([side[key] for _, side in sides]) for key in sides[0][1]}
    made = network(torch.cat([noisy] * count), timestep.expand(count * len(noisy)), **told).chunk(count)
    return torch.stack([weight * part for (weight, _), part in zip(sides, made, strict=True)]).sum(0)


@torch.no_grad()
def sample(
    network: Network,
    scheduler: Any,
    latents: Tensor,
    ladder: Sequence[Conditions],
    guidance: Sequence[float] = (),
    *,
    steps: int = 20,
    level: float = 1.0,
    each: Sequence[torch.Generator] | None = None,
    on_clean: Callable[[int, Tensor], Tensor | None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Latents [N, C, h, w] without noise; the scheduler itself stays as it is.

    latents:  noise, or what `Schedule.noised` or `invert` gave for a start in the middle at `level` (1 = noise)
    each:     generators, for schedulers that draw noise at every step
    on_clean: is shown the number of the step and its estimate of x0, and may return another
    on_step:  is told after each step how many are done, of how many; what it raises ends the run
    """
    plan = Schedule.of(scheduler, steps, latents.device)
    start, own = plan.entry(level), plan.own
    if start and hasattr(own, "set_begin_index"):
        own.set_begin_index(start)
    options = {"generator": list(each)} if each and "generator" in inspect.signature(own.step).parameters else {}
    # Schedulers of Karras' kind carry x0 + sigma * noise.
    stretched = float(getattr(own, "init_noise_sigma", 1.0)) > 1
    if stretched:
        latents = latents * own.init_noise_sigma if not start else latents / plan.signal[start]
    for at in range(start, len(plan.times)):
        time = plan.times[at]
        seen = own.scale_model_input(latents, time)
        predicted = guided(network, seen, time, ladder, guidance)
        if on_clean is not None:
            wanted = on_clean(at, plan.clean(at, seen, predicted))
            if wanted is not None:
                predicted = plan.predicted(at, seen, wanted)
        latents = own.step(predicted, time, latents, return_dict=False, **options)[0]
        if on_step is not None:
            on_step(at + 1 - start, len(plan.times) - start)
    return latents


def to_latents(vae: Any, images: Tensor) -> Tensor:
    """The mean latents [N, C, h, w] of images [N, 3, H, W] in [-1, 1], in the units that pipelines sample in."""
    made: Tensor = (vae.encode(images).latent_dist.mode() - _shift(vae)) * vae.config.scaling_factor
    return made


def to_images(vae: Any, latents: Tensor) -> Tensor:
    """Images [N, 3, H, W], about [-1, 1] and not clamped, of latents; differentiable."""
    made: Tensor = vae.decode(latents / vae.config.scaling_factor + _shift(vae), return_dict=False)[0]
    return made


def _shift(vae: Any) -> float:
    return float(vae.config.get("shift_factor") or 0)
