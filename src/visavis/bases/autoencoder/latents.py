"""Latents of portrait frames, of each frame and its mirror image, kept in the cache by the autoencoder's own file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from diffusers import AutoencoderKL

from visavis.bases.autoencoder.model import CHANNELS, SIDE, autoencoder
from visavis.blocks.images import to_tensor
from visavis.core.progress import track
from visavis.training.cache import CHUNK, Column
from visavis.training.checkpoint import unpacked
from visavis.training.prepare import Prepared, column

BATCH = 16


def from_run(path: Path) -> AutoencoderKL:
    """The autoencoder of a run's best.safetensors, in eval mode, as it was trained (its latents not yet folded)."""
    module = autoencoder()
    state = unpacked(path, "autoencoder")
    module.load_state_dict({key.removeprefix("network."): value for key, value in state.items()})
    return module.eval().requires_grad_(False)


@torch.no_grad()
def latents(rows: Prepared, module: AutoencoderKL, digest: str) -> Column:
    """The column float16 [2, 8, 16, 16] with the means of every row's frame and of its mirror image.

    digest: of the autoencoder's file: another autoencoder makes another column.
    """
    kept, stored = Column("latents", digest, "<f2", (2, CHANNELS, SIDE, SIDE)), column("portrait")
    missing = np.flatnonzero(kept.rows(rows.keys) < 0)
    module = module.to(PartialState().device)
    for start in track(range(0, len(missing), CHUNK), "latents"):
        part = missing[start : start + CHUNK]
        keys = [rows.keys[i] for i in part]
        images = to_tensor(stored.take(stored.rows(keys)))
        both = torch.stack([images, images.flip(-1)], 1).flatten(0, 1)
        made = torch.cat(
            [module.encode(some.to(module.device)).latent_dist.mean.cpu() for some in torch.split(both, BATCH)]
        )
        kept.add(keys, made.view(len(keys), 2, CHANNELS, SIDE, SIDE).half().numpy())
    return kept


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
