"""Vectors of a face become tokens that a generator's cross-attention reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LinearProjector(nn.Linear):
    """vectors [B, N, inputs] or [B, inputs] -> tokens [B, N * tokens, width], one matrix (N = 1 for [B, inputs])."""

    def __init__(self, inputs: int, width: int, tokens: int = 1) -> None:
        super().__init__(inputs, width * tokens)
        self.width = width

    def forward(self, vectors: Tensor) -> Tensor:
        return _cut(F.linear(vectors, self.weight, self.bias), self.width)


class MlpProjector(nn.Sequential):
    """vectors [B, N, inputs] or [B, inputs] -> tokens [B, N * tokens, width]: Linear, GELU, LayerNorm, Linear, cut.

    WithAnyone (arXiv 2510.14975; its code's `arcface_in` and `siglip_in`, keys 0, 2, 3): hidden = 4 width for a vector
    and 8 tokens, hidden = width for patches of one token each.
    """

    def __init__(self, inputs: int, hidden: int, width: int, tokens: int = 1) -> None:
        super().__init__(nn.Linear(inputs, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, width * tokens))
        self.width = width

    def forward(self, vectors: Tensor) -> Tensor:
        made: Tensor = super().forward(vectors)  # type: ignore[no-untyped-call]
        return _cut(made, self.width)


class Resampler(nn.Module):
    """vectors [B, N, inputs], N >= 1 -> tokens [B, tokens, width]: learnt queries that look at the vectors.

    InstantID (arXiv 2401.07519, section 3.3) in the layout of its `ip-adapter.bin`, which is IP-Adapter-plus'. The
    unconditional side of guidance is the zero vector passed through, not zero tokens.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        dim: int = 256,
        depth: int = 4,
        heads: int = 4,
        dim_head: int = 64,
        tokens: int = 4,
        ff_mult: int = 4,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, tokens, dim) / dim**0.5)
        self.proj_in = nn.Linear(inputs, dim)
        self.proj_out = nn.Linear(dim, width)
        self.norm_out = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList([_PerceiverAttention(dim, heads, dim_head), _feed_forward(dim, ff_mult)])
            for _ in range(depth)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        if vectors.ndim != 3 or vectors.shape[-1] != self.proj_in.in_features:
            raise ValueError(f"Vectors are [B, N, {self.proj_in.in_features}], not {list(vectors.shape)}.")
        tokens = self.latents.expand(len(vectors), -1, -1)
        seen = self.proj_in(vectors)
        for layer in self.layers:
            attend, think = layer.children()
            tokens = attend(seen, tokens) + tokens
            tokens = think(tokens) + tokens
        normed: Tensor = self.norm_out(self.proj_out(tokens))
        return normed


class _PerceiverAttention(nn.Module):
    """Queries from the latents, keys and values from both (the perceiver resampler of Flamingo, arXiv 2204.14198)."""

    def __init__(self, dim: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * dim_head
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, seen: Tensor, latents: Tensor) -> Tensor:
        seen, latents = self.norm1(seen), self.norm2(latents)
        key, value = self.to_kv(torch.cat([seen, latents], 1)).chunk(2, -1)
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (self.to_q(latents), key, value)
        )
        out: Tensor = self.to_out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return out


def _feed_forward(dim: int, mult: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, dim * mult, bias=False), nn.GELU(), nn.Linear(dim * mult, dim, bias=False)
    )


def _cut(made: Tensor, width: int) -> Tensor:
    return made.reshape(len(made), -1, width)
