"""Leaves one of several photos that show the same face: a generator learns by heart what it sees too often."""

from __future__ import annotations

import numpy as np

from visavis.core.progress import track
from visavis.faces.score import standardised
from visavis.training.prepare import Prepared

# Of A's standardised vectors. By eye on samples of FairFace train: from 0.85 on nearly all pairs are one person, at
# 0.80 to 0.83 about half (lookalikes are children first), at 0.77 few. Of one person's own pairs in CelebA 12 % lie
# above: what is found is a part of what there is.
DOUBLE = 0.85
CHUNK = 1024


def without_doubles(rows: Prepared) -> Prepared:
    """The rows but those that look like an earlier row of another person by A (`prepare` must have made vector_a)."""
    stored = rows.column("vector_a")
    vectors = standardised(stored.take(stored.rows(rows.keys)))
    _, who = np.unique(rows.persons, return_inverse=True)
    kept = np.ones(len(rows), bool)
    for start in track(range(0, len(rows), CHUNK), "doubles"):
        part, before = slice(start, start + CHUNK), slice(0, start + CHUNK)
        alike = (vectors[part] @ vectors[before].T > DOUBLE) & (who[part, None] != who[None, before])
        place = np.arange(len(rows))
        earlier = place[None, before] < place[part, None]
        kept[part] = ~(alike & earlier).any(1)
    return rows.take(kept)
