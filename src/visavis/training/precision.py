"""Which numbers a run computes in: bfloat16 where the device has it and the step measures faster, else float32."""

from __future__ import annotations

import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from accelerate import PartialState
from torch import Tensor, nn

from visavis.core.settings import settings

Precision = Literal["float32", "bfloat16"]
TRIES = 3


def asked_threads() -> None:
    """torch takes the threads that were asked for (VISAVIS_THREADS), else its own choice."""
    if os.environ.get("VISAVIS_THREADS"):
        torch.set_num_threads(settings().threads)


@contextlib.contextmanager
def fast(module: nn.Module) -> Iterator[None]:
    """Computes what a frozen network answers in bfloat16, and its convolutions channels last, where the processor has
    units for that: three times as fast, and 0.4 % of a value's deviation off."""
    has = torch.cpu.get_capabilities()
    units = PartialState().device.type == "cpu" and bool(has.get("amx_bf16") or has.get("avx512_bf16"))
    if units:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast("cpu", torch.bfloat16, enabled=units), torch.no_grad():
        yield


def plain_attention(network: Any) -> None:
    """A UNet or ControlNet of diffusers that learns on a CPU computes attention in separate products: the backward of
    the fused one takes up to a fifth of a step there."""
    from diffusers.models.attention_processor import AttnProcessor

    if PartialState().device.type == "cpu":
        network.set_attn_processor(AttnProcessor())


def choose(
    step: Callable[..., Any], modules: Mapping[str, nn.Module], batch: Mapping[str, Any], processes: int
) -> Precision:
    """The faster precision of a step on this machine, measured on copies; several processes must not disagree, so
    they take what the device is known for."""
    if PartialState().device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    # Without these units bfloat16 is computed in float32 and only costs.
    if processes > 1 or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return "float32"
    seconds = {precision: _seconds(step, modules, batch, precision) for precision in ("float32", "bfloat16")}
    return "bfloat16" if seconds["bfloat16"] < seconds["float32"] else "float32"


def _seconds(step: Callable[..., Any], modules: Mapping[str, nn.Module], batch: Any, precision: str) -> float:
    copies = {name: copy.deepcopy(module).train() for name, module in modules.items()}
    best = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            made = step(copies, batch)
            losses = [made] if isinstance(made, Tensor) else [loss for _, loss in made if loss.requires_grad]
        for loss in losses:
            loss.backward()
        best = min(best, time.perf_counter() - began)
    return best
