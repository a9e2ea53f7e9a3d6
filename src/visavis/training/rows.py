"""Rows of a data set, streamed: parquet, WebDataset tars and folders through `datasets`.

A row that cannot be read is counted and named, never fatal; a file that cannot be read at all is.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from visavis.core.catalogue import Terms
from visavis.core.errors import InputError, missing_extra
from visavis.core.settings import settings
from visavis.media.folder import walk
from visavis.training import splits
from visavis.training.cache import key_of
from visavis.training.splits import KNOWN, Known, Labels, Split

IMAGES = ("image", "jpg", "jpeg", "png", "webp")  # columns (parquet) or endings (tars) that hold the picture
NAMED = 5  # broken rows that are named one by one


@dataclass(frozen=True)
class Row:
    """image: the photo's file; key: its content hash; person: who, or the key where each photo is its own person."""

    image: bytes = field(repr=False)
    key: bytes
    name: str
    person: str
    split: Split
    labels: Labels


@dataclass
class Broken:
    """What was skipped: how many by reason, and the first names."""

    reasons: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        self.reasons[reason] += 1
        if len(self.names) < NAMED:
            self.names.append(f"{name} ({reason})")

    @property
    def total(self) -> int:
        return self.reasons.total()

    def sentence(self) -> str:
        """For a person; empty where nothing was skipped."""
        if not self.total:
            return ""
        more = f" and {self.total - len(self.names)} more" if self.total > len(self.names) else ""
        return f"{self.total} rows skipped: {', '.join(self.names)}{more}"


@dataclass(frozen=True)
class Source:
    """Where rows come from: a data set by its name below VISAVIS_DATA, or a user's folder, .parquet or .tar."""

    name: str
    files: tuple[Path, ...]
    kind: str
    known: Known | None = None

    @property
    def person(self) -> str:
        return self.known.person if self.known else "person"

    @property
    def terms(self) -> Terms:
        """Of a known set, or as `data pack` wrote them into its file; else unknown."""
        if self.known:
            return self.known.terms
        return next((terms for terms in get_args(Terms) if self._written("terms") == {terms}), "unknown")

    @property
    def frames(self) -> bool:
        """A pack of frames (`data pack --frames`), not of photos."""
        return self.known is None and self._written("holds") == {"frames"}

    def _written(self, what: str) -> set[str]:
        """What `data pack` wrote into its files."""
        if self.kind != "parquet":
            return set()
        import pyarrow.parquet as pq

        try:
            return {(pq.read_schema(path).metadata or {}).get(what.encode(), b"").decode() for path in self.files}
        except (OSError, pq.lib.ArrowInvalid):
            return set()  # what is wrong with the file is said when it is read

    def split(self, person: str, labels: Labels) -> Split:
        """A user's own column `split` decides, else the hash. Raises InputError where it says another word."""
        if self.known:
            return self.known.split(person, labels)
        own = labels.get("split")
        if own is None:
            return splits.share(person)
        if own not in get_args(Split):
            raise InputError(f"{self.name}: the column 'split' says {own!r}; it takes train, val or test.")
        return cast(Split, own)


def source(data: str | Path) -> Source:
    """Raises InputError where there is no such data set, folder or file, or no picture in it.

    A known data set keeps its rule of splits however it is named: by its name, or by the path of its folder or files.
    """
    top = settings().data_sets
    by_name = top / data if top and isinstance(data, str) and data in KNOWN and (top / data).is_dir() else None
    path = by_name or Path(data).expanduser()
    folder = (path if path.is_dir() else path.parent).resolve()
    known = KNOWN.get(folder.name)
    files = tuple(sorted(folder.glob(known.files))) if known else ()
    if known and by_name and not files:
        raise InputError(f"{path} holds no {known.files}.")
    if files and path.resolve() in (*files, folder):
        return Source(folder.name, files if path.is_dir() else (path,), "parquet", known)
    if path.is_dir():
        for kind in ("parquet", "tar"):
            if files := tuple(sorted(path.glob(f"*.{kind}"))):
                return Source(path.name, files, kind)
        if all(problem is not None for _, problem in walk([path])):
            raise InputError(f"{path} holds no photos, .parquet or .tar files.")
        return Source(path.name, (path,), "folder")
    if path.is_file() and path.suffix in (".parquet", ".tar"):
        return Source(path.stem, (path,), path.suffix[1:])
    if str(data) in KNOWN:
        raise InputError(f"This needs the data set {data}: set VISAVIS_DATA to the folder that holds {data}/.")
    raise InputError(f"{data} is no folder, .parquet or .tar file and no data set; known are {', '.join(KNOWN)}.")


def rows(data: Source, broken: Broken, labels: Sequence[str] = ()) -> Iterator[Row]:
    """All rows in order. labels: columns that must be there. Raises InputError for a file that is damaged."""
    if data.kind == "folder" and labels:
        raise InputError(f"{data.name} is a folder of photos without labels; {labels[0]} comes with .parquet or .tar.")
    yield from _photos(data, broken) if data.kind == "folder" else _streamed(data, broken, labels)


def _photos(data: Source, broken: Broken) -> Iterator[Row]:
    top = data.files[0]
    for path, problem in walk([top]):
        name = str(path.relative_to(top)) if path.is_relative_to(top) else str(path)
        if problem is not None:
            broken.add(name, problem)
            continue
        try:
            image = path.read_bytes()
        except OSError as error:
            broken.add(name, error.strerror or "unreadable")
            continue
        key = key_of(image)
        person = path.parent.relative_to(top).as_posix() if path.parent != top else key.hex()
        yield Row(image, key, name, person, data.split(person, {}), {})


def _streamed(data: Source, broken: Broken, labels: Sequence[str]) -> Iterator[Row]:
    wanted = [*labels, *(data.known.labels if data.known else ())]
    for path in data.files:
        for number, record in enumerate(_load(path, data.kind)):
            name = f"{path.name}:{record.get('file') or record.get('__key__') or number}"
            image = next((record[column] for column in IMAGES if record.get(column) is not None), None)
            if number == 0:
                _check_columns(path, record, wanted)
            image = image.get("bytes") if isinstance(image, dict) else image
            if not isinstance(image, bytes) or not image:
                broken.add(name, "no picture")
                continue
            values = {k: v for k, v in record.items() if k not in IMAGES} | (record.get("json") or {})
            key = key_of(image)
            named = values.get(data.person)
            person = key.hex() if named is None or named == "" else str(named)
            yield Row(image, key, name, person, data.split(person, values), values)


def _check_columns(path: Path, record: dict[str, Any], wanted: Sequence[str]) -> None:
    if not any(column in record for column in IMAGES):
        raise InputError(f"{path} has no column {IMAGES[0]!r} with pictures; it has {', '.join(record)}.")
    labels = record.keys() | (record.get("json") or {}).keys()
    missing = [column for column in wanted if column not in labels]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; it has {', '.join(sorted(labels))}.")


def _load(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    # Nothing of ours asks a hub for anything; these say so to the library, and where it may keep files.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HOME", str(settings().cache / "hub"))
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise missing_extra("ml", "Reading data sets for training") from error
    # What the library logs of a damaged file is said once, by the error.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    builder = {"parquet": "parquet", "tar": "webdataset"}[kind]
    try:
        stream = datasets.load_dataset(builder, data_files=glob.escape(str(path)), split="train", streaming=True)
        for column, feature in (stream.features or {}).items():
            if isinstance(feature, datasets.Image):
                stream = stream.cast_column(column, datasets.Image(decode=False))
        yield from stream
    except Exception as error:  # on damaged files the readers raise nearly anything
        reason = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise InputError(f"{path} cannot be read as {kind}: {reason}.") from error
