"""Long tasks of a server: each is a folder with its record, so that a killed server does it again and loses none."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from visavis.app.serve import worker
from visavis.app.serve.leftovers import ENDED, UPLOADS, album_called, size
from visavis.core.errors import InputError
from visavis.core.files import locked, write_whole
from visavis.core.settings import private_folder, settings

State = Literal["waiting", "running", "done", "failed", "cancelled"]
RESTARTS = 3  # times that a job may have been running while the server ended, before it is given up
GRACE = 10.0  # seconds that a cancelled job has to leave everything whole
ROOM = 10 * 2**30  # bytes of all jobs, above which none is taken
KEPT = 86400.0  # seconds after the end of a job
ENDS = "Ended jobs are kept for a day; forgetting somebody ends all with photos that are not done. Begin it again."


class Busy(InputError):
    """The queue is full."""


@dataclass(frozen=True)
class Job:
    """id: known to who started it; inputs, options: of the task, as JSON; done of total with a label: how far it is;
    failure: what became of a part, or why nothing did; kind: of a failed one, "input", "refused" or "fault"; restarts:
    how often it began anew because the server had ended; album: to which it belongs."""

    id: str
    task: str
    inputs: dict[str, Any]
    options: dict[str, Any]
    state: State = "waiting"
    created: str = ""
    ended: str = ""
    restarts: int = 0
    label: str = ""
    done: int = 0
    total: int | None = None
    failure: str | None = None
    kind: str = ""
    album: str = ""


class Jobs:
    """The jobs below a folder, done one at a time in the order in which they came. A job whose folder was removed, as
    when somebody is forgotten, is none any more, and its process is ended.

    most: waiting ones; minutes: that a job may take. Raises InputError where another server has the folder.
    """

    def __init__(self, folder: Path, most: int = 100, minutes: float = 60) -> None:
        self.folder, self.most, self.minutes = private_folder(folder), most, minutes
        self._jobs: dict[str, Job] = {}
        self._change = threading.Condition()
        self._closed = False
        self._cancelled: set[str] = set()
        self._process: Any = None
        self._lock = contextlib.ExitStack()
        self._lock.enter_context(locked(self.folder / "lock", self._refuse))
        self._read()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for place in sorted(self.folder.iterdir()):
            try:
                job = Job(**json.loads((place / "job.json").read_text("utf-8")))
            except FileNotFoundError:  # its upload never ended
                shutil.rmtree(place, ignore_errors=True)
                continue
            except NotADirectoryError:
                if place.name != "lock":  # in the place of a job that was ended by forgetting
                    place.unlink()
                continue
            except (OSError, ValueError, TypeError):  # no job, or another version's: what it made stays
                continue
            if job.state in ENDED:  # the server was killed before they were removed
                shutil.rmtree(place / UPLOADS, ignore_errors=True)
            if job.state == "running":
                again = job.restarts < RESTARTS
                job = replace(job, state="waiting" if again else "failed", restarts=job.restarts + 1)
                if not again:
                    said = f"The server ended {RESTARTS + 1} times while this was running; it was given up."
                    job = replace(job, failure=said, kind="fault", ended=_now())
                self._write(job)
            self._jobs[job.id] = job
        self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].created))

    @contextlib.contextmanager
    def room(self) -> Iterator[tuple[str, Path]]:
        """(id, folder) of a job to come, for its uploads; gone again where it does not come to `start`.

        Raises Busy where too many wait, or those that are kept hold too much.
        """
        with self._change:
            if sum(job.state == "waiting" for job in self._there().values()) >= self.most:
                raise Busy(f"{self.most} jobs are waiting already; try again later.")
        if size(self.folder) > ROOM:
            raise Busy("The jobs here hold too much already; remove some that have ended, or try again later.")
        id = secrets.token_urlsafe(12)
        place = private_folder(self.folder / id)
        try:
            private_folder(place / "files")
            yield id, place
        finally:
            with self._change:
                if id not in self._jobs:
                    shutil.rmtree(place, ignore_errors=True)

    def start(self, id: str, task: str, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Job:
        """Puts a job into the queue; from here on it is not lost."""
        album = album_called(settings().album)
        job = Job(id, task, dict(inputs), dict(options), created=_now(), album=album)
        self._write(job)
        self._put(job)
        return job

    def all(self) -> list[Job]:
        with self._change:
            return list(self._there().values())

    def get(self, id: str) -> Job:
        """Raises KeyError, as `cancel` and `drop`."""
        with self._change:
            return self._there()[id]

    def _there(self) -> dict[str, Job]:
        for id in [id for id in self._jobs if not (self.folder / id).is_dir()]:
            del self._jobs[id]
        return self._jobs

    def document(self, id: str) -> dict[str, Any] | None:
        """What a done job answers."""
        try:
            made: dict[str, Any] = json.loads((self.folder / id / "document.json").read_text("utf-8"))
        except OSError:
            return None
        return made

    def files(self, id: str) -> dict[str, Path]:
        """What a job wrote so far, by its name below the job."""
        top = self.folder / id / "files"
        return {path.relative_to(top).as_posix(): path for path in sorted(top.rglob("*")) if path.is_file()}

    def cancel(self, id: str) -> Job:
        """A waiting job does not begin; a running one is interrupted, and what it wrote stays."""
        with self._change:
            job = self._there()[id]
            if job.state == "waiting":
                job = replace(job, state="cancelled", ended=_now())
                try:
                    self._write(job)
                except InputError:  # its record would say for ever that it waits; and it made nothing
                    shutil.rmtree(self.folder / id, ignore_errors=True)
                self._put(job)
                shutil.rmtree(self.folder / id / UPLOADS, ignore_errors=True)
            elif job.state == "running" and id not in self._cancelled:
                self._cancelled.add(id)
                self._interrupt()
            return job

    def drop(self, id: str) -> None:
        """Removes an ended job with all that it wrote; InputError where it has not ended."""
        with self._change:
            if self._there()[id].state not in ENDED:
                raise InputError("This job has not ended; cancel it first.")
            del self._jobs[id]
            shutil.rmtree(self.folder / id, ignore_errors=True)

    def expire(self, older: float = KEPT) -> None:
        """Removes the jobs that ended longer ago than so many seconds."""
        until = (datetime.now(UTC) - timedelta(seconds=older)).isoformat()
        for job in self.all():
            if job.state in ENDED and job.ended < until:
                with contextlib.suppress(KeyError):
                    self.drop(job.id)

    def close(self) -> None:
        """Ends the working process; a running job begins anew with the next server."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(GRACE)
        self._end()
        self._lock.close()

    def _refuse(self) -> None:
        raise InputError(f"Another server works in {self.folder}; stop it, or set VISAVIS_HOME to another folder.")

    def _put(self, job: Job, *, keep: bool = False) -> None:
        with self._change:
            if keep:
                with contextlib.suppress(InputError):  # where the disk is full, the others go on
                    self._write(job)
            self._jobs[job.id] = job
            self._there()
            self._change.notify_all()

    def _write(self, job: Job) -> None:
        _write(self.folder / job.id / "job.json", asdict(job))

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._next() is not None)
                job = self._next()
                if self._closed or job is None:
                    return
                job = replace(job, state="running")
                self._put(job, keep=True)
            try:
                ended = self._do(job)
            except Exception as error:  # whatever one job brings, the others go on
                self._end()
                ended = self._ended(job, "failed", ["fault", f"This is a fault of visavis: {type(error).__name__}."])
            if ended is None:
                return  # the record says that it was running: the next server begins anew
            # In this order: a job that is killed in between must not begin anew without its uploads.
            self._put(replace(ended, ended=_now()), keep=True)
            shutil.rmtree(self.folder / job.id / UPLOADS, ignore_errors=True)

    def _next(self) -> Job | None:
        return next((job for job in self._there().values() if job.state == "waiting"), None)

    def _do(self, job: Job) -> Job | None:
        """The job as it ended; None where the server ends before."""
        pipe, until = self._started(), time.monotonic() + 60 * self.minutes
        asked: float | None = None
        try:
            pipe.send((job.task, job.inputs, job.options))
            while True:
                if pipe.poll(0.2):
                    kind, *said = pipe.recv()
                    if kind != "progress":
                        return self._ended(job, kind, said)
                    job = replace(job, label=said[0], done=said[1], total=said[2])
                    self._put(job)
                if self._closed:
                    return None
                if not (self.folder / job.id).is_dir():
                    self._end()
                    return job
                if time.monotonic() > until and job.id not in self._cancelled:
                    self.cancel(job.id)
                    job = replace(job, failure=f"It took longer than {self.minutes:g} minutes.")
                if job.id in self._cancelled:
                    asked = asked or time.monotonic()
                    if time.monotonic() - asked > GRACE:
                        self._end()
                        return replace(job, state="cancelled")
        except (EOFError, OSError):
            self._end()
            if self._closed or job.id in self._cancelled:
                return None if self._closed else replace(job, state="cancelled")
            said = ["fault", "The process that did this was ended from outside, often for want of memory."]
            return self._ended(job, "failed", said)
        finally:
            self._cancelled.discard(job.id)

    def _ended(self, job: Job, kind: str, said: list[Any]) -> Job:
        if kind == "cancelled":
            return replace(job, state="cancelled")
        if kind == "failed":
            return replace(job, state="failed", kind=said[0], failure=said[1])
        document, failure = said
        try:
            _write(self.folder / job.id / "document.json", document)
        except InputError as error:
            return replace(job, state="failed", kind="input", failure=str(error))
        return replace(job, state="done", failure=failure, done=job.total or job.done)

    def _started(self) -> Any:
        """The pipe to a working process."""
        if self._process is None or not self._process[0].is_alive():
            spawn = multiprocessing.get_context("spawn")
            ours, theirs = spawn.Pipe()
            lifeline, held = spawn.Pipe(duplex=False)
            process = spawn.Process(target=worker.main, args=(theirs, lifeline))
            process.start()
            theirs.close()
            lifeline.close()
            self._process = process, ours, held
        return self._process[1]

    def _interrupt(self) -> None:
        if self._process is not None and self._process[0].is_alive():
            os.kill(self._process[0].pid, worker.CANCEL)

    def _end(self) -> None:
        if self._process is not None:
            process, pipe, held = self._process
            process.kill()
            process.join()
            pipe.close()
            held.close()
            self._process = None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        write_whole(path, [json.dumps(content, ensure_ascii=False).encode()])
    except OSError as error:
        raise InputError(f"{path.name} cannot be written ({error.strerror}).") from error
