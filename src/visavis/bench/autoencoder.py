"""`visavis bench autoencoder`: what is lost on the way to latents and back, on FairFace's validation photos."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.portraits import Portraits, portraits
from visavis.core import weights
from visavis.core.errors import missing_extra
from visavis.core.types import Pixels
from visavis.faces.judge import judge_portraits
from visavis.faces.score import standardised
from visavis.media.sheet import grid

REPEATS, TIMED = 3, 64


def run(folder: Path | None = None) -> None:
    """Writes results/autoencoder.json and, where a folder is named, a sheet of the frames that are copied worst."""
    try:
        from visavis.bases.autoencoder.latents import SHIPPED
        from visavis.bases.autoencoder.use import through
    except ModuleNotFoundError as error:
        raise missing_extra("ml", "The autoencoder") from error
    started = time.time()
    whole = portraits("fairface", ["fairface_val_00.parquet"], ("age", "gender", "race", "file"))
    frames = whole.take(whole.found)
    made = through(frames.crops)
    decibel = psnr(frames.crops, made)
    figures = [_mean("psnr", decibel, "dB")]
    figures.append(_mean("judge_cosine", _cosine(judge_portraits(frames.crops), judge_portraits(made))))
    copies = Portraits(frames.found, made, frames.meshes, frames.labels)
    figures.append(_mean("a_cosine", _cosine(standardised(frames.vectors_a()), standardised(copies.vectors_a()))))
    size = sum(entry.bytes for entry in weights.parts(SHIPPED))
    figures.append(Figure("megabytes", size / 1e6, unit="MB", better="lower"))
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        through(frames.crops[:TIMED])
        seconds.append((time.perf_counter() - began) / TIMED * 1000)
    low, middle, high = sorted(seconds)
    figures.append(Figure("ms_per_frame", middle, low, high, "ms", "lower", REPEATS))
    notes = ["frames as they are, with replicated borders where a photo ends; cosine of A: of its standardised vectors"]
    write("autoencoder", figures, seed=0, started=started, notes=notes)
    if folder:
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        chosen = [*np.argsort(decibel)[:18], *range(18)]
        Image.fromarray(grid([p for i in chosen for p in (frames.crops[i], made[i])], 12)).save(
            folder / "autoencoder.png"
        )


def psnr(real: Pixels, made: Pixels) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB [N] of pictures uint8 [N, H, W, 3]."""
    from skimage import metrics

    measure: Any = metrics.peak_signal_noise_ratio
    return np.array([measure(a, b) for a, b in zip(real, made, strict=True)])


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray((a * b).sum(1), np.float64)


def _mean(name: str, values: NDArray[np.float64], unit: str = "cosine") -> Figure:
    low, high = bootstrap(values)
    return Figure(name, float(values.mean()), low, high, unit, n=len(values))
