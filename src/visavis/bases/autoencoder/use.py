"""The shipped autoencoder on pixels, for those who know no torch."""

from __future__ import annotations

import numpy as np
import torch

from visavis.bases.autoencoder.latents import BATCH, load
from visavis.blocks.images import to_pixels, to_tensor
from visavis.core.settings import settings
from visavis.core.types import Pixels


@torch.no_grad()
def through(portraits: Pixels, place: str = "") -> Pixels:
    """Portrait frames uint8 [N, 128, 128, 3] to latents and back. place: as for `latents.load`."""
    module = load(place)[0].to(settings().device)
    made = [np.empty((0, *portraits.shape[1:]), np.uint8)]
    for start in range(0, len(portraits), BATCH):
        latents = module.encode(to_tensor(portraits[start : start + BATCH]).to(module.device)).latent_dist.mean
        made.append(to_pixels(module.decode(latents).sample))
    return np.concatenate(made)
