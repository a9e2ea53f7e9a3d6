"""Looks at every photo of a data set once and keeps what training reads: facts, crops and vectors of the face."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.progress import say, track
from visavis.core.settings import settings
from visavis.core.types import Face, Pixels
from visavis.faces import align, embed
from visavis.faces.analyse import central, embed_faces, find_faces, needs
from visavis.media.photo import decode_photo
from visavis.training.cache import Column, batched
from visavis.training.rows import Broken, Row, Source, rows
from visavis.training.splits import Labels, Split

BATCH = 128
RECIPE = 1  # changes whenever the same photo would give another face or crop
FACTS: list[Any] = [
    ("found", "?"),
    ("size", "<u2", 2),
    ("box", "<f4", 4),
    ("score", "<f4"),
    ("mesh", "<f4", (468, 3)),
    ("pose", "<f4", 3),
    ("expression", "<f4", 3),
    ("quality", "<f4", 5),
    ("padding", "<f4"),
]
QUALITY = ("size_px", "sharpness", "pose", "light", "covered")


def _crop(template: str) -> Callable[[Sequence[Face]], NDArray[Any]]:
    return lambda faces: np.stack([face.crop(template).pixels for face in faces])  # type: ignore[arg-type]


# What can be kept of a face: recipe, dtype, shape, and how it is made of faces.
MADE: dict[str, tuple[str, Any, tuple[int, ...], Callable[[Sequence[Face]], NDArray[Any]]]] = {
    "portrait": (f"{RECIPE}", "u1", (128, 128, 3), _crop("portrait")),
    "recognise": (f"{RECIPE}", "u1", (112, 112, 3), _crop("recognise")),
    "vector_a": (f"{RECIPE} {embed.RECIPE}", "<f4", (embed.LENGTH,), embed_faces),
}


FRAMES = "frames"  # the variant of what comes from a pack of frames: a little coarser than what the photos give


def column(name: str, variant: str = "") -> Column:
    """The column of this name as `prepare` makes it."""
    if name == "facts":
        return Column("facts", f"{RECIPE}", FACTS)
    recipe, dtype, shape, _ = MADE[name]
    return Column(name, f"{recipe} {variant}".strip(), dtype, shape)


@dataclass(frozen=True, eq=False)
class Prepared:
    """The rows of a data set on which a face was found, without their photos.

    keys: content hashes [N]; persons, splits, labels: of each; facts: structured array [N] (FACTS); variant: of the
    columns that hold what was made of them
    """

    name: str
    keys: list[bytes]
    persons: NDArray[Any]
    splits: NDArray[Any]
    labels: list[Labels]
    facts: NDArray[Any]
    without_face: int
    broken: Broken
    variant: str = ""

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, chosen: NDArray[Any]) -> Prepared:
        """The rows of a mask or index."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(
            self,
            keys=[self.keys[i] for i in index],
            persons=self.persons[index],
            splits=self.splits[index],
            labels=[self.labels[i] for i in index],
            facts=self.facts[index],
        )

    def column(self, name: str) -> Column:
        """The column of this name that holds these rows."""
        return column(name, self.variant)

    def part(self, split: Split) -> Prepared:
        return self.take(self.splits == split)


def prepare(data: Source, columns: Sequence[str], labels: Sequence[str] = ()) -> Prepared:
    """Rows of training and validation with a face, after filling the columns for those that are new.

    Test people are skipped before anything is computed of them: they are in no training cache. Raises InputError
    where nothing is left, or one person stands in two splits.
    """
    if data.frames:
        from visavis.training.frames import read

        return read(data, columns, labels)
    broken = Broken()
    weights.fetch(needs("yunet", embedding="vector_a" in columns))
    facts, made = column("facts"), {name: column(name) for name in columns}
    seen: dict[bytes, Row] = {}

    def new_rows() -> Iterator[list[Row]]:
        rows_ = track(_outside_test(data, broken, labels), f"looking at {data.name}")
        for batch in batched(rows_, BATCH):
            for row in batch:
                seen.setdefault(row.key, Row(b"", row.key, row.name, row.person, row.split, row.labels))
            yield _new(batch, facts, list(made.values()))

    for batch, look in looks(new_rows(), columns):
        for index, reason in look.errors.items():
            broken.add(batch[index].name, reason)
        fine = [i for i in range(len(batch)) if i not in look.errors]
        facts.add([batch[i].key for i in fine], look.facts[fine])
        found = [batch[i].key for i in np.flatnonzero(look.facts["found"])]
        for name, values in look.made.items():
            made[name].add(found, values)
    if broken.total:
        say(f"{data.name}: {broken.sentence()}")
    kept = [row for row in seen.values() if facts.rows([row.key])[0] >= 0]
    records = facts.take(facts.rows([row.key for row in kept]))
    shown = [row for row, is_face in zip(kept, records["found"], strict=True) if is_face]
    if not shown:
        raise InputError(
            f"{data.name} has no photo for training on which a face was found. {broken.sentence()}".strip()
        )
    persons, splits = np.array([row.person for row in shown]), np.array([row.split for row in shown])
    keys, all_labels = [row.key for row in shown], [row.labels for row in shown]
    without = len(kept) - len(shown)
    return Prepared(data.name, keys, persons, splits, all_labels, records[records["found"]], without, broken)


def _outside_test(data: Source, broken: Broken, labels: Sequence[str]) -> Iterator[Row]:
    held = _test_photos(data, labels)
    for row in rows(data, broken, labels):
        if row.split == "test":
            continue
        if row.key in held:
            broken.add(row.name, "the same photo stands in test")
            continue
        yield row


def _test_photos(data: Source, labels: Sequence[str]) -> set[bytes]:
    # A pass of its own: only when all rows were read is it known that a photo is nobody's of test.
    splits: dict[str, Split] = {}
    held = set()
    for row in rows(data, Broken(), labels):
        if row.person != row.key.hex() and splits.setdefault(row.person, row.split) != row.split:
            raise InputError(
                f"{data.name}: {row.person} stands in {splits[row.person]} and in {row.split}; "
                "a person belongs to one split."
            )
        if row.split == "test":
            held.add(row.key)
    return held


def _new(batch: list[Row], facts: Column, made: Sequence[Column]) -> list[Row]:
    keys = [row.key for row in batch]
    known = facts.rows(keys)
    missing = (known < 0) | np.any([column.rows(keys) < 0 for column in made], axis=0)
    # A photo without a face has facts and nothing else.
    looked_at = np.flatnonzero(missing & (known >= 0))
    missing[looked_at] = facts.array()["found"][known[looked_at]]
    return [row for row, is_missing in zip(batch, missing, strict=True) if is_missing]


@dataclass(frozen=True, eq=False)
class Look:
    """Of a batch: facts [N] (FACTS), the columns of the faces found, why rows could not be read."""

    facts: NDArray[Any]
    made: dict[str, NDArray[Any]]
    errors: dict[int, str]


def looks(batches: Iterable[list[Row]], columns: Sequence[str]) -> Iterator[tuple[list[Row], Look]]:
    """Each batch with what was seen on it, in order, worked out in a process for each core; nothing is stored.

    At most a few batches wait, so that a stream of millions is never held.
    """
    workers = settings().threads
    waiting: deque[tuple[list[Row], Future[Look]]] = deque()
    pool: ProcessPoolExecutor | None = None
    try:
        for batch in batches:
            if not batch:
                continue
            pool = pool or ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), one_thread)
            waiting.append((batch, pool.submit(_look, [row.image for row in batch], list(columns))))
            if len(waiting) > 2 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        if pool:
            pool.shutdown(wait=not waiting, cancel_futures=True)


def one_thread() -> None:
    """For the start of a process that works beside others, one on each core."""
    os.environ["VISAVIS_THREADS"] = "1"


def _look(images: Sequence[bytes], columns: Sequence[str]) -> Look:
    records = np.zeros(len(images), FACTS)
    faces, errors = [], {}
    for i, image in enumerate(images):
        try:
            photo = decode_photo(image)
            records[i]["size"] = photo.width, photo.height
            face = central(find_faces(photo))
            if face is not None:
                records[i] = _facts(face)
                faces.append(face)
        except InputError as error:
            errors[i] = str(error)
    return Look(records, {name: MADE[name][3](faces) for name in columns} if faces else {}, errors)


def _facts(face: Face) -> tuple[Any, ...]:
    values = [getattr(face.quality, name).value for name in QUALITY]
    size = (face.photo.width, face.photo.height)
    pose = (face.pose.yaw, face.pose.pitch, face.pose.roll)
    expression = (face.eyes_open, face.mouth_open, face.smile)
    return True, size, face.box, face.score, face.mesh, pose, expression, values, padding(face)


def resized(portraits: Pixels, size: int) -> Pixels:
    """uint8 [N, S, S, 3] -> [N, size, size, 3], as the exported networks do it: linear, without averaging."""
    from PIL import Image

    scale = portraits.shape[1] / size
    matrix = (scale, 0, 0, 0, scale, 0)
    pictures = (Image.fromarray(picture) for picture in portraits)
    transform, linear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return np.stack([np.asarray(p.transform((size, size), transform, matrix, linear)) for p in pictures])


def padding(face: Face) -> float:
    """Share of the portrait frame that lies outside the photo."""
    size = align.SIZES["portrait"]
    centres = np.stack(np.meshgrid(np.arange(4, size, 8), np.arange(4, size, 8)), -1).reshape(-1, 2)
    places = align.apply(align.invert(align.to_template(face.mesh, "portrait")), centres)
    inside = (places >= 0).all(1) & (places[:, 0] < face.photo.width) & (places[:, 1] < face.photo.height)
    return float(1 - inside.mean())
