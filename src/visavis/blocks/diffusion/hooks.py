"""Self-attention of a run that may look at a parallel run of the same batch, in chosen layers and for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from visavis.blocks.identity.attention import call_order, grid

Rule = Literal["add", "multiply"]


def self_attentions(unet: Any) -> list[str]:
    """Names of the self-attention layers in the order of calls: down, middle, up."""
    layers: list[tuple[str, Any]] = [(name, unet.get_submodule(name)) for name in call_order(unet)]
    return [name for name, layer in layers if not layer.is_cross_attention]


def last_third(unet: Any) -> list[str]:
    """The last third of them, where FreeCure works; its code's own choice for SDXL is 50 to 69 of 70, for SD 1.4 10 to
    15 of 16."""
    names = self_attentions(unet)
    return names[len(names) - round(len(names) / 3) :]


class Fasa:
    """Foundation-aware self-attention (FreeCure, arXiv 2411.15277): a processor of diffusers' Attention.

    The batch holds one or more sides of guidance, and each side first N personalised samples (PD), then the same N
    without identity (FD), [sides * 2 N, places, C]. PD also looks at FD's keys and values inside the mask; FD is never
    changed, and of several sides the first is the unconditional one, whose PD stays plain at style_fidelity 1.

    mask:           [1 or N, 1, H, W] of 0 and 1, brought to each layer's places by nearest neighbour
    omega:          weight of FD inside the mask, 0 or more
    rule:           "add": omega is added to FD's similarities and what is masked out vanishes (the authors' code, 1.5
                    for SDXL, 0.5 for SD 1.4); "multiply": they are multiplied by omega times mask (the paper, 2.0), so
                    that what is masked out keeps similarity 0
    style_fidelity: 0..1, how plain the unconditional PD is
    sides:          of guidance in a batch
    """

    def __init__(
        self, mask: Tensor, omega: float, rule: Rule = "add", style_fidelity: float = 1.0, sides: int = 2
    ) -> None:
        if mask.ndim != 4 or mask.shape[1] != 1 or not bool(((mask == 0) | (mask == 1)).all()):
            raise ValueError(f"A mask is [1 or N, 1, H, W] of 0 and 1, not {list(mask.shape)}.")
        self.mask, self.omega, self.rule = mask, omega, rule
        self.style_fidelity, self.sides = style_fidelity, sides

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        if encoder_hidden_states is not None or attention_mask is not None:
            raise ValueError("This attention is for self-attention without a mask of its own.")
        if len(hidden_states) % (2 * self.sides):
            raise ValueError(f"{len(hidden_states)} samples are not {self.sides} sides of pairs with and without.")
        # [heads, ...] per tensor; sides and runs apart: [sides, 2, N, heads, places, width].
        query, key, value = (
            layer(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2).unflatten(0, (self.sides, 2, -1))
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        plain = F.scaled_dot_product_attention(query, key, value)
        cured = plain.clone()
        cured[:, 0] = self._joined(query[:, 0], key, value)
        if self.sides > 1:
            cured[0] = self.style_fidelity * plain[0] + (1 - self.style_fidelity) * cured[0]
        out: Tensor = attn.to_out[1](attn.to_out[0](cured.flatten(0, 2).transpose(1, 2).flatten(2)))
        return out

    def _joined(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """PD's queries [sides, N, heads, P, d] at keys and values of both runs [sides, 2, N, heads, P, d]."""
        places = query.shape[-2]
        size = (int(self.mask.shape[2]), int(self.mask.shape[3]))
        small = F.interpolate(self.mask.to(query), grid(places, size), mode="nearest").flatten(2)
        own, other = key.unbind(1)
        bias = None
        if self.rule == "add":
            # The least finite number, not minus infinity, as in the code: half precision has no room for NaN.
            added = torch.where(small > 0, self.omega, torch.finfo(query.dtype).min)
            bias = torch.cat([torch.zeros_like(added), added], -1)[:, None]
            bias = bias.expand(len(bias), 1, places, 2 * places).to(query.dtype)
        else:
            # A similarity is linear in its key.
            other = other * (self.omega * small)[..., None]
        keys, values = torch.cat([own, other], -2), torch.cat(value.unbind(1), -2)
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=bias)


@contextlib.contextmanager
def processed(unet: Any, layers: Sequence[str], processor: Any) -> Iterator[None]:
    """Inside, the named attention layers of a UNet use this processor; afterwards, also after an error, their own."""
    if not layers:
        raise ValueError("No layer is named.")
    before: list[tuple[Any, Any]] = []
    try:
        for name in layers:
            layer: Any = unet.get_submodule(name)
            before.append((layer, layer.processor))
            layer.set_processor(processor)
        yield
    finally:
        for layer, own in before:
            layer.set_processor(own)
