"""Work over many items: progress, cancel, resume by skipping what is done, several local processes.

A `Job` says what the items are and what to do with one; where it runs is not its business, so that an engine for many
machines can take the place of `run` here.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Generic, Protocol, TypeVar

from visavis.core.errors import InputError, VisavisError
from visavis.core.progress import track
from visavis.core.settings import settings

Item = TypeVar("Item")
Made = TypeVar("Made")
FEW = 8  # items that are not worth starting processes for


class Job(Protocol, Generic[Item, Made]):
    """work: an importable function of one item, run in any process. keep: puts its result away, in this process and
    one at a time; only what was kept counts as done. failed: hears of items whose work raised a VisavisError."""

    label: str

    def items(self) -> Iterable[Item]:
        """What is left to do: items that were done in an earlier run are not among them."""

    @property
    def work(self) -> Callable[[Item], Made]: ...

    def keep(self, item: Item, made: Made) -> None: ...

    def failed(self, item: Item, error: VisavisError) -> None: ...


def run(job: Job[Item, Made], *, processes: int | None = None, cancelled: Callable[[], bool] = lambda: False) -> bool:
    """Does all items; False where it was cancelled in between. Ctrl-C leaves what was kept."""
    items = iter(job.items())
    first = list(itertools.islice(items, FEW))
    workers = processes or settings().threads
    done = _here if workers == 1 or len(first) < FEW else _spread
    with contextlib.closing(done(job.work, itertools.chain(first, items), workers)) as results:
        for item, made in track(results, job.label):
            if isinstance(made, VisavisError):
                job.failed(item, made)
            else:
                job.keep(item, made)
            if cancelled():
                return False
    return True


Results = Generator[tuple[Item, Made | VisavisError], None, None]


def _here(work: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Results[Item, Made]:
    for item in items:
        yield item, _tried(work, item)


def _spread(work: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Results[Item, Made]:
    """In the order in which they end; few items wait at a time, so that a list of millions is never held."""
    spawn = multiprocessing.get_context("spawn")
    lifeline, held = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, spawn, _alone, (lifeline,))
    waiting: dict[Future[Made | VisavisError], Item] = {}
    source = iter(items)
    try:
        while True:
            for item in itertools.islice(source, 4 * workers - len(waiting)):
                waiting[pool.submit(_tried, work, item)] = item
            if not waiting:
                pool.shutdown()
                return
            for ended in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(ended), ended.result()
    except BrokenProcessPool as error:
        raise InputError(
            "A helper process was ended from outside, often for want of memory; what was finished before is kept. "
            "Run again, with --threads 1 where it happens again."
        ) from error
    finally:
        held.close()  # nobody waits for what helpers are still busy with
        pool.shutdown(wait=False)
        lifeline.close()


def _tried(work: Callable[[Item], Made], item: Item) -> Made | VisavisError:
    try:
        return work(item)
    except VisavisError as error:
        return error


def _alone(lifeline: Connection) -> None:
    """A helper process uses one core, leaves Ctrl-C to the process that started it, and ends when that is killed or
    lets go of the other end of `lifeline`."""
    import signal

    os.environ["VISAVIS_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()


def end_with(lifeline: Connection) -> None:
    """Waits, in a thread, and ends this process when the one that holds the other end of `lifeline` is gone."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)
