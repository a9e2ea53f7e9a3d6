"""Perceptual loss (arXiv 1603.08155, section 3.2) on the first stages of recogniser A, which may stand in losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.blocks.identity.recogniser_a import RecogniserA, recogniser_a


class Perceptual(nn.Module):
    """Mean distance of two pictures' maps after the stem and each of A's first stages, each map in units of its own
    channels' spread. Pictures are float32 [B, 3, H, W] in [-1, 1] of any size: the stages are convolutions."""

    def __init__(self, network: RecogniserA | None = None, stages: int = 2) -> None:
        super().__init__()
        network = network or recogniser_a()
        self.stem, self.pool = network.stem, network.pool
        self.stages = nn.ModuleList(list(network.stages)[:stages])
        self.requires_grad_(False)

    def forward(self, made: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
        """A mean over places, weighted by `weight` [B, 1, H, W] in 0..1 where it is given."""
        total = made.new_zeros(())
        with torch.no_grad():
            wanted = self.maps(real)
        for a, b in zip(self.maps(made), wanted, strict=True):
            apart = (a - b).abs() / (b.std((0, 2, 3), keepdim=True) + 1e-3)
            if weight is None:
                total = total + apart.mean()
            else:
                seen = F.interpolate(weight, apart.shape[2:], mode="area")
                total = total + (apart.mean(1, keepdim=True) * seen).sum() / seen.sum().clamp(min=1)
        return total / (1 + len(self.stages))

    def maps(self, images: Tensor) -> list[Tensor]:
        x = F.relu(self.stem(images))
        found = [x]
        x = self.pool(x)
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found
