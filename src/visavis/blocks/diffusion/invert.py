"""The noise that a picture would have come from: the sampler's own first-order steps, taken backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from visavis.blocks.diffusion.sample import Conditions, Network, guided
from visavis.blocks.diffusion.schedule import Schedule


@torch.no_grad()
def invert(
    network: Network,
    scheduler: Any,
    clean: Tensor,
    ladder: Sequence[Conditions],
    guidance: Sequence[float] = (),
    *,
    steps: int = 20,
    level: float = 1.0,
    refine: int = 5,
) -> Tensor:
    """Latents [N, C, h, w] at `level`, which `sample` takes with the same scheduler, steps and level.

    Each step solves for where it must have started: DDIM's equation for epsilon (arXiv 2010.02502, section 4.3), an
    Euler step of the ODE for flow. The network stands on both sides, so that its answer at the last guess makes the
    next (fixed point, arXiv 2309.04907). With `solver_order=1` (or DDIM) a sampler undoes it exactly; one of second
    order comes close.
    clean:  latents of a picture, without noise
    ladder: as in `sample`; one entry and no guidance inverts best
    refine: guesses after the first of each step, 0 or more
    Raises ValueError for schedulers that predict something else.
    """
    plan = Schedule.of(scheduler, steps, clean.device)
    flow = plan.kind == "flow_prediction"
    if not flow and plan.kind != "epsilon":
        raise ValueError(f"Inversion knows flow_prediction and epsilon, not {plan.kind}.")
    latents = clean
    for at in range(len(plan.times) - 1, plan.entry(level) - 1, -1):
        after, guess = latents, latents
        for _ in range(refine + 1):
            predicted = guided(network, guess, plan.times[at], ladder, guidance)
            if flow:
                guess = after + (plan.spread[at] - plan.spread[at + 1]) * predicted
            else:
                start = (after - plan.spread[at + 1] * predicted) / plan.signal[at + 1]
                guess = plan.signal[at] * start + plan.spread[at] * predicted
        latents = guess
    return latents
