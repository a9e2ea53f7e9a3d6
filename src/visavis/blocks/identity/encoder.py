"""What a face gives to a generator: recogniser A's vector without what all faces share, and maps of A's stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from safetensors.numpy import load
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.blocks.identity.recogniser_a import FEATURES, RecogniserA, recogniser_a
from visavis.blocks.images import warp
from visavis.core import weights
from visavis.faces.embed import CHIP
from visavis.faces.score import Cohort

Length = Literal["raw", "unit"]
SIDE = 4  # of pooled maps
LEAST = 0.05  # added to a deviation: what hardly ever answers is not made loud


@dataclass(frozen=True, eq=False)
class Identity:
    """vector: float32 [B, 128] as `VectorA` standardises it; tokens: [B, N, D]; maps: [B, C, 4, 4] by stage."""

    vector: Tensor
    tokens: Tensor | None = None
    maps: dict[str, Tensor] | None = None


class VectorA(nn.Module):
    """Recogniser A's vector, standardised: (v - mean) / sd by component, over strangers, as `faces.score.standardised`.

    Raw vectors are 83 % alike for all faces; after this the zero vector is the mean person. Differentiable towards the
    chips; A itself is frozen.
    length: "raw" (norm about sqrt(128): InstantID and WithAnyone starve on less) or "unit" (Arc2Face)
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, length: Length = "raw", network: RecogniserA | None = None) -> None:
        super().__init__()
        if length not in ("raw", "unit"):
            raise ValueError(f"A vector's length is raw or unit, not {length!r}.")
        self.length = length
        self.network = (network or recogniser_a()).eval().requires_grad_(False)
        mean, deviation = _strangers()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, chips: Tensor) -> Identity:
        """chips: float32 [B, 3, 150, 150] RGB in [-1, 1]."""
        return Identity(self.standardised(self.network(chips)))

    def standardised(self, vectors: Tensor) -> Tensor:
        """[..., 128] of A's own vectors of unit length, as faces carry them."""
        made = (vectors.float() - self.mean) / self.deviation
        return F.normalize(made, dim=-1) if self.length == "unit" else made


class FeaturesA(VectorA):
    """A's maps at the end of some stages, all at least 0, pooled to 4 x 4; tokens [B, 16, C] are the places of
    `tokens_of`. They stand in for an image tower: PhotoVerse takes the last four stages, WithAnyone one as tokens.

    "stage5" has 2 x 2 places, each of which fills four.
    """

    def __init__(
        self,
        stages: Sequence[str] = ("stage2", "stage3", "stage4", "stage5"),
        tokens_of: str = "stage4",
        length: Length = "raw",
        network: RecogniserA | None = None,
    ) -> None:
        super().__init__(length, network)
        unknown = [name for name in (*stages, tokens_of) if len(FEATURES.get(name, ())) != 3]
        if unknown:
            raise ValueError(f"Recogniser A has no stage {unknown[0]!r}; it has stem and stage1 to stage5.")
        self.stages, self.tokens_of = tuple(stages), tokens_of

    def forward(self, chips: Tensor) -> Identity:
        """chips: float32 [B, 3, 150, 150] RGB in [-1, 1]."""
        found = self.network.features(chips)
        vector = F.normalize(self.network.last(found["pooled"]), dim=1)
        pooled = {name: F.adaptive_avg_pool2d(found[name], SIDE) for name in {*self.stages, self.tokens_of}}
        tokens = pooled[self.tokens_of].flatten(2).transpose(1, 2)
        return Identity(self.standardised(vector), tokens, {name: pooled[name] for name in self.stages})


class Apart(nn.Module):
    """Maps [B, C, 4, 4] without what all faces share: (maps - mean) / (deviation + 0.05) by channel and place. As they
    come, what tells two people apart is 2 % of them. Unchanged until `fit`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, SIDE, SIDE))
        self.register_buffer("deviation", torch.full((channels, SIDE, SIDE), 1 - LEAST))

    def fit(self, maps: Tensor) -> None:
        """maps: [N, C, 4, 4] of some people."""
        self.mean.copy_(maps.mean(0))
        self.deviation.copy_(maps.std(0, unbiased=False))

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = (maps - self.mean) / (self.deviation + LEAST)
        return made


def chips(images: Tensor, to_chip: Tensor | None = None) -> Tensor:
    """A's chips float32 [B, 3, 150, 150] of images [B, 3, H, W] in [-1, 1]; differentiable.

    to_chip: [B, 2, 3] or [2, 3], image pixels -> chip pixels (`faces.align`: the way A was trained), or None: the whole
             image, such as a portrait frame, is brought to the chip's size.
    """
    if to_chip is not None:
        return warp(images, to_chip, CHIP)
    return F.interpolate(images.float(), (CHIP, CHIP), mode="bilinear", align_corners=False)


def _strangers() -> tuple[Tensor, Tensor]:
    vectors = torch.from_numpy(Cohort.draw(load(weights.path("cohort").read_bytes())).vectors)
    return vectors.mean(0), vectors.std(0, unbiased=False)
