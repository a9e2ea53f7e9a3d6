"""Progress of long work on stderr (rich), silent where stderr is no terminal; or told to whoever listens."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import TypeVar

from visavis.core.errors import InputError

T = TypeVar("T")
Heard = Callable[[str, int, int | None], None]
"""heard(label, done, total), total None where it is not known."""
_heard: Heard | None = None
_until: ContextVar[tuple[float, float]] = ContextVar("until", default=(math.inf, math.inf))


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Within it, in this thread, no `track` goes on for longer: it raises InputError before the next item."""
    token = _until.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _until.reset(token)


@contextlib.contextmanager
def told_to(heard: Heard) -> Iterator[None]:
    """Progress of this process is told to `heard` and shown nowhere."""
    global _heard
    before, _heard = _heard, heard
    try:
        yield
    finally:
        _heard = before


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yields the items while a bar with count and remaining time shows on stderr."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    items = _in_time(items)
    if _heard is not None:
        for done, item in enumerate(items):
            _heard(label, done, total)
            yield item
        return
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(items, label, total=total, console=Console(stderr=True), transient=True)


def _in_time(items: Iterable[T]) -> Iterator[T]:
    until, seconds = _until.get()
    for item in items:
        if time.monotonic() > until:
            raise InputError(f"This takes longer than {seconds:g} seconds: ask for less at a time.")
        yield item


def say(line: str) -> None:
    """One line for a person, on stderr: stdout belongs to results."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on stderr where that is a terminal; the function it gives takes the bytes so far."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=total)
        yield lambda done: shown.update(task, completed=min(done, total))


@contextlib.contextmanager
def steps(label: str, total: int, done: int = 0, shown: bool = True) -> Iterator[Callable[[int, str], None]]:
    """A bar of steps with remaining time and a line of figures; the function it gives takes the steps so far.

    Where stderr is no terminal the line is printed once a minute.
    """
    if not shown:
        yield lambda done, line: None
        return
    if _heard is not None:
        heard = _heard
        yield lambda done, line: heard(" ".join(filter(None, (label, line))), done, total)
        return
    if not sys.stderr.isatty():
        said = time.monotonic()

        def quiet(done: int, line: str) -> None:
            nonlocal said
            if time.monotonic() - said > 60 or done == total:
                said = time.monotonic()
                say(f"{label}: step {done} of {total}  {line}")

        yield quiet
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[line]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done, line="")
        yield lambda done, line: bar.update(task, completed=done, line=line)
