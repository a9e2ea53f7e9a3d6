"""`visavis bench recognise`: how well faces are told apart, ours and face_recognition's on the same photos (LFW), and
whole photos from end to end (wild_photos). Nothing is tuned here."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.bench import wild
from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.peer import Peer
from visavis.bench.vectors import data_folder, decode, parquet_rows, vector_set
from visavis.bench.verify import best_threshold
from visavis.core.settings import private_folder, settings
from visavis.core.types import Floats
from visavis.faces import align
from visavis.faces.analyse import central, find_faces
from visavis.faces.embed import embed_chips
from visavis.faces.score import calibration, scores

RATES = (1e-2, 1e-3, 1e-4)
CHIPS = 50
CHUNK = 1024


class Score(Protocol):
    """Scores [N, M] of rows a against rows b, higher for more alike."""

    def __call__(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Lfw:
    """names: [N] of the photos; a, b: [6000] rows of the pairs; same, fold: [6000]"""

    names: NDArray[Any]
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    same: NDArray[np.bool_]
    fold: NDArray[np.intp]


def run() -> None:
    """Writes results/recognise.json."""
    started = time.time()
    ours = vector_set("lfw", ["lfw.parquet"], ["name", "index"])
    lfw = protocol(ours.labels["name"], ours.labels["index"])
    figures = measures("lfw", lfw, normalised(ours.vectors), ours.found)
    figures += measures("lfw.distance", lfw, distance(ours.vectors), ours.found)
    notes = ["lfw.*: the score of `compare`; lfw.distance.* and peer.*: plain distance of the vectors"]
    with Peer() as peer:
        facts = peer.ask("info")
        theirs = _peer_vectors(peer)
        found = np.abs(theirs).sum(1) > 0
        figures += measures("peer.lfw", lfw, distance(theirs.astype(np.float32)), found)
        figures.append(_cosine_with_dlib(peer))
    notes.append(f"peer: face_recognition {facts['face_recognition']} on dlib {facts['dlib']}")
    figures += wild.figures()
    write("recognise", figures, seed=0, started=started, notes=notes)


def protocol(names: NDArray[Any], index: NDArray[Any]) -> Lfw:
    """LFW's 6,000 pairs as rows of the photos."""
    row_of = {(str(name), int(i)): row for row, (name, i) in enumerate(zip(names, index, strict=True))}
    columns = ["fold", "name_a", "index_a", "name_b", "index_b", "same"]
    pairs = list(parquet_rows([data_folder("lfw") / "lfw_pairs.parquet"], columns))
    return Lfw(
        names=names,
        a=np.array([row_of[p["name_a"], p["index_a"]] for p in pairs]),
        b=np.array([row_of[p["name_b"], p["index_b"]] for p in pairs]),
        same=np.array([p["same"] for p in pairs], bool),
        fold=np.array([p["fold"] for p in pairs]),
    )


def measures(prefix: str, lfw: Lfw, score: Score, found: NDArray[np.bool_]) -> list[Figure]:
    """Accuracy by the ten folds and true accepts at three false-accept rates; a face not found is an error."""
    seen = found[lfw.a] & found[lfw.b]
    of_pairs = np.concatenate(
        [np.diagonal(score(lfw.a[i : i + 200], lfw.b[i : i + 200])) for i in range(0, len(lfw.a), 200)]
    )
    right = correct_by_folds(of_pairs, lfw.same, lfw.fold) & seen
    people = lfw.names[lfw.a]
    figures = [
        Figure(f"{prefix}.accuracy", float(right.mean()), *bootstrap(right, units=people), n=len(right)),
        Figure(f"{prefix}.not_found", float((~found).sum()), unit="photos", better="lower", n=len(found)),
    ]
    strangers = stranger_scores(lfw.names, score, found)
    same, named = of_pairs[lfw.same], people[lfw.same]
    for rate, limit in zip(RATES, limits(strangers, RATES), strict=True):
        accepted = (same > limit) & seen[lfw.same]
        name = f"{prefix}.tar_at_far_{rate:.0e}".replace("e-0", "e-")
        figures.append(Figure(name, float(accepted.mean()), *bootstrap(accepted, units=named), n=len(accepted)))
    return figures


def correct_by_folds(scores: Floats, same: NDArray[np.bool_], fold: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which pairs are told right, each fold by the threshold that is best on the others."""
    right = np.zeros(len(scores), bool)
    for held in np.unique(fold):
        rest = fold != held
        right[~rest] = (scores[~rest] > best_threshold(scores[rest], same[rest])) == same[~rest]
    return right


def stranger_scores(names: NDArray[Any], score: Score, found: NDArray[np.bool_]) -> Floats:
    """Scores of all pairs of found faces with different names, each pair once."""
    _, person = np.unique(names, return_inverse=True)
    rows = np.flatnonzero(found)
    parts = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        keep = (part[:, None] < rows[None, start:]) & (person[part][:, None] != person[rows[start:]][None])
        parts.append(score(part, rows[start:])[keep])
    return np.concatenate(parts)


def limits(strangers: Floats, rates: tuple[float, ...]) -> list[float]:
    """For each rate the score that at most this share of the strangers exceeds."""
    allowed = [int(len(strangers) * rate) for rate in rates]
    ranked = -np.partition(-strangers, allowed)
    return [float(ranked[count]) for count in allowed]


def distance(vectors: Floats) -> Score:
    """Plain Euclidean distance: squared and negative, which is the same order. Vectors need no unit length."""
    squares = (vectors**2).sum(1)

    def score(a: NDArray[np.intp], b: NDArray[np.intp]) -> Floats:
        return np.asarray(2 * vectors[a] @ vectors[b].T - squares[a][:, None] - squares[b][None], np.float32)

    return score


def normalised(vectors: Floats) -> Score:
    """The score of `compare`."""
    cohort = calibration().cohort
    statistics = cohort.statistics(vectors)

    def score(a: NDArray[np.intp], b: NDArray[np.intp]) -> Floats:
        return scores(vectors[a], vectors[b], statistics[a], statistics[b])

    return score


def _peer_vectors(peer: Peer) -> NDArray[np.float64]:
    """The peer's vector of each LFW photo, zeros where it finds nobody; kept in the cache: it takes minutes."""
    file = data_folder("lfw") / "lfw.parquet"
    with file.open("rb") as opened:
        key = hashlib.file_digest(opened, "sha256").hexdigest()
    facts = peer.ask("info")
    key = hashlib.sha256(f"{key} {facts['dlib']} {facts['face_recognition']}".encode()).hexdigest()[:16]
    kept: Path = settings().cache / "vectors" / f"peer-lfw-{key}.npy"
    if not kept.exists():
        private_folder(kept.parent)
        photos = []
        for number, row in enumerate(parquet_rows([file], ["image"])):
            photos.append(peer.file(f"{number}.img"))
            photos[-1].write_bytes(row["image"])
        out = peer.file("lfw.npy")
        peer.ask("photos", photos=[str(photo) for photo in photos], out=str(out))
        part = kept.with_suffix(".part")
        part.write_bytes(out.read_bytes())
        part.replace(kept)
    vectors: NDArray[np.float64] = np.load(kept)
    return vectors


def _cosine_with_dlib(peer: Peer) -> Figure:
    """The smallest cosine between our graph's vectors and dlib's own, given the same chips."""
    chips: list[NDArray[np.uint8]] = []
    for row in parquet_rows([data_folder("lfw") / "lfw.parquet"], ["image"]):
        pixels = decode(row["image"])
        face = central(find_faces(pixels))
        if face:
            chips.append(align.crop(pixels, face.mesh, "dlib").pixels)
        if len(chips) == CHIPS:
            break
    theirs, _, _ = peer.embed(np.stack(chips))
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    cosines = (embed_chips(np.stack(chips), mirror=False) * theirs).sum(1)
    return Figure("dlib.cosine_min", float(cosines.min()), unit="cosine", n=len(chips))
