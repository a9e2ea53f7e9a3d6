"""Where REST and page bring what a client filled in: short tasks are done at once, long ones become jobs."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from visavis.app.serve.fields import filled
from visavis.app.serve.jobs import Busy, Job, Jobs
from visavis.app.serve.leftovers import SCRATCH, UPLOADS, empty
from visavis.app.serve.roots import Roots
from visavis.core.errors import InputError, VisavisError
from visavis.core.files import FULL
from visavis.core.progress import ended_after
from visavis.core.settings import private_folder, scratch, settings
from visavis.core.task import Task

MOST = 1000  # files of one short task
LONGEST = 100  # characters of an upload's name that are kept
GONE = "Somebody was forgotten meanwhile, and with them every photo that was just being read: send it again."


class Desk:
    """roots: folders that clients may name; jobs: the queue of long tasks; waiting: short tasks that may wait for a
    free core; seconds: that one may look at photos, whether its client still waits or not; forgotten: called when
    somebody was forgotten."""

    def __init__(self, roots: Roots, jobs: Jobs, waiting: int = 256, seconds: float = 120) -> None:
        self.roots, self.jobs, self.waiting, self.seconds = roots, jobs, waiting, seconds
        self.forgotten: Callable[[], None] = lambda: None
        # As many at a time as there are cores; of several photos each task opens threads of its own.
        self._pool = ThreadPoolExecutor(settings().threads, "short")
        self._places = threading.BoundedSemaphore(waiting + settings().threads)

    def short(self, task: Task, given: Mapping[str, Any], uploads: Mapping[str, Sequence[Upload]]) -> dict[str, Any]:
        """The document of a task that is done at once. Raises as the task does, InputError also for a failure that
        its document does not tell of, and Busy where too many wait."""
        return self.begun(task, given, uploads).result()

    def begun(
        self, task: Task, given: Mapping[str, Any], uploads: Mapping[str, Sequence[Upload]]
    ) -> Future[dict[str, Any]]:
        """As `short`, for those who wait otherwise."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"{self.waiting} others are waiting already; try again later.")
        made = self._pool.submit(self._short, task, given, uploads)
        made.add_done_callback(lambda _: self._places.release())
        return made

    def close(self) -> None:
        """Nothing that waits is begun any more, and what runs misses its photos and ends."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        empty()
        self._pool.shutdown()

    def within(self, work: Callable[[], Any]) -> Any:
        """Other work on photos, by as many threads as short tasks have."""
        return self._pool.submit(work).result()

    def _short(self, task: Task, given: Mapping[str, Any], uploads: Mapping[str, Sequence[Upload]]) -> dict[str, Any]:
        with self._told(), scratch(SCRATCH) as name, _there(Path(name), any(uploads.values())):
            inputs, options = filled(task, {**given, **_saved(uploads, Path(name))}, self.roots, None)
            _few(inputs)
            with ended_after(self.seconds):
                outcome = task.do(inputs, True, *((options,) if task.systems else ()))
            if task.name == "forget":
                self.forgotten()
            if outcome.failure and not _says_errors(outcome.document):
                raise InputError(outcome.failure)
            answer: dict[str, Any] = self.roots.told(outcome.document)
            return answer

    def long(self, task: Task, given: Mapping[str, Any], uploads: Mapping[str, Sequence[Upload]]) -> Job:
        """A job in the queue. Raises InputError for what cannot be asked, Busy where too many wait."""
        with self._told(), self.jobs.room() as (id, workplace), _there(workplace, any(uploads.values())):
            kept = {**given, **_saved(uploads, workplace)}
            inputs, options = filled(task, kept, self.roots, workplace / "files")
            return self.jobs.start(id, task.name, vars(inputs), options)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors leave without a path of this machine."""
        try:
            yield
        except VisavisError as error:
            raise type(error)(self.roots.told(str(error))) from error

    def told(self, job: Job, whole: bool = True) -> dict[str, Any]:
        """A job as clients see it, without where it lies. whole: with its document and the names of its files."""
        document = self.jobs.document(job.id) if whole and job.state == "done" else None
        answer: dict[str, Any] = self.roots.told(
            {
                "schema": "visavis.job/1",
                **{name: getattr(job, name) for name in ("id", "task", "state", "created", "ended", "restarts")},
                "progress": {"label": job.label, "done": job.done, "total": job.total},
                "error": job.failure,
                "error_kind": job.kind or None,
                **({"document": document, "files": list(self.jobs.files(job.id))} if whole else {}),
            }
        )
        return answer


@contextlib.contextmanager
def _there(workplace: Path, needed: bool) -> Iterator[None]:
    """Raises Busy in place of whatever came of uploads that forgetting took away in the middle."""
    try:
        yield
    except VisavisError as error:
        if not needed or workplace.is_dir():
            raise
        raise Busy(GONE) from error
    if needed and not workplace.is_dir():
        raise Busy(GONE)


@dataclass(frozen=True)
class Upload:
    """A photo that came from a client. name: as the client calls it."""

    name: str
    file: IO[bytes]


def file_name(said: str) -> str:
    """What an upload is called here: the last part of its name, without what no file system takes."""
    last = re.sub(r"[\x00-\x1f\x7f<>:\"|?*\\]", "_", said.replace("\\", "/").rpartition("/")[2]).strip(" .")
    while len(last.encode("utf-8", "surrogatepass")) > LONGEST:
        last = last[1:]  # from the front: the suffix says what it is
    return last.encode("utf-8", "replace").decode() or "photo"


def _saved(uploads: Mapping[str, Sequence[Upload]], workplace: Path) -> dict[str, Any]:
    """Where uploads lie now, by field; the record of a picture lies beside it and is no input itself."""
    made: dict[str, Any] = {}
    for name, several in uploads.items():
        records = [upload for upload in several if is_record(upload.name, [one.name for one in several])]
        pictures = [upload for upload in several if upload not in records]
        made[name] = []
        for i, upload in enumerate(pictures):
            folder = workplace / UPLOADS / f"{name}-{i}"
            made[name].append(_save(upload, folder))
            for record in records:
                if Path(file_name(record.name)).stem == Path(made[name][-1]).stem:
                    _save(record, folder)
    return made


def is_record(name: str, sent: Iterable[str]) -> bool:
    """Whether it is the NAME.json of another file that is sent along."""
    own = Path(file_name(name))
    return own.suffix == ".json" and any(Path(file_name(one)).stem == own.stem for one in sent if one != name)


def _save(upload: Upload, folder: Path) -> str:
    path = private_folder(folder) / file_name(upload.name)
    try:
        with path.open("wb") as file:
            upload.file.seek(0)
            shutil.copyfileobj(upload.file, file, 2**20)
    except OSError as error:
        why = "there is no space left here" if error.errno in FULL else error.strerror
        raise InputError(f"{path.name} was not taken: {why}.") from error
    return str(path)


def _few(inputs: Any) -> None:
    """Raises InputError for more files below folders than are looked at while a client waits."""
    places = [one for value in vars(inputs).values() if isinstance(value, list) for one in value]
    folders = [place for place in places if isinstance(place, str) and Path(place).is_dir()]
    count = 0
    for _, _, names in itertools.chain.from_iterable(map(os.walk, folders)):
        count += len(names)
        if count > MOST:
            raise InputError(f"More than {MOST:,} files lie there: name a folder below it, or use the command line.")


def _says_errors(document: Mapping[str, Any]) -> bool:
    """Whether a document itself tells what was not done, photo by photo."""
    return any(
        isinstance(rows, list) and any("error" in row for row in rows if isinstance(row, dict))
        for rows in document.values()
    )
