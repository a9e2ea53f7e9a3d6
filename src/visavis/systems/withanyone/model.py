"""Two identity attentions beside a frozen UNet, each face in its own box (section 4)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visavis.blocks.diffusion.adapter import add_lora, lora_layers, scale_lora
from visavis.blocks.identity.attention import Boxes, attach, identity
from visavis.blocks.identity.beside import Beside
from visavis.blocks.identity.encoder import Apart, FeaturesA, chips
from visavis.blocks.identity.projector import MlpProjector
from visavis.blocks.identity.recogniser_a import FEATURES

LENGTH, RANK = 128, 16
EIGHTH = 8  # pixels of a picture to a side of its latents


class WithAnyone(Beside):
    """pipeline: a base, frozen; tokens: of each vector. Names as in the published file, in which SigLIP's patches are
    what recogniser A's last map of 4 x 4 places is here. The low-rank change of the UNet is for pictures of two
    people, twice as wide as the base's own; it starts as nothing."""

    def __init__(self, pipeline: Any, tokens: int = 4) -> None:
        unet, tower = pipeline.unet, FeaturesA(())
        super().__init__(unet=unet, text=pipeline.text_encoder, vae=pipeline.vae, tower=tower)
        width = unet.config.cross_attention_dim
        self.arcface_in_arc = MlpProjector(LENGTH, 4 * width, width, tokens)
        self.arcface_in_sig = MlpProjector(LENGTH, 4 * width, width, tokens)
        self.apart = Apart(FEATURES[tower.tokens_of][0])
        self.siglip_in_sig = MlpProjector(FEATURES[tower.tokens_of][0], width, width)
        self.ipa_arc, self.ipa_sig = (attach(unet, width, "masked", name=name) for name in ("arc", "sig"))
        add_lora(unet, RANK)
        self.lora = lora_layers(unet)
        self.wide(False)
        self.weigh(0.5)

    def weigh(self, s: float) -> None:
        """The slider from spirit, 0, to form, 1."""
        self.ipa_arc.scale, self.ipa_sig.scale = 1 - s, s

    def wide(self, on: bool) -> None:
        """Whether pictures of two people are made, or learnt."""
        scale_lora(self.unet, float(on))

    @property
    def learnt_two(self) -> bool:
        """Its B, which is zero at the start."""
        return any(bool(value.any()) for name, value in self.lora.named_parameters() if ".1." in name)

    def read(self, frames: Tensor) -> Tensor:
        """Places [N, 16, 256] of portrait frames [N, 3, S, S] in [-1, 1]."""
        found: Tensor = self.tower(chips(frames)).tokens
        return found

    def tokens(self, vectors: Tensor, places: Tensor) -> dict[str, Tensor]:
        """arc [B, n K, width] and sig [B, n (16 + K), width], face after face, of vectors [B, n, 128] of raw length and
        places [B, n, 16, 256]."""
        count, flat = len(vectors), vectors.flatten(0, 1)
        sig = torch.cat([self.siglip_in_sig(self._apart(places.flatten(0, 1))), self.arcface_in_sig(flat)], 1)
        arc = self.arcface_in_arc(flat)
        return {name: made.reshape(count, -1, made.shape[-1]) for name, made in (("arc", arc), ("sig", sig))}

    def _apart(self, places: Tensor) -> Tensor:
        """Without what all faces share; who gives no places, all zero, keeps none and is as the mean face."""
        maps = places.transpose(1, 2).reshape(len(places), *self.apart.mean.shape)
        own: Tensor = self.apart(maps).flatten(2).transpose(1, 2) * places.any(2).any(1)[:, None, None]
        return own

    def without_identity(self, vectors: Tensor, places: Tensor) -> dict[str, Tensor]:
        """The other side of guidance: zeros through the projectors, not zero tokens."""
        return self.tokens(torch.zeros_like(vectors), torch.zeros_like(places))

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        text: Tensor,
        arc: Tensor,
        sig: Tensor,
        boxes: Tensor | None = None,
        added: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """The prediction [B, C, h, w]. text [B, L, width]; arc, sig: of `tokens`; boxes: [B, n, 4] (x1, y1, x2, y2) in
        pixels, one a face, without it every place sees all; added: SDXL's further conditions."""
        size = noisy.shape[-2] * EIGHTH, noisy.shape[-1] * EIGHTH
        placed = None if boxes is None else Boxes(boxes, size)
        told = {"cross_attention_kwargs": identity({"arc": arc, "sig": sig}, placed), "added_cond_kwargs": added}
        made: Tensor = self.unet(noisy, timestep, text, return_dict=False, **told)[0]
        return made
