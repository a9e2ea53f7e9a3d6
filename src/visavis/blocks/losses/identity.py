"""Is the face that is being made the right one? Recogniser A on the decoded estimate of x0, where noise lets it see."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from visavis.blocks.identity.encoder import VectorA, chips
from visavis.faces.embed import CHIP


def rows_below(level: Tensor, below: float, most: int) -> Tensor:
    """Up to `most` rows of a batch whose noise level [B] is at most `below`: above it the estimate of x0 is a blur that
    says nothing of a person (PhotoVerse's term gated so; 0.5 there, 0.6 in WithAnyone's code). The highest levels go
    first: at the lowest ones the noisy picture itself shows who it is, and nothing is left to learn."""
    order = level.argsort(descending=True, stable=True)
    return order[level[order] <= below][:most]


def shaken(to_chip: Tensor) -> Tensor:
    """Affines [..., 2, 3] to A's chip, each turned, scaled and moved a little, half of them mirrored: what fools A
    hangs on exact pixels, who somebody is does not."""
    turn, scale, x, y, side = torch.randn(5, *to_chip.shape[:-2], device=to_chip.device).clamp(-2, 2)
    cosine, sine, side = (0.03 * turn).cos(), (0.03 * turn).sin(), side.sign()
    linear = torch.stack([torch.stack([side * cosine, -side * sine], -1), torch.stack([sine, cosine], -1)], -2)
    linear = linear * (1 + 0.03 * scale)[..., None, None]
    moved = 2 * torch.stack([x, y], -1)[..., None] + CHIP / 2 * (1 - linear.sum(-1, keepdim=True))
    return torch.cat([linear @ to_chip[..., :2], linear @ to_chip[..., 2:] + moved], -1)


def made_vectors(encoder: VectorA, decode: Callable[[Tensor], Tensor], clean: Tensor, to_chip: Tensor) -> Tensor:
    """Vectors [R, faces, 128] of decoded estimates; the gradient flows to them through decoder and A.

    decode:  latents [R, C, h, w] -> images [R, 3, H, W] in [-1, 1]
    clean:   estimates of x0 in latents, [R, C, h, w], R may be 0
    to_chip: [R, faces, 2, 3], image pixels -> A's chip, by the faces of the **target**: nothing is detected on what is
             still noisy (WithAnyone, arXiv 2510.14975: GT-aligned)
    """
    if to_chip.ndim != 4 or to_chip.shape[:1] != clean.shape[:1] or to_chip.shape[2:] != (2, 3):
        raise ValueError(f"Affines are [{len(clean)}, faces, 2, 3], not {list(to_chip.shape)}.")
    if not len(clean):
        return clean.new_zeros((0, to_chip.shape[1], len(encoder.mean)))
    images = decode(clean).repeat_interleave(to_chip.shape[1], 0)
    vectors: Tensor = encoder(chips(images, to_chip.flatten(0, 1))).vector
    return vectors.view(*to_chip.shape[:2], -1)


def identity_loss(made: Tensor, target: Tensor, matched: bool = False) -> Tensor:
    """Mean of 1 - cosine over faces of vectors [B, faces, D] (WithAnyone; PhotoVerse, arXiv 2309.05793); 0
    without any.

    matched: each row's faces may come in any order, the one with the best sum counts (up to 4 faces)
    """
    if made.shape != target.shape or made.ndim != 3:
        raise ValueError(f"Vectors are [B, faces, D], not {list(made.shape)} and {list(target.shape)}.")
    if not made.numel():
        return made.sum()
    with torch.autocast(made.device.type, enabled=False):  # a product in bfloat16 rounds cosines to 0.004
        cosine = F.normalize(made.float(), dim=-1) @ F.normalize(target.float(), dim=-1).mT
    count = made.shape[1]
    if not matched:
        return 1 - cosine.diagonal(dim1=1, dim2=2).mean()
    faces = torch.arange(count)
    orders = torch.stack([cosine[:, faces, list(order)].mean(1) for order in itertools.permutations(range(count))])
    return 1 - orders.amax(0).mean()
