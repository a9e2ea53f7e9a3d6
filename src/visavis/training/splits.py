"""Who is in training and who is not: the one place where splits are named.

Splits are by person and fixed by hash, so that no machine, order or added photo moves anybody to the other side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from visavis.core.catalogue import Terms
from visavis.core.errors import InputError
from visavis.core.settings import settings

Split = Literal["train", "val", "test"]
Labels = Mapping[str, Any]
Rule = Callable[[str, Labels], Split]
TEST_PEOPLE, VAL_PEOPLE = 100, 30  # of the 299 of `identity`
# Train people of `identity` who are test people under another name (7393, 7312, 7319, 7245), found by recogniser A and
# seen by eye: nobody trains on them.
TEST_TWINS = {"7310", "7317", "7320", "7392", "7396"}
# Training photos of `celebamask` that show test people of `identity` (mostly the same photo), found and seen likewise.
TEST_PHOTOS = {
    "e3126080d1724eb8bdade94754fe28b9",
    "c98d79f4f51348a2b37d36373fdebfd8",
    "d0ee02c31ee34d908c3203e0bd9f3c58",
    "e6d9fe2ba9c74e15ab1032dc7c2a744a",
    "571acd09aa194816a9784f5b100fec12",
    "ef55eaeb164b4f24b64e60b56f5b90a9",
    "02ff5f5a483c42e28ba9fde00b88cd12",
    "784fa5c5f00840f8ab3475163255c2a3",
    "c1c2243f0b984ce58a7a3357c3882987",
    "aa67bb8cbcc447d38a7c03dcc88c2fd5",
}


def share(person: str, *, test: float = 0.1, val: float = 0.1) -> Split:
    """The split of a person of a user's own set."""
    place = _hash(person) / 2**64
    return "test" if place < test else "val" if place < test + val else "train"


def half(key: str) -> int:
    """0 or 1: which half of the rows a network sees. What is in a loss may not judge, so each exists twice."""
    return _hash("half:" + key) % 2


def by_hash(persons: Sequence[str] | NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Which rows belong to the first `count` people in the order of their hashes."""
    chosen = set(sorted(set(map(str, persons)), key=_hash)[:count])
    return np.array([str(person) in chosen for person in persons], bool)


@dataclass(frozen=True)
class Known:
    """A data set below VISAVIS_DATA.

    files:  glob of its parquet files; person: the column that names the person ("": one photo a person)
    split:  from a person (or the photo's content hash) and the row's labels
    """

    files: str
    split: Rule
    terms: Terms
    person: str = ""
    labels: tuple[str, ...] = ()


def _column(person: str, labels: Labels) -> Split:
    """The set's own split; a part of its training rows, by hash, watches the training."""
    if labels["split"] != "train":
        return "test"
    return "val" if share(person, test=0, val=0.03) == "val" else "train"


def _identity(person: str, labels: Labels) -> Split:
    # The people are 299 names of CelebA; their order by hash was fixed when the set was made (its split.json).
    place = _identity_order(settings().data_sets).get(person)
    if place is None or person in TEST_TWINS:
        return "test"  # a stranger to the list is safest outside of training
    return "test" if place < TEST_PEOPLE else "val" if place < TEST_PEOPLE + VAL_PEOPLE else "train"


def _celebamask(person: str, labels: Labels) -> Split:
    return "test" if labels["name"] in TEST_PHOTOS else _column(person, labels)


def _by_photo(person: str, labels: Labels) -> Split:
    return share(person, test=0.2, val=0.05)


def _test(person: str, labels: Labels) -> Split:
    return "test"


KNOWN: dict[str, Known] = {
    "fairface": Known("fairface_*.parquet", _column, "permissive", labels=("age", "gender", "race", "split", "file")),
    "identity": Known("celeba_identity.parquet", _identity, "research-only", person="name", labels=("name", "file")),
    "utkface": Known("utkface.parquet", _by_photo, "research-only", labels=("age", "gender", "race", "file")),
    "celebamask": Known("celebamask.parquet", _celebamask, "research-only", labels=("mask", "name", "split")),
    "landmarks68": Known("landmarks68.parquet", _column, "research-only", labels=("points", "set", "split", "name")),
    "expression": Known("expression.parquet", _column, "research-only", labels=("expression", "split", "group")),
    "lfw": Known("lfw.parquet", _test, "research-only", person="name", labels=("name", "index")),
    "wild_photos": Known("wild_photos.parquet", _test, "research-only", labels=("people",)),
    "detect": Known("detect.parquet", _test, "research-only", labels=("boxes", "invalid")),
    "liveness_test": Known("liveness_test.parquet", _test, "research-only", person="group", labels=("live", "kind")),
}


@cache
def _identity_order(top: Path | None) -> dict[str, int]:
    path = (top or Path()) / "identity" / "split.json"
    try:
        parts = json.loads(path.read_text("utf-8")).values()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: it says whom of identity may be trained on.") from error
    names = [name for part in parts if isinstance(part, list) for name in part]
    return {name: i for i, name in enumerate(sorted(names, key=_digest))}


def _digest(person: str) -> str:
    return hashlib.sha256(f"visavis:{person}".encode()).hexdigest()


def _hash(text: str) -> int:
    return int(hashlib.sha256(f"visavis:{text}".encode()).hexdigest()[:16], 16)
