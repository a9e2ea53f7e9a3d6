"""A tuned network as differences to the one it was tuned from, in few bits each: a small file, the same pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP = 64  # numbers that share one scale
SMALL = 4096  # numbers of a tensor up to which it is kept in fp16


def differences(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Of each tensor that differs by name: `NAME.whole`, whole numbers, and `NAME.scale`, fp16 [groups], what 1 stands
    for in each group of 64; a small one as it is, fp16, as `NAME`.

    bits: 8 (`NAME.whole` int8 [groups, 64]) or 4 (uint8 [groups, 32], two numbers in each, from -7 to 7, 8 added)
    """
    made: dict[str, Tensor] = {}
    for name, value in tuned.items():
        if not value.is_floating_point():
            continue
        apart = (value - base[name]).float()
        if apart.numel() <= SMALL:
            made[name] = apart.half()
            continue
        groups = F.pad(apart.flatten(), (0, -apart.numel() % GROUP)).view(-1, GROUP)
        most = 2 ** (bits - 1) - 1
        scale = (groups.abs().amax(1) / most).half().clamp(min=2**-24)
        whole = (groups / scale[:, None].float()).round().clamp(-most, most)
        made[f"{name}.scale"] = scale
        if bits == 8:
            made[f"{name}.whole"] = whole.to(torch.int8)
        else:
            nibbles = (whole + 8).to(torch.uint8)
            made[f"{name}.whole"] = nibbles[:, ::2] | nibbles[:, 1::2] << 4
    return {name: value.contiguous() for name, value in made.items()}


@torch.no_grad()
def add_differences(module: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Adds what `differences` gave to the base, in place. Raises KeyError or RuntimeError where they are another
    network's."""
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            continue
        if name in stored:
            value += stored[name].to(value)
            continue
        whole, scale = stored[f"{name}.whole"], stored[f"{name}.scale"]
        if whole.dtype == torch.uint8:
            whole = torch.stack([whole & 15, whole >> 4], -1).flatten(1).float() - 8
        apart = (whole.float() * scale[:, None].float()).flatten()
        spare = apart.numel() - value.numel()
        if not 0 <= spare < GROUP:
            raise RuntimeError(f"{name} holds {apart.numel()} numbers in place of {value.numel()}")
        value += apart[: value.numel()].view_as(value).to(value)
