"""What pipelines of Stable Diffusion tell their UNet about a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def encoded(pipeline: Any, prompts: Sequence[str]) -> dict[str, Tensor]:
    """text [N, L, width] and, for SDXL, text_embeds [N, D] and time_ids [N, 6]: a call of the UNet takes the latter two
    as `added_cond_kwargs` (see `added`)."""
    made = pipeline.encode_prompt(
        list(prompts), device=pipeline.device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    told = {"text": made[0]}
    if pipeline.unet.config.addition_embed_type == "text_time":
        side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        ids = torch.tensor([side, side, 0, 0, side, side], dtype=made[0].dtype, device=made[0].device)
        told |= {"text_embeds": made[2], "time_ids": ids.expand(len(prompts), -1)}
    return told


def added(told: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """The part of `encoded` that goes into `added_cond_kwargs`."""
    return {name: told[name] for name in ("text_embeds", "time_ids") if name in told} or None
