"""What sampling costs beyond its networks: the sampler timed, and the very calls that it made, made again alone."""

from __future__ import annotations

import time
from typing import Any

import torch

from visavis.bases import sampling
from visavis.core.card import Asked, Ready


def overhead(ready: Ready, asked: Asked, seed: int = 0) -> tuple[float, float]:
    """Seconds in the sampler, and seconds of its calls of the networks with the same inputs and nothing between."""
    place: Any = sampling
    usual, calls, seconds = place.sample, list[tuple[Any, Any, Any]](), 0.0

    def timed(network: Any, *given: Any, **options: Any) -> Any:
        nonlocal seconds

        def kept(*told: Any, **named: Any) -> Any:
            calls.append((network, told, named))
            return network(*told, **named)

        began = time.perf_counter()
        made = usual(kept, *given, **options)
        seconds += time.perf_counter() - began
        return made

    place.sample = timed
    try:
        list(ready(asked, seed, lambda share: None))
    finally:
        place.sample = usual
    began = time.perf_counter()
    with torch.no_grad():
        for network, told, named in calls:
            network(*told, **named)
    return seconds, time.perf_counter() - began
