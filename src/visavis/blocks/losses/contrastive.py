"""Losses that pull a made face to its own person and push it from others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def info_nce(
    made: Tensor,
    target: Tensor,
    gallery: Tensor | None = None,
    temperature: float = 0.1,
    people: Tensor | None = None,
    gallery_people: Tensor | None = None,
) -> Tensor:
    """InfoNCE with extended negatives (WithAnyone, arXiv 2510.14975): each made face [N, D] against its
    target [N, D], the other faces' targets and a gallery of other people; cosines, mean over faces.

    gallery:     [M, D] for all faces, or [N, M, D] for each its own
    temperature: 0.1 is what the authors' training runs with
    people, gallery_people: whole numbers [N] and [M] that name the person of each target and gallery vector; where
                 given, vectors of a face's own person are no negatives of it
    """
    if made.shape != target.shape or made.ndim != 2:
        raise ValueError(f"Vectors are [N, D], not {list(made.shape)} and {list(target.shape)}.")
    if not len(made):
        return made.sum()
    with torch.autocast(made.device.type, enabled=False):  # in bfloat16 the logits would be rounded to 0.04
        told = None if gallery is None else gallery.float()
        return _info_nce(made.float(), target.float(), told, temperature, people, gallery_people)


def _info_nce(
    made: Tensor,
    target: Tensor,
    gallery: Tensor | None,
    temperature: float,
    people: Tensor | None,
    gallery_people: Tensor | None,
) -> Tensor:
    query, positive = F.normalize(made, dim=-1), F.normalize(target, dim=-1)
    similar = query @ positive.T
    own = torch.eye(len(made), dtype=torch.bool, device=made.device)
    if people is not None:
        similar = similar.masked_fill((people[:, None] == people[None]) & ~own, float("-inf"))
    if gallery is not None:
        unit = F.normalize(gallery, dim=-1)
        others = query @ unit.T if unit.ndim == 2 else (unit @ query[..., None])[..., 0]
        if people is not None and gallery_people is not None:
            others = others.masked_fill(people[:, None] == gallery_people[None], float("-inf"))
        similar = torch.cat([similar, others], 1)
    return F.cross_entropy(similar / temperature, torch.arange(len(made), device=made.device))
