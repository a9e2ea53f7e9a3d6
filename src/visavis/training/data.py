"""Batches that follow from the number of a step: which rows, in which order, for which process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.training.cache import shuffled
from visavis.training.prepare import Prepared


class Order:
    """Rows of each step: every epoch is another permutation of 0 .. count - 1, and steps run across epochs.

    Raises InputError where count is 0.
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        if count < 1:
            raise InputError("There is nothing to train on: the set has no row for this.")
        self.count, self.batch, self.seed = count, batch, seed
        self._epoch: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __call__(self, step: int, rank: int = 0, world: int = 1) -> NDArray[np.int64]:
        """int64 [batch / world]: the share of one process in the batch of this step."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)[rank::world]
        epochs = places // self.count
        rows = np.empty(len(places), np.int64)
        for epoch in np.unique(epochs):
            rows[epochs == epoch] = self._permutation(int(epoch))[places[epochs == epoch] % self.count]
        return rows

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if self._epoch[0] != epoch:
            self._epoch = (epoch, shuffled(self.count, self.seed * 100_003 + epoch))
        return self._epoch[1]


def enough(data: Prepared, least_train: int, least_val: int) -> tuple[Prepared, Prepared]:
    """The training and validation rows. Raises InputError where a split has too few."""
    train, val = data.part("train"), data.part("val")
    for name, part, least in (("training", train, least_train), ("validation", val, least_val)):
        if len(part) < least:
            raise InputError(
                f"{data.name} has {len(part)} photos for {name} after the split by person; {least} are needed."
            )
    return train, val
