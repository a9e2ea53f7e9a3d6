"""The faces of an album in memory, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from visavis.core.types import Floats
from visavis.faces.embed import LENGTH
from visavis.people import schema


@dataclass(frozen=True, eq=False)
class Loaded:
    """Faces that nobody rejected, in the order of their ids.

    id: [N]; vectors: float32 [N, 128]; statistics: float32 [N, 2]; photo: [N] ids; person: [N] ids, -1 for nobody;
    by_user: bool [N]; poor: bool [N]; seconds: float64 [N], of a video, 0 on a photo
    """

    id: NDArray[np.int64]
    vectors: Floats
    statistics: Floats
    photo: NDArray[np.int64]
    person: NDArray[np.int64]
    by_user: NDArray[np.bool_]
    poor: NDArray[np.bool_]
    seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.id)

    @cached_property
    def searched(self) -> int:
        """People and single faces."""
        return len(np.unique(self.person[self.person >= 0])) + int((self.person < 0).sum())


def load(connection: sa.Connection) -> Loaded:
    """All faces; 100,000 take about half a second."""
    where = schema.face.c
    plain = [where.id, where.photo_id, sa.func.coalesce(where.person_id, -1), where.by_user]
    numbers = [where.mean, where.deviation, sa.func.coalesce(where.seconds, 0.0)]
    query = sa.select(*plain, where.words != "", *numbers, where.vector)
    rows = connection.execute(query.where(~where.rejected).order_by(where.id)).all()
    columns = list(zip(*rows, strict=True)) if rows else [()] * 9
    vectors = np.array(columns[8], np.float32).reshape(-1, LENGTH)
    return Loaded(
        id=np.array(columns[0], np.int64),
        vectors=vectors,
        statistics=np.stack([np.array(columns[5], np.float32), np.array(columns[6], np.float32)], 1),
        photo=np.array(columns[1], np.int64),
        person=np.array(columns[2], np.int64),
        by_user=np.array(columns[3], bool),
        poor=np.array(columns[4], bool),
        seconds=np.array(columns[7], np.float64),
    )
