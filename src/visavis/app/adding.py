"""Adding photos, videos and folders to an album: what is known is skipped, each file is one transaction."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from visavis.core import weights
from visavis.core.errors import InputError, VisavisError, missing_extra
from visavis.core.files import sha256_of
from visavis.faces.analyse import needs
from visavis.media import paths
from visavis.media.folder import walk
from visavis.media.regions import read_regions
from visavis.media.video import is_video
from visavis.people import schema
from visavis.people.photos import (
    FileFacts,
    add_known,
    add_photo,
    add_suggestions,
    has_forgotten,
    is_unchanged,
    missing_below,
)
from visavis.people.record import PhotoRecord, look_at, look_at_video
from visavis.people.store import Store
from visavis.run.jobs import run


@dataclass
class Report:
    """counts: files by what became of them; faces: new in the album; left_out: faces of forgotten people;
    skipped: (path, reason) of what is no photo or could not be read; gone: files that are no longer there;
    names: suggestions that were read from photos."""

    counts: Counter[str] = field(default_factory=Counter)
    faces: int = 0
    left_out: int = 0
    names: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass
class AddJob:
    """The job of run/: each item is a file that must be looked at."""

    store: Store
    sources: Sequence[str | os.PathLike[str]]
    bring_back: bool = False
    read_names: bool = False
    report: Report = field(default_factory=Report)
    seen: set[str] = field(default_factory=set)
    label: str = "adding"

    @property
    def work(self) -> Callable[[FileFacts], PhotoRecord]:
        return _look

    def items(self) -> Iterator[FileFacts]:
        for path, problem in walk(self.sources):
            if problem and not (problem.startswith("not a photo by its suffix") and is_video(path)):
                self.report.skipped.append((str(path), problem))
                continue
            try:
                facts = _facts(path)
            except (OSError, InputError) as error:
                self._skip(str(path), error)
                continue
            self.seen.add(facts.path)
            try:
                known = self._known(facts)
            except OSError as error:  # only of the file: what the album itself raises ends the run
                self._skip(str(path), error)
                continue
            if known:
                self._suggest(facts.path)
            else:
                yield facts

    def keep(self, item: FileFacts, made: PhotoRecord) -> None:
        with self.store.write() as connection:
            # A copy of the same photo may have been kept since the look at this one began.
            copy = None if self.bring_back else add_known(connection, item, made.sha256)
            added = copy or add_photo(connection, item, made, bring_back=self.bring_back)
        self.report.faces += 0 if copy else added.faces
        self.report.counts[added.status] += 1
        if added.problem:
            self.report.skipped.append((item.path, added.problem))
        else:
            self._suggest(item.path)

    def failed(self, item: FileFacts, error: VisavisError) -> None:
        self._skip(item.path, error)

    def _known(self, facts: FileFacts) -> bool:
        """Whether the file needs no look; its other name or date is noted."""
        with self.store.read() as connection:
            if self.bring_back and has_forgotten(connection, facts):
                return False
            if is_unchanged(connection, facts):
                self.report.counts["unchanged"] += 1
                return True
        digest = sha256_of(Path(facts.path))
        with self.store.write() as connection:
            added = add_known(connection, facts, digest)
            if added is not None and self.bring_back and has_forgotten(connection, facts):
                return False
        if added is not None:
            self.report.counts[added.status if not added.problem else "unchanged"] += 1
        return added is not None

    def _suggest(self, path: str) -> None:
        if not self.read_names or is_video(path):
            return
        try:
            regions = read_regions(path)
        except InputError:  # no photo that can be opened, or gone since
            return
        if regions:
            with self.store.write() as connection:
                self.report.names += add_suggestions(connection, path, regions)

    def _skip(self, path: str, error: Exception) -> None:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.report.skipped.append((path, text))


def add(
    store: Store,
    sources: Sequence[str | os.PathLike[str]],
    *,
    bring_back: bool = False,
    read_names: bool = False,
    processes: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report:
    """Adds what is new or changed below the sources. Interrupted in between, the same call again does the rest."""
    weights.fetch([*needs("yunet", embedding=True), "cohort", "false_match_table", "child"])
    job = AddJob(store, sources, bring_back, read_names)
    if run(job, processes=processes, cancelled=cancelled):
        folders = [os.path.abspath(source) for source in sources if os.path.isdir(source)]
        with store.write() as connection:
            job.report.gone = missing_below(connection, folders, job.seen)
    with store.read() as connection:
        job.report.left_out = _left_out(connection, job.seen)
    return job.report


def _facts(path: Path) -> FileFacts:
    """Raises OSError, and InputError for what no album can hold."""
    facts, called = FileFacts.of(path), paths.shown(path)
    if word := paths.kind(paths.status(path).st_mode):
        raise InputError(f"{called} is {word}, not a photo.")
    if not facts.size:
        raise InputError(f"{called} is empty (0 bytes).")
    try:
        facts.path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{called} has a name that is no text; rename it.") from None
    if is_video(path) and importlib.util.find_spec("av") is None:
        raise missing_extra("video", "Reading a video")
    return facts


def _look(facts: FileFacts) -> PhotoRecord:
    try:
        return look_at_video(facts.path) if is_video(facts.path) else look_at(facts.path)
    except OSError as error:
        raise paths.failure(facts.path, error, "read") from error


def _left_out(connection: sa.Connection, seen: set[str]) -> int:
    """Faces of forgotten people on these files, whether they were looked at now or before."""
    rows = connection.execute(
        sa.select(schema.forgotten.c.id, schema.file.c.path)
        .join(schema.photo, schema.photo.c.sha256 == schema.forgotten.c.sha256)
        .join(schema.file, schema.file.c.photo_id == schema.photo.c.id)
    )
    return len({face for face, path in rows if path in seen})
