"""The process that does a server's jobs, one after the other, so that a stopped or broken job takes nothing else along.

It says over a pipe: ("progress", label, done, total), and at the end ("done", document, failure), ("cancelled",), or
("failed", kind, sentence), kind being "input", "refused" or "fault".
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from visavis.core import progress, registry
from visavis.core.errors import InputError, RefusedError, VisavisError
from visavis.run.jobs import end_with

CANCEL: Any = getattr(signal, "SIGUSR1", signal.SIGINT)  # not what Ctrl-C sends to server and process alike
PAUSE = 0.2  # seconds between two words on progress


def main(pipe: Connection, lifeline: Connection) -> None:
    """Works until the pipe is closed. lifeline: its other end is held by the server, with which this process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(CANCEL, signal.default_int_handler)
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()
    while True:
        # A cancelling signal that comes too late, between two jobs, is for nobody.
        with contextlib.suppress(KeyboardInterrupt):
            try:
                name, inputs, options = pipe.recv()
            except EOFError:
                return
            try:
                answer = _done(pipe, name, inputs, options)
            except KeyboardInterrupt:
                answer = ("cancelled",)
            # Half an answer would be waited for without end.
            signal.signal(CANCEL, signal.SIG_IGN)
            pipe.send(answer)
            signal.signal(CANCEL, signal.default_int_handler)


def _done(pipe: Connection, name: str, inputs: dict[str, Any], options: dict[str, Any]) -> tuple[Any, ...]:
    said = 0.0

    def heard(label: str, done: int, total: int | None) -> None:
        nonlocal said
        if time.monotonic() - said > PAUSE:
            said = time.monotonic()
            pipe.send(("progress", label, done, total))

    try:
        task = registry.tasks()[name]
        with progress.told_to(heard):
            outcome = task.do(task.inputs(**inputs), True, *((options,) if task.systems else ()))
        return "done", outcome.document, outcome.failure
    except RefusedError as error:
        return "failed", "refused", str(error)
    except VisavisError as error:
        return "failed", "input" if isinstance(error, InputError) else "fault", str(error)
    except OSError as error:
        return "failed", "input", f"{error.strerror or error}."
    except Exception as error:
        if os.environ.get("VISAVIS_DEBUG"):
            raise
        return "failed", "fault", f"This is a fault of visavis, not yours: {type(error).__name__}."
