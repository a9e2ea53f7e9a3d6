"""Where each of some people may be in a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from visavis.core.errors import InputError


def columns(count: int, width: float, height: float) -> Tensor:
    """[count, 4] (x1, y1, x2, y2) in pixels: one beside the other."""
    edges = torch.linspace(0, width, count + 1)
    return torch.stack([edges[:-1], torch.zeros(count), edges[1:], torch.full((count,), float(height))], 1)


def asked(text: str, count: int, width: int, height: int) -> Tensor:
    """[count, 4] of "X1,Y1,X2,Y2;X1,Y1,X2,Y2". Raises InputError for another number of boxes, and for one that is empty
    or leaves the picture."""
    form = f"--boxes takes one X1,Y1,X2,Y2 a person ({count} here), with semicolons between them, not {text!r}."
    try:
        made = torch.tensor([[float(number) for number in box.split(",")] for box in text.split(";")])
    except ValueError as error:
        raise InputError(form) from error
    if made.shape != (count, 4):
        raise InputError(form)
    low, high = made[:, :2], made[:, 2:]
    if not bool(((low >= 0) & (low < high) & (high <= torch.tensor([width, height]))).all()):
        raise InputError(f"--boxes lie inside the picture, which is {width} x {height} px, not at {text!r}.")
    return made
