"""Representation alignment (REPA, arXiv 2410.06940): the middle of a UNet learns to predict recogniser A's maps of the
clean photo, which needs fewer steps. A stands in the loss and therefore judges nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from visavis.blocks.identity.recogniser_a import FEATURES

MAP = "stage4"  # of A: as many places as the middle of nano's UNet


def aligner(unet: Any) -> nn.Sequential:
    """The layers from the UNet's middle [B, C, 4, 4] to A's maps [B, 256, 4, 4]; they train and ship with nothing."""
    middle, wanted = unet.config.block_out_channels[-1], FEATURES[MAP][0]
    return nn.Sequential(nn.Conv2d(middle, 512, 1), nn.SiLU(), nn.Conv2d(512, wanted, 1))


@contextmanager
def middle(unet: Any) -> Iterator[list[Tensor]]:
    """What the UNet's middle gives, call by call, inside."""
    kept: list[Tensor] = []
    handle = unet.mid_block.register_forward_hook(lambda *call: kept.append(call[2]))
    try:
        yield kept
    finally:
        handle.remove()


def align_loss(made: Tensor, maps: Tensor, inside: Tensor) -> Tensor:
    """1 - cosine of maps [B, C, h, w] by place, a mean over places inside the photo [B, 1, H, W]."""
    cosine = F.cosine_similarity(made.float(), maps.float(), dim=1)
    seen = F.interpolate(inside, cosine.shape[1:], mode="area")[:, 0]
    return ((1 - cosine) * seen).sum() / seen.sum().clamp(min=1)
