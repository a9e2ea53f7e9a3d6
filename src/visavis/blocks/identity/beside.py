"""What is learnt beside frozen networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


class Beside(nn.Module):
    """A module with frozen networks, which move and are copied with it and are none of its parameters or state: files
    hold what was learnt alone."""

    def __init__(self, **frozen: Any) -> None:
        super().__init__()
        self.__dict__["frozen"] = {name: part.requires_grad_(False).eval() for name, part in frozen.items()}

    def __getattr__(self, name: str) -> Any:
        frozen = self.__dict__.get("frozen", {})
        return frozen[name] if name in frozen else super().__getattr__(name)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        for part in self.__dict__["frozen"].values():
            part._apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
