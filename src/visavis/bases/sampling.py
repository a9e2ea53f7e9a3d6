"""Pictures out of a base's parts: noise by seed, the steps of its scheduler, its decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from visavis.blocks.diffusion.sample import Conditions, Network, generators, noise, sample, to_images
from visavis.blocks.images import to_pixels
from visavis.core.card import Progress
from visavis.core.types import Pixels

BATCH = 8


@torch.no_grad()
def pictures(
    pipeline: Any,
    network: Network,
    told: Callable[[slice], Sequence[Conditions]],
    seeds: Sequence[int],
    guidance: Sequence[float],
    *,
    steps: int = 20,
    wide: int = 1,
    progress: Progress = lambda share: None,
) -> Iterator[Pixels]:
    """A picture uint8 [H, W, 3] of each seed, which follows from it alone.

    told: the ladder of conditions (blocks/diffusion/sample.py) of some of the pictures; guidance: one number less;
    wide: how many of the base's own pictures lie side by side in one
    """
    config, device = pipeline.unet.config, next(pipeline.vae.parameters()).device
    shape = config.in_channels, config.sample_size, config.sample_size * wide
    for start in range(0, len(seeds), BATCH):
        part = slice(start, min(start + BATCH, len(seeds)))
        each = generators(seeds[part])

        def shown(done: int, of: int, part: slice = part) -> None:
            progress((part.start + (part.stop - part.start) * done / of) / len(seeds))

        latents = noise(each, shape, device)
        made = sample(network, pipeline.scheduler, latents, told(part), guidance, steps=steps, each=each, on_step=shown)
        yield from np.asarray(to_pixels(to_images(pipeline.vae, made)))
