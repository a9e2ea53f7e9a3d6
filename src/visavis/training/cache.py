"""What was computed once of each photo, in memory-mapped files: crops, vectors, landmarks, latents, captions.

A column is one kind of record made by one recipe; its key is the content hash of the photo, so that a photo which
lies in two data sets is looked at once. The records stand in `records.bin` in the order in which they came, their
keys in `keys.bin`; a record counts from the moment its key is written, so that a killed writer leaves a valid file.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.files import FULL, locked
from visavis.core.settings import private_folder, settings

KEY = 32  # bytes of a sha256
CHUNK = 512  # records read at a time: random reads from a cold file are slower than training


def key_of(photo: bytes) -> bytes:
    """The content hash of a photo's file."""
    return hashlib.sha256(photo).digest()


class Column:
    """Records of one dtype and shape, made by one recipe; the same name with another recipe is another column."""

    def __init__(self, name: str, recipe: str, dtype: Any, shape: Sequence[int] = ()) -> None:
        self.name, self.dtype, self.shape = name, np.dtype(dtype), tuple(shape)
        self.size = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        text = f"{recipe} {self.dtype.descr} {self.shape}"
        self.folder = settings().cache / "training" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self._rows: dict[bytes, int] = {}
        self._map: NDArray[Any] | None = None
        self._read_keys()

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be pickled as a copy of the whole file.
        return {**self.__dict__, "_map": None}

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """int64 [N]: where each photo's record stands, -1 where there is none."""
        return np.array([self._rows.get(key, -1) for key in keys], np.int64)

    def keys(self) -> list[bytes]:
        """All keys, in the order of the records."""
        return list(self._rows)

    def add(self, keys: Sequence[bytes], records: NDArray[Any]) -> None:
        """Appends the records whose photos have none yet. Raises InputError where the disk is full."""
        if records.shape != (len(keys), *self.shape) or records.dtype != self.dtype:
            raise ValueError(f"{self.name} takes {self.dtype} {list(self.shape)}, not {records.dtype} {records.shape}")
        private_folder(self.folder)
        with locked(self.folder / "lock"):
            self._read_keys()
            new = {key: i for i, key in enumerate(keys) if key not in self._rows}
            if not new:
                return
            try:
                at = len(self._rows)
                (self.folder / "size").write_text(str(self.size), "ascii")
                with _opened(self.folder / "records.bin") as file:
                    file.truncate(at * self.size)  # what a killed writer left beyond its last key
                    file.seek(0, os.SEEK_END)
                    file.write(np.ascontiguousarray(records[list(new.values())]).tobytes())
                with _opened(self.folder / "keys.bin") as file:
                    file.truncate(at * KEY)
                    file.seek(0, os.SEEK_END)
                    file.write(b"".join(new))
            except OSError as error:
                if error.errno not in FULL:
                    raise
                raise InputError(f"{self.folder} cannot grow: the disk is full. What was computed is kept.") from error
            for key in new:
                self._rows[key] = len(self._rows)

    def array(self) -> NDArray[Any]:
        """All records as a read-only memory map [N, *shape]."""
        if not self._rows:
            return np.empty((0, *self.shape), self.dtype)
        count = len(self._rows)
        if self._map is None or len(self._map) != count:
            self._map = np.memmap(self.folder / "records.bin", self.dtype, "r", shape=(count, *self.shape))
        return self._map

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The records of these rows, read in the order of the file."""
        order = np.argsort(rows, kind="stable")
        made = np.empty((len(rows), *self.shape), self.dtype)
        array = self.array()
        for start in range(0, len(rows), CHUNK):
            part = order[start : start + CHUNK]
            made[part] = array[rows[part]]
        return made

    def warm(self) -> None:
        """Reads the file once from front to back, so that the pages lie in memory."""
        with (self.folder / "records.bin").open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass

    def _read_keys(self) -> None:
        try:
            data = (self.folder / "keys.bin").read_bytes()
            whole = (self.folder / "records.bin").stat().st_size // self.size
        except (FileNotFoundError, NotADirectoryError):
            data, whole = b"", 0
        count = min(len(data) // KEY, whole)
        if count != len(self._rows):
            self._rows = {data[i * KEY : (i + 1) * KEY]: i for i in range(count)}


def forget(photos: Iterable[str]) -> int:
    """Overwrites what was computed of these photos (sha256, hex) in every column; how many records that were.

    Files that hold answers on whole sets go as well where one of the photos was among them: they are made again.
    """
    gone = {bytes.fromhex(photo) for photo in photos}
    top, count = settings().cache / "training", 0
    for path in sorted(top.glob("*/keys.bin")):
        with (
            locked(path.with_name("lock")),
            path.open("r+b") as keys,
            path.with_name("records.bin").open("r+b") as file,
        ):
            known = keys.read()
            rows = [i for i in range(len(known) // KEY) if known[i * KEY : (i + 1) * KEY] in gone]
            size = int(path.with_name("size").read_text("ascii"))
            file.truncate(len(known) // KEY * size)  # what a killed writer left may be of them, too
            for row in rows:
                file.seek(row * size)
                file.write(bytes(size))
                keys.seek(row * KEY)
                keys.write(os.urandom(KEY))  # nobody's: the place stays, so that others keep theirs
            count += len(rows)
    if count:
        for path in top.glob("*.npy"):
            path.unlink(missing_ok=True)
    return count


def shuffled(count: int, seed: int, window: int = 16 * CHUNK) -> NDArray[np.int64]:
    """int64 [count]: a permutation that reads a file in chunks: whole chunks in random order, mixed within windows.

    For sets that fit into one window it is a plain permutation.
    """
    random = np.random.default_rng(seed)
    if count <= window:
        return random.permutation(count)
    chunks = np.split(np.arange(count), range(CHUNK, count, CHUNK))
    order = np.concatenate([chunks[i] for i in random.permutation(len(chunks))])
    return np.concatenate([random.permutation(order[start : start + window]) for start in range(0, count, window)])


def batched(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _opened(path: Path) -> Any:
    try:
        return path.open("r+b")
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return path.open("w+b")
