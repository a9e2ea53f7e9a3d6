"""A tuned network as low-rank differences to the one it was tuned from: a small file, nearly the same pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

RANK = 32


def factors(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], rank: int = RANK) -> dict[str, Tensor]:
    """fp16: `NAME.up` [out, rank] and `NAME.down` [rank, in] of each difference that this makes smaller (singular value
    decomposition, a convolution's places count as inputs), else the difference itself as `NAME`."""
    made: dict[str, Tensor] = {}
    for name, value in tuned.items():
        apart = (value - base[name]).float()
        flat = apart.flatten(1) if apart.ndim > 1 else apart[None]
        if rank * sum(flat.shape) >= flat.numel():
            made[name] = apart.half()
            continue
        left, sizes, right = torch.linalg.svd(flat, full_matrices=False)
        roots = sizes[:rank].sqrt()
        made[f"{name}.up"], made[f"{name}.down"] = (
            (left[:, :rank] * roots).half(),
            (roots[:, None] * right[:rank]).half(),
        )
    return {name: value.contiguous() for name, value in made.items()}


@torch.no_grad()
def add_factors(module: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Adds the differences of `factors` to the base, in place. Raises KeyError where they are another network's."""
    for name, value in module.state_dict().items():
        if name in stored:
            value += stored[name].to(value)
        else:
            up, down = stored[f"{name}.up"].float(), stored[f"{name}.down"].float()
            value += (up @ down).view_as(value).to(value)
