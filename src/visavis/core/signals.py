"""Signals that stop a process, held back where their exception would be lost."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Ctrl-C and its like take effect when the block ends, not in it.

    For C code that calls Python back through ctypes: what is raised there is printed and dropped, and the C code goes
    on with half an answer.
    """
    asked, before = list[int](), dict[int, Any]()
    try:
        for number in STOPS:
            with contextlib.suppress(ValueError):  # not the main thread, which alone gets signals
                before[number] = signal.signal(number, lambda number, _: asked.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in asked:
            signal.raise_signal(number)
