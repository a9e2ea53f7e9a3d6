"""Identity in the place of a word: vectors put into the text encoder's embedding, before positions are added.

transformers 5's CLIPTextModel takes no `inputs_embeds`; a hook on its token embedding does the same, with the causal
mask kept and the gradient flowing to the vectors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pad(vectors: Tensor, width: int) -> Tensor:
    """[B, 1, width] of vectors [B, d], zeros behind them and no learnt projection (Arc2Face, arXiv 2403.11641).

    Raises ValueError where the vectors are wider than the encoder.
    """
    if vectors.ndim != 2 or vectors.shape[1] > width:
        raise ValueError(f"Vectors are [B, d] with d up to {width}, not {list(vectors.shape)}.")
    return F.pad(vectors, (0, width - vectors.shape[1]))[:, None]


def fronted(ids: Tensor, words: Tensor, end: int) -> Tensor:
    """Tokens [B, L] with words [K] behind the start token; what no longer fits is cut, and a row that would lose its
    end token ends with it."""
    made = torch.cat([ids[:, :1], words.expand(len(ids), -1), ids[:, 1:]], 1)[:, : ids.shape[1]]
    return _ended(ids, made, end)


def widened(ids: Tensor, placeholder: int, count: int, end: int) -> Tensor:
    """Tokens [B, L] with the placeholder `count` times in its place: later words move right, what no longer fits is
    cut, and a row that would lose its end token ends with it (PhotoVerse, arXiv 2309.05793).

    Raises ValueError where a row does not hold the placeholder exactly once.
    """
    _at(ids, placeholder, 1)
    place = (ids == placeholder).int().argmax(1, keepdim=True)
    steps = torch.arange(ids.shape[1], device=ids.device)[None]
    source = torch.where(steps < place, steps, torch.where(steps < place + count, place, steps - count + 1))
    return _ended(ids, ids.gather(1, source), end)


@contextlib.contextmanager
def inserted(encoder: Any, placeholder: int, vectors: Tensor) -> Iterator[None]:
    """Inside, the encoder reads vectors [B, K, width] where its tokens [B, L] have the placeholder, in their order.

    A row may hold fewer than K placeholders where `widened` cut the rest, but not none and not more. Calls of several
    encoders (SDXL) take one context each. Raises ValueError for other tokens.
    """

    def put(_: nn.Module, given: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
        ids = given[0]
        if len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} rows of tokens for {len(vectors)} people.")
        here = _at(ids, placeholder, vectors.shape[1])
        turn = (here.cumsum(1) - 1).clamp(min=0)
        chosen = vectors.to(embedded.dtype).gather(1, turn[..., None].expand(-1, -1, vectors.shape[2]))
        return torch.where(here[..., None], chosen, embedded)

    handle = encoder.get_input_embeddings().register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def encoded(encoder: Any, ids: Tensor, placeholder: int, vectors: Tensor) -> Tensor:
    """Text [B, L, width] after the final norm: ids [B, L], or [1, L] for one sentence with each of B people."""
    with inserted(encoder, placeholder, vectors):
        made: Tensor = encoder(ids.expand(len(vectors), -1))[0]
    return made


def _ended(before: Tensor, made: Tensor, end: int) -> Tensor:
    lost = (before == end).any(1) & ~(made == end).any(1)
    last = torch.where(lost, end, made[:, -1])
    return torch.cat([made[:, :-1], last[:, None]], 1)


def _at(ids: Tensor, placeholder: int, most: int) -> Tensor:
    here = ids == placeholder
    counts = here.sum(1)
    if bool(((counts < 1) | (counts > most)).any()):
        wanted = "once" if most == 1 else f"1 to {most} times"
        raise ValueError(f"The placeholder {placeholder} must be in each row {wanted}, not {counts.tolist()} times.")
    return here
