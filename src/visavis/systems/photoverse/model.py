"""Adapters for both branches beside a frozen base (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from visavis.blocks.diffusion.adapter import add_lora, lora_layers, scale_lora
from visavis.blocks.identity import prompt
from visavis.blocks.identity.attention import attach, identity
from visavis.blocks.identity.beside import Beside
from visavis.blocks.identity.encoder import Apart, FeaturesA, chips
from visavis.blocks.identity.recogniser_a import FEATURES
from visavis.core.errors import InputError

WORD, CLASS, FRONT = "x0", "person", "photo of x0,"
WIDTH, RANK = 256, 8


class PhotoVerse(Beside):
    """pipeline: a base, frozen, whose UNet gets the low-rank change and the image branch; visual: with that branch,
    else pseudo-words alone. The image tower is recogniser A (m = 4 stages)."""

    front: Tensor
    empty: Tensor

    def __init__(self, pipeline: Any, visual: bool = True) -> None:
        tower = FeaturesA()
        super().__init__(unet=pipeline.unet, text=pipeline.text_encoder, vae=pipeline.vae, tower=tower)
        tokenizer, width = pipeline.tokenizer, pipeline.text_encoder.config.hidden_size
        words = [tokenizer(word, add_special_tokens=False).input_ids for word in (WORD, CLASS)]
        if {len(ids) for ids in words} != {1} or tokenizer.unk_token_id in words[0]:
            raise InputError(
                f"PhotoVerse puts the person in place of the word {WORD!r}, which this base does not know."
            )
        (self.placeholder,), (self.person,) = words
        self.end = tokenizer.eos_token_id
        front = tokenizer(FRONT, add_special_tokens=False).input_ids
        self.register_buffer("front", torch.tensor(front), persistent=False)
        self.register_buffer("empty", tokens(tokenizer, [""]), persistent=False)

        self.apart = nn.ModuleDict({name: Apart(FEATURES[name][0]) for name in tower.stages})
        self.stages = nn.ModuleList(nn.Linear(FEATURES[name][0], WIDTH) for name in tower.stages)
        self.text_adapter = Adapter(len(self.stages), width)
        # Fresh layers give numbers of about a half; the base's own words are some twenty times shorter.
        self.text_adapter.shrink(2 * float(pipeline.text_encoder.get_input_embeddings().weight.std()))
        self.image_adapter = Adapter(len(self.stages), width) if visual else None
        self.attention = attach(pipeline.unet, width, mixing=True) if visual else None
        add_lora(pipeline.unet, RANK, r".*attn2\.to_[kv]")
        self.lora = lora_layers(pipeline.unet)

    @torch.no_grad()
    def fit(self, references: Iterable[Tensor]) -> None:
        """What all faces of batches [B, 3, S, S] share is left out of what is read from now on."""
        maps = [self.tower(chips(reference)).maps for reference in references]
        for name, apart in self.apart.items():
            apart.fit(torch.cat([part[name] for part in maps]))  # type: ignore[operator]

    def scale(self, gamma: float, sigma: float, alpha: float) -> None:
        """How much text branch, image branch and the learnt change of the text branch count."""
        scale_lora(self.unet, alpha)
        if self.attention is not None:
            self.attention.text_scale, self.attention.scale = gamma, sigma

    def read(self, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Pseudo-words p_f and image tokens f [B, m, width], shallow stages first; f is zero without the visual branch.

        reference: [B, 3, S, S] in [-1, 1], a portrait frame with everything but the face black.
        """
        maps = self.tower(chips(reference)).maps
        places = [
            stage(self.apart[name](maps[name]).flatten(2).transpose(1, 2))
            for name, stage in zip(self.tower.stages, self.stages, strict=True)
        ]
        words: Tensor = self.text_adapter(places)
        seen: Tensor = torch.zeros_like(words) if self.image_adapter is None else self.image_adapter(places)
        return words, seen

    def said(self, ids: Tensor, words: Tensor) -> Tensor:
        """Text [B, L, width] of tokens [B, L] with pseudo-words [B, m, width] in place of S*; to a sentence without it
        `photo of S*,` is put in front."""
        bare = ~(ids == self.placeholder).any(1, keepdim=True)
        whole = torch.where(bare, prompt.fronted(ids, self.front, self.end), ids)
        wide = prompt.widened(whole, self.placeholder, words.shape[1], self.end)
        return prompt.encoded(self.text, wide, self.placeholder, words)

    def without_identity(self, ids: Tensor) -> Tensor:
        """Text [B, L, width] of the same sentence with the class word in place of S*."""
        made: Tensor = self.text(torch.where(ids == self.placeholder, self.person, ids))[0]
        return made

    def values(self, tokens: Tensor) -> Tensor:
        """V^S of every layer, side by side: [B, m, channels of all layers]; what L_rv keeps sparse."""
        layers: list[Any] = [] if self.attention is None else list(self.attention.values())
        return torch.cat([layer.to_v_ip(tokens) for layer in layers], -1) if layers else torch.zeros_like(tokens)

    def forward(self, noisy: Tensor, timestep: Tensor, text: Tensor, tokens: Tensor) -> Tensor:
        """The prediction [B, C, h, w]. text [B, L, width]; tokens [B, m, width], all zero for nobody."""
        told = {} if self.attention is None else {"cross_attention_kwargs": identity(tokens)}
        made: Tensor = self.unet(noisy, timestep, text, return_dict=False, **told)[0]
        return made


class Adapter(nn.Module):
    """m sub-adapters of one form, one for each stage of the tower: MLP(class token) + mean of MLP(patches); the class
    token is the mean of the patches."""

    def __init__(self, m: int, width: int) -> None:
        super().__init__()
        self.mapping = nn.ModuleList(_mlp(width) for _ in range(m))
        self.mapping_patch = nn.ModuleList(_mlp(width) for _ in range(m))

    def forward(self, places: list[Tensor]) -> Tensor:
        """places: m of [B, P, 256] -> [B, m, width]."""
        made = [
            whole(patches.mean(1)) + patch(patches).mean(1)
            for whole, patch, patches in zip(self.mapping, self.mapping_patch, places, strict=True)
        ]
        return torch.stack(made, 1)

    @torch.no_grad()
    def shrink(self, factor: float) -> None:
        for mlp in (*self.mapping, *self.mapping_patch):
            for parameter in list(mlp.children())[-1].parameters():
                parameter.mul_(factor)


def tokens(tokenizer: Any, prompts: list[str]) -> Tensor:
    """int64 [N, L], padded and cut to what the text encoder reads."""
    how = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
    made: Tensor = tokenizer(prompts, return_tensors="pt", **how).input_ids
    return made


def _mlp(width: int) -> nn.Sequential:
    hidden = [nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.LeakyReLU()]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, width))
