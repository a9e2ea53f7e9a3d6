"""Latents of portrait frames, of each frame and its mirror image, kept in the cache by the autoencoder's own file."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from visavis.bases.autoencoder.model import CHANNELS, SIDE, autoencoder, fold
from visavis.blocks.images import to_pixels, to_tensor
from visavis.core import weights
from visavis.core.catalogue import Terms
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.training.cache import CHUNK, Column
from visavis.training.checkpoint import origin, unpacked
from visavis.training.precision import fast
from visavis.training.prepare import Prepared

BATCH = 64
SHIPPED = "autoencoder"
SOME = 2048  # rows that are enough for the latents' statistics


def load(place: str) -> tuple[AutoencoderKL, str]:
    """An autoencoder, in eval mode and frozen, and the sha256 of its file: of a run's best.safetensors (its latents as
    they were trained), of a folder in diffusers' layout, or, where `place` is empty, the shipped one."""
    if not place and not weights.parts(SHIPPED):
        raise InputError("No autoencoder ships yet: train one, or name a folder or a run's best.safetensors.")
    path = Path(place) if place else weights.folder(SHIPPED)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if not files or not (path / "config.json").is_file():
            raise InputError(f"{path} is no folder of an AutoencoderKL: config.json and a .safetensors belong there.")
        module = AutoencoderKL.from_pretrained(path, dtype=torch.float32, local_files_only=True)
        if (module.config.latent_channels, module.config.scaling_factor) != (CHANNELS, 1.0) or _factor(module) != 8:
            raise InputError(
                f"{path} has other latents than {CHANNELS} channels at an eighth of the side, with factor 1."
            )
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    else:
        facts = origin(path)
        module, digest = autoencoder(facts.get("groups", 16)), hashlib.sha256(path.read_bytes()).hexdigest()
        state = unpacked(path, "autoencoder")
        module.load_state_dict({key.removeprefix("network."): value for key, value in state.items()})
    return module.eval().requires_grad_(False), digest


def _factor(module: AutoencoderKL) -> int:
    return int(2 ** (len(module.config.block_out_channels) - 1))


def terms_of(place: str) -> Terms:
    """Of an autoencoder named as for `load`."""
    if not place:
        return weights.parts(SHIPPED)[0].terms
    return "unknown" if Path(place).is_dir() else origin(Path(place))["terms"]


def statistics(kept: Column, rows: Prepared) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """float32 mean and deviation [8] of each channel over the latents of the first rows."""
    some = kept.take(kept.rows(rows.keys[:SOME])).astype(np.float32)
    return some.mean((0, 1, 3, 4)), some.std((0, 1, 3, 4))


def folded(module: AutoencoderKL, mean: Tensor, deviation: Tensor) -> AutoencoderKL:
    """A copy whose latents have mean 0 and deviation 1."""
    made = copy.deepcopy(module)
    fold(made, mean.to(made.device), deviation.to(made.device))
    return made


def latents(rows: Prepared, module: AutoencoderKL, digest: str) -> Column:
    """The column float16 [2, 8, 16, 16] with the means of every row's frame and of its mirror image.

    digest: of the autoencoder's file: another autoencoder makes another column.
    """
    kept = Column("latents", f"{digest} {rows.variant}".strip(), "<f2", (2, CHANNELS, SIDE, SIDE))
    stored = rows.column("portrait")
    missing = np.flatnonzero(kept.rows(rows.keys) < 0)
    module = module.to(PartialState().device)
    for start in track(range(0, len(missing), CHUNK), "latents"):
        part = missing[start : start + CHUNK]
        keys = [rows.keys[i] for i in part]
        images = to_tensor(stored.take(stored.rows(keys)))
        both = torch.stack([images, images.flip(-1)], 1).flatten(0, 1)
        with fast(module):
            made = torch.cat(
                [module.encode(some.to(module.device)).latent_dist.mean.cpu() for some in torch.split(both, BATCH)]
            )
        kept.add(keys, made.view(len(keys), 2, CHANNELS, SIDE, SIDE).half().numpy())
    return kept


@torch.no_grad()
def decoded(rows: Prepared, module: AutoencoderKL, digest: str) -> Column:
    """The column uint8 [128, 128, 3] of every row's frame through the autoencoder. digest: as for `latents`."""
    kept = Column("decoded", f"{digest} {rows.variant}".strip(), "u1", (SIDE * 8, SIDE * 8, 3))
    stored = rows.column("portrait")
    missing = np.flatnonzero(kept.rows(rows.keys) < 0)
    module = module.to(PartialState().device)
    for start in track(range(0, len(missing), CHUNK), "frames through the autoencoder"):
        keys = [rows.keys[i] for i in missing[start : start + CHUNK]]
        images = torch.split(to_tensor(stored.take(stored.rows(keys))), BATCH)
        means = (module.encode(some.to(module.device)).latent_dist.mean for some in images)
        kept.add(keys, np.concatenate([to_pixels(module.decode(some).sample) for some in means]))
    return kept
