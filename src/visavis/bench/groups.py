"""How well a grouping agrees with who is who: pairs, V-measure, and what a question to the user gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """precision, recall, f1: over pairs of faces that are put together, or belong together; v: V-measure (Rosenberg
    and Hirschberg, EMNLP 2007); groups: how many were found. Faces that stay open are groups of one."""

    precision: float
    recall: float
    f1: float
    v: float
    groups: int


def agreement(label: Labels, person: Labels, rows: NDArray[np.intp] | None = None) -> Agreement:
    """label: [N] groups, -1 for open; person: [N] who it is, -1 for unknown: left out. rows: a resample of faces."""
    from sklearn.metrics import v_measure_score

    label = open_alone(label)
    known = np.flatnonzero(person >= 0) if rows is None else rows
    label, person = label[known], person[known]
    table = _table(label, person)
    together, belong, both = (_pairs(part) for part in (table.sum(1), table.sum(0), table))
    precision, recall = both / max(together, 1), both / max(belong, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return Agreement(precision, recall, f1, float(v_measure_score(person, label)), len(table))


def open_alone(label: Labels) -> Labels:
    """Each open face becomes a group of its own."""
    alone = label < 0
    found = label.copy()
    found[alone] = label.max(initial=0) + 1 + np.arange(int(alone.sum()))
    return found


def worst_pairs(label: Labels, person: Labels, score: NDArray[np.float32], count: int = 20) -> list[tuple[int, int]]:
    """Pairs (i < j) that the grouping gets wrong, the clearest errors first: joined strangers who score least, and
    parted photos of one person that score most."""
    label = open_alone(label)
    upper = np.triu(np.ones_like(score, bool), 1)
    joined, same = label[:, None] == label[None], person[:, None] == person[None]
    wrong = upper & (joined != same)
    i, j = np.nonzero(wrong)
    clear = np.where(same[i, j], score[i, j], -score[i, j])
    order = np.argsort(-clear)[:count]
    return list(zip(i[order].tolist(), j[order].tolist(), strict=True))


def fixed_per_question(label: Labels, person: Labels, asked: list[tuple[int, int, float]]) -> tuple[float, int]:
    """(people whole after answering all questions less those whole before, over the questions; how many questions).

    A question names two groups; it is answered by whom most of their faces show. A person is whole when one group
    holds all their faces and mostly theirs.
    """
    label = open_alone(label)
    before = _whole(label, person)
    owner = {int(at): _majority(person[label == at]) for at in np.unique(label)}
    now = label.copy()
    for a, b, _ in asked:
        if owner[a] >= 0 and owner[a] == owner[b]:
            now[now == _at(now, label, b)] = _at(now, label, a)
    return (_whole(now, person) - before) / max(1, len(asked)), len(asked)


def _at(now: Labels, label: Labels, group: int) -> int:
    return int(now[np.flatnonzero(label == group)[0]])


def _whole(label: Labels, person: Labels) -> int:
    count = 0
    for who in np.unique(person[person >= 0]):
        groups = np.unique(label[person == who])
        count += len(groups) == 1 and _majority(person[label == groups[0]]) == who
    return count


def _majority(people: Labels) -> int:
    people = people[people >= 0]
    if not len(people):
        return -1
    names, counts = np.unique(people, return_counts=True)
    return int(names[counts.argmax()])


def _table(label: Labels, person: Labels) -> NDArray[np.int64]:
    rows, row = np.unique(label, return_inverse=True)
    columns, column = np.unique(person, return_inverse=True)
    table = np.zeros((len(rows), len(columns)), np.int64)
    np.add.at(table, (row, column), 1)
    return table


def _pairs(counts: NDArray[np.int64]) -> float:
    return float((counts * (counts - 1) // 2).sum())
