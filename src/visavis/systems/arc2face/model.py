"""A text encoder and a UNet that read one word of a fixed sentence as the person (section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.blocks.diffusion import objective
from visavis.blocks.identity import prompt
from visavis.core.errors import InputError

SENTENCE, WORD = "photo of a id person", "id"


class Arc2Face(nn.Module):
    """text, unet: copies of the base's, both tuned. The vector, of length 1, is padded with zeros to the
    width of the text encoder and takes the place of the word `id`: no projection is learnt.
    aligner: of a training that aligns (`blocks.losses.align`), else none.
    padded: the sentence is as long as the encoder's longest, as it was for the authors' weights; else no longer than
    its words, so that no place looks at padding."""

    sentence: Tensor
    empty: Tensor

    def __init__(self, text: Any, unet: Any, tokenizer: Any, *, padded: bool = False) -> None:
        super().__init__()
        self.text, self.unet = text, unet
        found = tokenizer(WORD, add_special_tokens=False).input_ids
        if len(found) != 1:
            raise InputError(f"Arc2Face puts the person in place of the word {WORD!r}, which this base does not know.")
        self.placeholder = found[0]
        places = tokenizer.model_max_length if padded else len(tokenizer(SENTENCE).input_ids)
        options = {"padding": "max_length", "max_length": places, "return_tensors": "pt"}
        self.register_buffer("sentence", tokenizer(SENTENCE, **options).input_ids, persistent=False)
        self.register_buffer("empty", tokenizer("", **options).input_ids, persistent=False)

    def conditions(self, vectors: Tensor) -> Tensor:
        """Text [B, L, width] that says who: vectors [B, length], whose own lengths do not matter."""
        word = prompt.pad(F.normalize(vectors, dim=-1), self.text.config.hidden_size)
        return prompt.encoded(self.text, self.sentence, self.placeholder, word)

    def without_identity(self, count: int) -> Tensor:
        """Text [B, L, width] of the other side of guidance: the empty sentence through the same encoder."""
        said: Tensor = self.text(self.empty)[0]
        return said.expand(count, -1, -1)

    def forward(self, noisy: Tensor, level: Tensor, vectors: Tensor, dropped: Tensor) -> Tensor:
        """Velocity of latents [B, C, H, W] at levels [B]; dropped [B]: who is not said."""
        said = torch.where(dropped[:, None, None], self.without_identity(len(vectors)), self.conditions(vectors))
        velocity: Tensor = self.unet(noisy, objective.timestep(level), said, return_dict=False)[0]
        return velocity
