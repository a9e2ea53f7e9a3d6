"""Image Adapter and IdentityNet beside a frozen UNet (section 3.3)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from visavis.blocks.identity.attention import attach, identity
from visavis.blocks.identity.beside import Beside
from visavis.blocks.identity.projector import Resampler
from visavis.blocks.identity.spatial import SpatialBranch

Hears = Literal["identity", "text"]


class InstantID(Beside):
    """unet, text: the base's, frozen; length: of the recogniser's vector; tokens, dim, depth, heads: of the Resampler
    (published: 512, 16, 1280, 4, 20); hears: what IdentityNet's cross-attention gets, in the paper identity."""

    def __init__(
        self,
        unet: Any,
        text: Any,
        length: int = 128,
        tokens: int = 4,
        dim: int = 256,
        depth: int = 4,
        heads: int = 4,
        hears: Hears = "identity",
    ) -> None:
        super().__init__(unet=unet, text=text)
        width = unet.config.cross_attention_dim
        self.projector = Resampler(length, width, dim, depth, heads, tokens=tokens)
        self.identity_net = SpatialBranch.of(unet)
        # Copies of the text's values would answer fresh tokens as if they were words, and louder.
        self.adapter = attach(unet, width, silent=True)
        self.hears, self.identity_net_scale = hears, 1.0

    def tokens(self, vectors: Tensor) -> Tensor:
        """Identity tokens [B, K, width] of vectors [B, length] of raw length."""
        made: Tensor = self.projector(vectors[:, None])
        return made

    def without_identity(self, vectors: Tensor) -> Tensor:
        """The other side of guidance: the zero vector through the projector, not zero tokens."""
        return self.tokens(torch.zeros_like(vectors))

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        text: Tensor,
        tokens: Tensor,
        points: Tensor,
        added: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """The prediction [B, C, h, w]. text [B, L, width]; points: their picture [B, 3, 8 h, 8 w] in 0..1; added:
        SDXL's further conditions."""
        heard = tokens if self.hears == "identity" else text
        placed = self.identity_net(noisy, timestep, heard, points, self.identity_net_scale, added)
        told = {"cross_attention_kwargs": identity(tokens), "added_cond_kwargs": added, "return_dict": False}
        made: Tensor = self.unet(noisy, timestep, text, **told, **placed)[0]
        return made
