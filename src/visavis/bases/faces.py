"""The faces that generators learn: framed well enough, and no two of different people that look like one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visavis.core.progress import say
from visavis.training.data import enough
from visavis.training.doubles import without_doubles
from visavis.training.prepare import Prepared, prepare
from visavis.training.rows import Source

PADDED = 0.15  # share of the frame outside the photo beyond which a face is left out


def usable(data: Source, least_train: int, least_val: int, labels: Sequence[str] = ()) -> tuple[Prepared, Prepared]:
    """Training and validation rows with `portrait` and `vector_a`. Raises InputError where a split has too few."""
    rows = prepare(data, ["portrait"] if data.frames else ["portrait", "vector_a"], labels)
    framed = rows.take(rows.facts["padding"] <= PADDED)
    train = framed.part("train")
    # A pack says which are doubles, having no vectors.
    train = train.take(np.array([not row["double"] for row in train.labels])) if data.frames else without_doubles(train)
    left = len(rows) - len(framed), len(framed.part("train")) - len(train)
    say(f"{data.name}: left out {left[0]} faces cut off by their photo's border, {left[1]} doubles of other people's")
    return enough(train, least_train, 0)[0], enough(framed, 0, least_val)[1]
