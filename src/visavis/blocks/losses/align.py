"""Representation alignment (REPA, arXiv 2410.06940): the middle of a UNet learns to predict recogniser A's maps of the
clean photo, which needs fewer steps. A stands in the loss and therefore judges nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.blocks.identity.encoder import SIDE, Apart
from visavis.blocks.identity.recogniser_a import FEATURES

MAP = "stage4"  # of A: as many places as the middle of nano's UNet


@contextmanager
def middle(unet: Any) -> Iterator[list[Tensor]]:
    """What the UNet's middle gives, call by call, inside; with what a ControlNet adds to it."""
    kept: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        kept.append(named["hidden_states"])

    handle = unet.up_blocks[0].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield kept
    finally:
        handle.remove()


class Aligner(nn.Module):
    """From the UNet's middle to A's maps, without what all faces share (`Apart`), which is nearly all of them. It
    trains with the UNet and ships with nothing."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        given, wanted = unet.config.block_out_channels[-1], FEATURES[MAP][0]
        self.layers = nn.Sequential(nn.Conv2d(given, 512, 1), nn.SiLU(), nn.Conv2d(512, wanted, 1))
        self.apart = Apart(wanted)

    def fit(self, maps: Tensor) -> None:
        """maps: [N, C, 4, 4 faces] of some people."""
        self.apart.fit(torch.cat(maps.chunk(maps.shape[3] // SIDE, 3)))

    def forward(self, middle: Tensor, maps: Tensor, inside: Tensor) -> Tensor:
        """The loss, in 0..2. middle: the UNet's [B, C, 4, 4 faces], of faces side by side; maps: A's, [B, 256, 4, 4
        faces]; inside: [B, 1, H, W], 1 inside the photo."""
        apart = torch.cat([self.apart(one) for one in maps.chunk(maps.shape[3] // SIDE, 3)], 3)
        return align_loss(self.layers(middle), apart, inside)


def align_loss(made: Tensor, maps: Tensor, inside: Tensor) -> Tensor:
    """1 - cosine of maps [B, C, h, w] by place, a mean over places inside the photo [B, 1, H, W]."""
    cosine = F.cosine_similarity(made.float(), maps.float(), dim=1)
    seen = F.interpolate(inside, cosine.shape[1:], mode="area")[:, 0]
    return ((1 - cosine) * seen).sum() / seen.sum().clamp(min=1)
