"""Critics that tell made pictures from photos, and their losses."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PatchCritic(nn.Module):
    """[B, 3, H, W] -> logits [B, 1, H / 8 - 2, W / 8 - 2], one for each patch of 46 pixels (PatchGAN, arXiv 1611.07004,
    section 3.2.2), with group norm, which does not depend on the rest of the batch."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for below in (width, 2 * width):
            layers += [nn.Conv2d(below, 2 * below, 4, 2, 1), nn.GroupNorm(8, 2 * below), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(4 * width, 1, 3)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def hinge_critic(real: Tensor, made: Tensor) -> Tensor:
    """What a critic learns: logits above 1 for photos, below -1 for what was made (arXiv 1705.02894, section 3)."""
    return (F.relu(1 - real).mean() + F.relu(1 + made).mean()) / 2


def hinge_maker(made: Tensor) -> Tensor:
    """What a generator learns from the critic's logits."""
    return -made.mean()
