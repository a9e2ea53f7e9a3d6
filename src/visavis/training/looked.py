"""What a person wants to know of a data set before training on it: counts, faces, broken rows, doubles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.core.progress import track
from visavis.core.types import Floats, Pixels
from visavis.faces import align
from visavis.faces.analyse import needs
from visavis.faces.score import standardised
from visavis.media.photo import decode_photo
from visavis.media.sheet import grid
from visavis.media.write import write_png
from visavis.training.cache import batched
from visavis.training.doubles import DOUBLE
from visavis.training.prepare import BATCH, Prepared, column, looks, prepare
from visavis.training.rows import Broken, Source, rows, source
from visavis.training.splits import Labels

SPLITS = ("train", "val", "test")
FACES = {"train": 36, "val": 12}
FEW = 16  # values of a column that is worth counting
PAIRS = 50
CHUNK = 1024
MOST = 100_000  # faces compared with each other: about a minute on two cores, growing with the square


def look_at(data: str, out: Path, doubles: bool) -> Iterator[str]:
    """Lines for a person; writes `out/NAME.png` and, with doubles, `out/NAME-doubles.png`.

    Raises InputError where there is no such set, or no face outside of test.
    """
    src = source(data)
    told = _Told()
    for row in track(rows(src, told.broken), f"counting {src.name}"):
        told.add(row.key, row.person, row.split, row.labels)
    yield from told.lines(src.name)
    if set(told.photos) <= {"test"}:
        if told.broken.total:
            yield told.broken.sentence()
        yield "No photo is for training: there is nothing to draw."
        return
    prepared = prepare(src, ["vector_a"] if doubles else [])
    yield f"no face: {prepared.without_face} of {len(prepared) + prepared.without_face} photos outside of test"
    if prepared.broken.total:
        yield prepared.broken.sentence()
    width, height = np.median(prepared.facts["size"], axis=0).astype(int)
    yield f"median size: {width} x {height} px"
    chosen = np.concatenate([_evenly(np.flatnonzero(prepared.splits == split), FACES[split]) for split in FACES])
    meshes = {prepared.keys[i]: prepared.facts["mesh"][i] for i in chosen}
    pictures = _portraits(src, meshes)
    path = out / f"{src.name}.png"
    write_png(path, grid(list(pictures.values()), 12))
    yield f"{len(pictures)} faces: {path}"
    if doubles:
        yield from _doubles(src, prepared, out / f"{src.name}-doubles.png")


@dataclass
class _Told:
    """Counts of a stream."""

    broken: Broken = field(default_factory=Broken)
    photos: Counter[str] = field(default_factory=Counter)
    persons: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    values: defaultdict[str, Counter[Any]] = field(default_factory=lambda: defaultdict(Counter))
    keys: dict[bytes, str] = field(default_factory=dict)
    again: int = 0
    across: int = 0

    def add(self, key: bytes, person: str, split: str, labels: Labels) -> None:
        self.photos[split] += 1
        self.persons[split].add(person)
        if key in self.keys:
            self.again += 1
            self.across += self.keys[key] != split
        self.keys.setdefault(key, split)
        for name, value in labels.items():
            # One value more than is few: then it is known that there are many, and no more are kept.
            if isinstance(value, (str, bool, int)) and len(self.values[name]) <= FEW:
                self.values[name][value] += 1

    def lines(self, name: str) -> Iterator[str]:
        yield f"{name}: {self.photos.total()} photos"
        for split in SPLITS:
            yield f"{split}: {self.photos[split]} photos of {len(self.persons[split])} persons"
        for label, values in self.values.items():
            if len(values) <= FEW:
                yield f"{label}: {', '.join(f'{value} {count}' for value, count in values.most_common())}"
        if self.again:
            yield f"the same photo again: {self.again}, {self.across} of them in another split (test keeps those)"


def _evenly(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)] if len(index) else index


def _portraits(data: Source, meshes: dict[bytes, Floats]) -> dict[bytes, Pixels]:
    """The portrait of each photo of these keys, in the order of the keys."""
    made: dict[bytes, Pixels] = {}
    for row in rows(data, Broken()):
        if row.key in meshes and row.key not in made:
            made[row.key] = align.crop(decode_photo(row.image).pixels, meshes[row.key], "portrait").pixels
            if len(made) == len(meshes):
                break
    return {key: made[key] for key in meshes}


@dataclass(frozen=True, eq=False)
class _Faces:
    """keys, persons, splits, meshes [N], vectors float32 [N, 128] of A: standardised, unit length."""

    keys: list[bytes]
    persons: NDArray[Any]
    splits: NDArray[Any]
    meshes: Floats
    vectors: Floats


def _doubles(data: Source, prepared: Prepared, path: Path) -> Iterator[str]:
    faces = _all_faces(data, prepared)
    if len(faces.keys) > MOST:
        yield f"doubles: looked for among {MOST} of {len(faces.keys)} faces"
    pairs, above, across = closest(faces.persons, faces.splits, faces.vectors)
    yield f"doubles: {above} pairs of different persons above {DOUBLE} by A, {across} of them in two splits"
    if not pairs:
        return
    for score, i, j in [pair for pair in pairs if pair[0] > DOUBLE and faces.splits[pair[1]] != faces.splits[pair[2]]]:
        one, other = (f"{faces.persons[k][:12]} ({faces.splits[k]})" for k in (i, j))
        yield f"  {score:.3f} {one} and {other}"
    meshes = {faces.keys[k]: faces.meshes[k] for _, i, j in pairs for k in (i, j)}
    portraits = _portraits(data, meshes)
    tiles = [
        _tile(portraits[faces.keys[i]], portraits[faces.keys[j]], f"{score:.3f}  {faces.splits[i]}  {faces.splits[j]}")
        for score, i, j in pairs
    ]
    write_png(path, grid(tiles, 5))
    yield f"the {len(pairs)} closest pairs: {path}"


def _all_faces(data: Source, prepared: Prepared) -> _Faces:
    """Those of training from the cache; those of test are looked at now and stay in memory."""
    stored = column("vector_a")
    keys, persons, splits = list(prepared.keys), list(prepared.persons), list(prepared.splits)
    meshes, vectors = [prepared.facts["mesh"]], [stored.take(stored.rows(keys))]
    weights.fetch([*needs("yunet", embedding=True), "cohort"])
    test = (row for row in rows(data, Broken()) if row.split == "test")
    for batch, look in looks(batched(track(test, "looking at test"), BATCH), ["vector_a"]):
        found = np.flatnonzero(look.facts["found"])
        if not len(found):
            continue
        keys += [batch[i].key for i in found]
        persons += [batch[i].person for i in found]
        splits += ["test"] * len(found)
        meshes.append(look.facts["mesh"][found])
        vectors.append(look.made["vector_a"])
    chosen = _evenly(np.arange(len(keys)), MOST)
    return _Faces(
        [keys[i] for i in chosen],
        np.array(persons)[chosen],
        np.array(splits)[chosen],
        np.concatenate(meshes)[chosen],
        standardised(np.concatenate(vectors)[chosen]),
    )


def closest(
    persons: NDArray[Any], splits: NDArray[Any], vectors: Floats
) -> tuple[list[tuple[float, int, int]], int, int]:
    """Pairs of different persons that matter: in two splits, or both in train.

    Gives the PAIRS closest (score, i, j), one for two persons, how many pairs lie above DOUBLE, and how many of those
    stand in two splits.
    """
    _, who = np.unique(persons, return_inverse=True)
    _, where = np.unique(splits, return_inverse=True)
    train = splits == "train"
    best: list[tuple[float, int, int]] = []
    above = across = 0
    for start in track(range(0, len(vectors), CHUNK), "comparing"):
        stop = start + CHUNK
        scores = vectors[start:stop] @ vectors[start:].T
        apart = where[start:stop, None] != where[None, start:]
        counts = (who[start:stop, None] != who[None, start:]) & (apart | train[start:stop, None])
        scores[~np.triu(counts, 1)] = -2
        high = scores > DOUBLE
        above, across = above + int(high.sum()), across + int((high & apart).sum())
        best = _first_of_two(best, scores, start, who)
    return best, above, across


def _first_of_two(
    best: list[tuple[float, int, int]], scores: Floats, start: int, who: Sequence[int] | NDArray[np.int64]
) -> list[tuple[float, int, int]]:
    # Two persons may share hundreds of the closest pairs: so many of a chunk are looked through.
    flat = scores.ravel()
    top = np.argpartition(flat, -min(len(flat), 100 * PAIRS))[-100 * PAIRS :] if len(flat) else np.empty(0, np.int64)
    rows_, columns = np.unravel_index(top, scores.shape)
    new = zip(scores[rows_, columns].tolist(), (rows_ + start).tolist(), (columns + start).tolist(), strict=True)
    one: dict[tuple[int, int], tuple[float, int, int]] = {}
    for score, i, j in sorted([*best, *(pair for pair in new if pair[0] > -2)], reverse=True):
        one.setdefault((min(who[i], who[j]), max(who[i], who[j])), (score, i, j))
    return list(one.values())[:PAIRS]


def _tile(a: Pixels, b: Pixels, words: str) -> Pixels:
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", (a.shape[1] + b.shape[1] + 8, a.shape[0] + 16), "white")
    tile.paste(Image.fromarray(a), (0, 0))
    tile.paste(Image.fromarray(b), (a.shape[1], 0))
    ImageDraw.Draw(tile).text((2, a.shape[0] + 2), words, fill="black")
    return np.asarray(tile)
