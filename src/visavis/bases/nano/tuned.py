"""The plain way to a person: a few seconds of tuning low-rank changes on one photo (DreamBooth, arXiv 2208.12242, with
LoRA, 2106.09685). What systems that need no tuning are compared with."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch

from visavis.bases import prompts
from visavis.blocks.diffusion import objective
from visavis.blocks.diffusion.adapter import add_lora
from visavis.blocks.diffusion.sample import to_latents
from visavis.blocks.images import to_tensor
from visavis.core.types import Pixels

RANK, RATE, BATCH = 8, 1e-3, 8


def tuned(pipeline: Any, portrait: Pixels, caption: str, seconds: float, seed: int = 0) -> tuple[Any, int]:
    """A pipeline that knows the face of a portrait frame uint8 [128, 128, 3] under this caption, and the number of
    steps that the seconds were enough for, at least one. The one that is given stays as it is."""
    made = copy.copy(pipeline)
    made.unet = unet = copy.deepcopy(pipeline.unet)
    vae = pipeline.vae
    optimizer = torch.optim.AdamW(add_lora(unet, RANK), RATE)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        image = to_tensor(portrait).to(vae.device, vae.dtype)
        both = to_latents(vae, torch.cat([image, image.flip(-1)])).repeat(BATCH // 2, 1, 1, 1)
        told = prompts.encoded(pipeline, [caption] * BATCH)
    ends, steps = time.monotonic() + seconds, 0
    while not steps or time.monotonic() < ends:
        level = torch.sigmoid(torch.randn(BATCH, generator=draw)).to(both)
        noise = torch.randn(both.shape, generator=draw).to(both)
        noisy, moment = objective.noised(both, noise, level), objective.timestep(level)
        velocity = unet(noisy, moment, told["text"], return_dict=False)[0]
        optimizer.zero_grad()
        torch.autograd.backward(objective.flow_loss(velocity, both, noise))
        optimizer.step()
        steps += 1
    return made, steps
