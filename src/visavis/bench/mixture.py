"""The two small models that calibration fits: a mixture from which the cohort is drawn, and "may be a child"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Floats

# Chosen on FairFace train and CelebA train people: of 27 settings (16 to 1,024 components, pooled or own covariance,
# draws by size or evenly, 50 to 800 nearest) these understate strangers of another source least while missing as few
# same-person pairs as any.
COMPONENTS, DRAWS, NEAREST = 256, 16_000, 400
ROUNDS = 25


def fit_mixture(vectors: Floats, *, seed: int = 0, components: int = COMPONENTS) -> dict[str, NDArray[Any]]:
    """Means by k-means, one pooled covariance, all components drawn equally often, so that rare regions of the face
    space have as many neighbours as crowded ones. Arrays as `Cohort.draw` reads them."""
    random = np.random.RandomState(seed)
    means = vectors[random.choice(len(vectors), components, replace=False)].astype(np.float64)
    for _ in range(ROUNDS):
        nearest = np.argmax(vectors @ means.T.astype(np.float32) - (means**2).sum(1) / 2, axis=1)
        counts = np.bincount(nearest, minlength=components)
        sums = np.zeros_like(means)
        np.add.at(sums, nearest, vectors)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], means)
    residual = vectors - means[nearest]
    covariance = residual.T @ residual / len(vectors)
    factor = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance)))
    return {
        "means": means.astype(np.float16),
        "shares": (counts > 0).astype(np.float32),
        "factor": factor.astype(np.float16),
        "draws": np.array(DRAWS),
        "nearest": np.array(NEAREST),
        "seed": np.array(seed),
    }


def fit_child(vectors: Floats, child: NDArray[np.bool_], *, recall: float = 0.9) -> NDArray[np.float64]:
    """Logistic regression by Newton's method with a small ridge; float64 [L + 1], the last number is the offset,
    moved so that `recall` of the children given here are flagged (`v @ w[:-1] + w[-1] > 0`)."""
    x = np.column_stack([vectors.astype(np.float64), np.ones(len(vectors))])
    ridge = np.full(x.shape[1], 1.0)
    ridge[-1] = 0
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (p - child) + ridge * weights
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    weights[-1] -= np.quantile((x @ weights)[child], 1 - recall)
    return weights
