"""The faces that generators learn: framed well enough, and each only once."""

from __future__ import annotations

from collections.abc import Sequence

from visavis.training.data import enough
from visavis.training.doubles import without_doubles
from visavis.training.prepare import Prepared, prepare
from visavis.training.rows import Source

PADDED = 0.15  # share of the frame outside the photo beyond which a face is left out


def usable(data: Source, least_train: int, least_val: int, labels: Sequence[str] = ()) -> tuple[Prepared, Prepared]:
    """Training and validation rows with `portrait` and `vector_a`. Raises InputError where a split has too few."""
    rows = prepare(data, ["portrait", "vector_a"], labels)
    train, val = enough(rows.take(rows.facts["padding"] <= PADDED), least_train, least_val)
    return without_doubles(train), val
