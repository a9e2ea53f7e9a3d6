"""Which faces are one person: average linkage over normalised scores, under what is known.

Plain chaining joins two people through one poor photo between them; the mean over all pairs of two groups does not.
Pure numbers: no database, no photo.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Floats
from visavis.faces.score import Cohort, scores

# Chosen on CelebA's train people (visavis bench cluster); the first two are of vectors drawn to their neighbours.
JOIN = 7.0  # two groups whose pairs score this much on average are one person
ASK = 5.5  # two groups above this are worth a question
EDGE = 3.0  # pairs below count as this much
NEAR, NEAR_SCORE = 8, 4.0  # neighbours that a vector is drawn to, and what they score at least
ALIKE = 9.0  # score from which a neighbour counts as much as the vector itself
PLAIN_EDGE = 1.6
POOR_JOIN = 3.5  # mean score from which a face that is poor for comparing belongs to a group
IDENTICAL = 0.2  # Euclidean distance of one picture seen twice: a mirror, a collage, a burst
NEIGHBOURS = 200  # pairs kept for each face
CHUNK = 1024
Links = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Faces:
    """vectors: float32 [N, L]; statistics: float32 [N, 2] of the cohort; photo, moment: [N] numbers, faces of one
    moment are one vote; person: [N], whom a user named, -1 for nobody; good: bool [N], may found a person;
    apart: pairs of rows that a user called different people."""

    vectors: Floats
    statistics: Floats
    photo: NDArray[np.int64]
    moment: NDArray[np.int64]
    person: NDArray[np.int64]
    good: NDArray[np.bool_]
    apart: Sequence[tuple[int, int]] = ()

    @staticmethod
    def plain(vectors: Floats, statistics: Floats) -> Faces:
        """Faces of as many photos, of which nothing is known."""
        n = len(vectors)
        each = np.arange(n)
        return Faces(vectors, statistics, each, each, np.full(n, -1), np.ones(n, bool))


@dataclass(frozen=True)
class Grouping:
    """label: [N], the group of each face, -1 where it stays open; ask: (group, group, mean score) that may be one
    person, best first."""

    label: NDArray[np.int64]
    ask: list[tuple[int, int, float]]


def group(faces: Faces, cohort: Cohort, join: float = JOIN) -> Grouping:
    """Groups of all faces; two people whom a user named are never joined, nor two faces of one photo.

    Each vector is first drawn towards its nearest neighbours (query expansion, Chum et al., ICCV 2007; weights as in
    Radenović et al., TPAMI 2018, section 3.3): photos of one person move together, and the mean of a pair of groups
    tells more.
    """
    plain = edges(faces.vectors, faces.statistics, PLAIN_EDGE)
    drawn = _drawn(faces, plain)
    linkage = _Linkage(faces, EDGE)
    first, second, _ = plain
    together = (faces.photo[first] == faces.photo[second]) | (faces.moment[first] == faces.moment[second])
    near = np.linalg.norm(faces.vectors[first] - faces.vectors[second], axis=1) <= IDENTICAL
    for i, j in zip(first[together & near].tolist(), second[together & near].tolist(), strict=True):
        linkage.unite(i, j)
    linkage.start(edges(drawn, cohort.statistics(drawn), EDGE))
    linkage.run(join)
    label = linkage.labels()
    ask = [(a, b, _mean_score(faces, label == a, label == b)) for a, b in linkage.questions(ASK)]
    _place_poor(faces, label, plain)
    return Grouping(label, sorted(ask, key=lambda row: -row[2]))


def edges(vectors: Floats, statistics: Floats, least: float) -> Links:
    """(rows, later rows, scores) of pairs that score at least this much; of a face with very many, the best ones."""
    parts: list[Links] = []
    for start in range(0, len(vectors), CHUNK):
        rows = slice(start, start + CHUNK)
        part = scores(vectors[rows], vectors[start:], statistics[rows], statistics[start:])
        part[np.tril_indices(len(part), 0, part.shape[1])] = -np.inf
        many = part.shape[1] > NEIGHBOURS
        limit = np.partition(part, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS, None] if many else np.float32(-np.inf)
        i, j = np.nonzero((part >= least) & (part >= limit))
        parts.append((i + start, j + start, part[i, j]))
    first, second, found = zip(*parts, strict=True) if parts else ([np.zeros(0, np.int64)],) * 3
    return np.concatenate(first), np.concatenate(second), np.concatenate(found)


def _drawn(faces: Faces, links: Links) -> Floats:
    """float32 [N, L] of unit length: each vector with a share of its NEAR nearest on other photos."""
    first, second, found = links
    person = faces.person
    strangers = (person[first] >= 0) & (person[second] >= 0) & (person[first] != person[second])
    used = (found >= NEAR_SCORE) & (faces.photo[first] != faces.photo[second]) & ~strangers
    used &= faces.good[first] & faces.good[second]
    row = np.concatenate([first[used], second[used]])
    other = np.concatenate([second[used], first[used]])
    score = np.concatenate([found[used], found[used]])
    order = np.lexsort((-score, row))
    row, other, score = row[order], other[order], score[order]
    begins = np.searchsorted(row, row)
    near = np.arange(len(row)) - begins < NEAR
    row, other = row[near], other[near]
    weight = (score[near] / ALIKE).clip(0, 2) ** 2
    drawn = faces.vectors.copy()
    np.add.at(drawn, row, weight[:, None] * faces.vectors[other])
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def _mean_score(faces: Faces, a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    one, two = faces.vectors[a], faces.vectors[b]
    return float(scores(one, two, faces.statistics[a], faces.statistics[b]).mean())


def _rows(links: Links) -> Iterator[tuple[int, int, float]]:
    return zip(*(column.tolist() for column in links), strict=True)


class _Linkage:
    """Groups that are joined, best pair first. The mean over the pairs of two groups is kept as a sum of what they
    score above `edge`; pairs that are not listed add nothing."""

    def __init__(self, faces: Faces, edge: float) -> None:
        self.faces, self.edge = faces, edge
        self.parent = list(range(len(faces.vectors)))
        self.votes: dict[int, float] = {}
        self.photos: dict[int, set[int]] = {}
        self.person: dict[int, int] = {}
        self.foes: dict[int, set[int]] = {}
        self.sums: dict[int, dict[int, float]] = defaultdict(dict)

    def unite(self, i: int, j: int) -> None:
        self.parent[self.find(i)] = self.find(j)

    def find(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def start(self, links: Links) -> None:
        faces = self.faces
        looks = [self.find(i) for i in range(len(self.parent))]  # near-identical pictures are one vote
        many = np.bincount(looks, minlength=len(looks))
        named: dict[int, int] = {}
        for i, person in enumerate(faces.person.tolist()):
            if person >= 0:
                self.unite(i, named.setdefault(person, i))
        taking_part = faces.good | (faces.person >= 0)
        weight = [1 / many[look] for look in looks]
        for i in np.flatnonzero(taking_part).tolist():
            root = self.find(i)
            self.votes[root] = self.votes.get(root, 0.0) + weight[i]
            self.photos.setdefault(root, set()).add(int(faces.photo[i]))
            if faces.person[i] >= 0:
                self.person[root] = int(faces.person[i])
        for i, j in faces.apart:
            a, b = self.find(i), self.find(j)
            self.foes.setdefault(a, set()).add(b)
            self.foes.setdefault(b, set()).add(a)
        for i, j, score in _rows(links):
            a, b = self.find(i), self.find(j)
            if a != b and taking_part[i] and taking_part[j]:
                more = (score - self.edge) * weight[i] * weight[j]
                self.sums[a][b] = self.sums[b][a] = self.sums[a].get(b, 0.0) + more

    def mean(self, a: int, b: int) -> float:
        return self.edge + self.sums[a].get(b, 0.0) / (self.votes[a] * self.votes[b])

    def barred(self, a: int, b: int) -> bool:
        both_named = a in self.person and b in self.person
        return both_named or b in self.foes.get(a, ()) or bool(self.photos[a] & self.photos[b])

    def run(self, join: float) -> None:
        heap = [(-self.mean(a, b), a, b) for a, others in self.sums.items() for b in others if a < b]
        heapq.heapify(heap)
        while heap:
            negative, a, b = heapq.heappop(heap)
            if -negative < join:
                break
            if a not in self.votes or b not in self.votes or self.mean(a, b) != -negative or self.barred(a, b):
                continue
            for other in self._merge(a, b):
                score = self.mean(a, other)
                if score >= join:
                    heapq.heappush(heap, (-score, a, other))

    def _merge(self, a: int, b: int) -> list[int]:
        """b becomes part of a; the groups that are linked to it now."""
        self.parent[b] = a
        self.votes[a] += self.votes.pop(b)
        self.photos[a] |= self.photos.pop(b)
        if b in self.person:
            self.person[a] = self.person.pop(b)
        for foe in self.foes.pop(b, set()):
            self.foes[foe].discard(b)
            self.foes[foe].add(a)
            self.foes.setdefault(a, set()).add(foe)
        for other, more in self.sums.pop(b).items():
            del self.sums[other][b]
            if other != a:
                self.sums[a][other] = self.sums[other][a] = self.sums[a].get(other, 0.0) + more
        return list(self.sums[a])

    def labels(self) -> NDArray[np.int64]:
        roots = np.array([self.find(i) for i in range(len(self.parent))], np.int64)
        label = np.full(len(roots), -1, np.int64)
        known = np.isin(roots, list(self.votes))
        label[known] = roots[known]
        return label

    def questions(self, least: float) -> list[tuple[int, int]]:
        """Pairs of groups that were nearly joined."""
        return [
            (a, b)
            for a, others in self.sums.items()
            for b in others
            if a < b and self.mean(a, b) >= least and not self.barred(a, b)
        ]


def _place_poor(faces: Faces, label: NDArray[np.int64], links: Links) -> None:
    """Faces that are poor for comparing found nobody; each goes to the group it fits best, if that is clear."""
    size: dict[int, int] = defaultdict(int)
    photos: dict[int, set[int]] = defaultdict(set)
    for row, at in enumerate(label.tolist()):
        if at >= 0:
            size[at] += 1
            photos[at].add(int(faces.photo[row]))
    sums: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    poor = label < 0
    for i, j, score in _rows(links):
        for open_, known in ((i, j), (j, i)):
            if poor[open_] and not poor[known]:
                sums[open_][int(label[known])] += score
    best = sorted(
        ((total / size[at], row, at) for row, groups in sums.items() for at, total in groups.items()), reverse=True
    )
    for mean, row, at in best:
        if mean < POOR_JOIN:
            break
        if label[row] < 0 and int(faces.photo[row]) not in photos[at]:
            label[row] = at
            photos[at].add(int(faces.photo[row]))
