"""Trains PhotoVerse: both adapters, the image branch's keys and values, a low-rank change of the text's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.bases.nano import teach
from visavis.bases.nano.teach import pinned, terms
from visavis.bases.sampling import pictures
from visavis.blocks.diffusion import objective
from visavis.blocks.images import to_tensor
from visavis.blocks.losses.align import middle
from visavis.blocks.losses.identity import identity_loss
from visavis.core.catalogue import Terms
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.ship import ship as ship_arrays
from visavis.core.types import Pixels
from visavis.faces import align
from visavis.systems.photoverse.model import PhotoVerse
from visavis.systems.photoverse.use import ladder, masked
from visavis.training.augment import Augment
from visavis.training.checkpoint import unpacked
from visavis.training.loop import Batch, Modules, Plan, Schedule
from visavis.training.precision import fast
from visavis.training.prepare import FRAMES, Prepared

__all__ = ["CONFIG", "Config", "Step", "build", "made_up", "pinned", "plan", "ship", "terms"]

SIZE = align.SIZES["portrait"]
JITTER = Augment((1, 1), shift=0, turn=0, mirror=0, blur=0, jpeg=0, shrink=0, grey=0, light=0.8)


@dataclass(frozen=True)
class Config(teach.Config):
    """visual: with the image branch; face, words, values: weights of L_face, L_rt, L_rv; below: noise level up to
    which L_face sees, a quarter of a batch at most; dropped: share of faces without identity, half of them without
    text too."""

    visual: bool = True
    face: float = 0.01
    words: float = 0.01
    values: float = 0.001
    below: float = 0.5
    dropped: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, face=(0, 10), words=(0, 10), values=(0, 10), below=(0, 1), dropped=(0, 1))


CONFIG = Config()


class People(teach.People):
    """Adds `reference` [B, 3, 128, 128], each face alone in other light and half of them mirrored."""

    def __init__(self, rows: Prepared, schedule: Schedule, coder: Any, digest: str, aligned: bool = False) -> None:
        if rows.variant == FRAMES:
            raise InputError(f"{rows.name} is a pack of frames: photoverse needs the whole mesh of each face.")
        super().__init__(rows, schedule, coder, digest, aligned)
        self.meshes = rows.facts["mesh"]
        self.portraits = rows.column("portrait")
        self.portraits_at = self.portraits.rows(rows.keys)

    def batch(self, rows: NDArray[np.int64], random: np.random.Generator) -> dict[str, Tensor]:
        made = super().batch(rows, random)
        views = [
            self._reference(*one, random)
            for one in zip(rows, self.portraits.take(self.portraits_at[rows]), strict=True)
        ]
        return made | {"reference": to_tensor(np.stack(views))}

    def _reference(self, row: np.int64, portrait: Pixels, random: np.random.Generator) -> Pixels:
        mesh = self.meshes[row]
        in_frame = align.apply(align.to_template(mesh, "portrait"), mesh[:, :2])
        view = masked(JITTER(portrait, SIZE, random), in_frame.astype(np.float32))
        return view[:, ::-1] if random.random() < 0.5 else view


def build(config: Config) -> dict[str, nn.Module]:
    """The module that is trained, by name."""
    return {"photoverse": teach.aligning(config, PhotoVerse(teach.pipeline(config), config.visual))}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    return teach.made_up(count) | {
        "tokens": torch.randint(4, 100, (count, 32)),
        "reference": torch.rand(count, 3, SIZE, SIZE) * 2 - 1,
    }


class Step:
    """L = L_diffusion + 0.01 L_face + 0.01 L_rt + 0.001 L_rv."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, modules: Modules, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        config, module = self.config, modules["photoverse"]
        system: Any = getattr(module, "module", module)
        clean = batch["latents"]
        level, noise = objective.levels(len(clean), clean.device, config.level), torch.randn_like(clean)
        draw = torch.rand_like(level)
        nobody, nothing = draw < config.dropped, draw < config.dropped / 2

        words, seen = system.read(batch["reference"])
        ids = torch.where(nothing[:, None], system.empty, batch["tokens"])
        text = torch.where(nobody[:, None, None], system.without_identity(ids), system.said(ids, words))
        noisy = objective.noised(clean, noise, level)
        with middle(system.unet) as kept:
            velocity = module(noisy, objective.timestep(level), text, seen * ~nobody[:, None, None])
        parts = {"diffusion": objective.flow_loss(velocity, clean, noise, batch["inside"])}
        parts["words"], parts["values"] = words.abs().mean(), system.values(seen).abs().mean()
        if config.align:
            parts["align"] = system.aligner(kept[0], batch["maps"], batch["inside"])
        if config.face:
            told = level.masked_fill(nobody, 2)
            rows, made = teach.seen(system.tower, system.vae, batch, noisy, velocity, told, config.below)
            parts["face"] = identity_loss(made, batch["vectors"][rows, None])
        yield from teach.weighted("photoverse", parts, config)


def loss(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> Tensor:
    """L_diffusion alone, everybody said."""
    system: Any = getattr(module, "module", module)
    clean = batch["latents"]
    words, seen = system.read(batch["reference"])
    noisy = objective.noised(clean, noise, level)
    velocity = module(noisy, objective.timestep(level), system.said(batch["tokens"], words), seen)
    return objective.flow_loss(velocity, clean, noise, batch["inside"])


def plan(config: Config) -> Plan:
    return teach.plan(config, build(config), Step(config), loss, _drawn, People, ready=_ready)


def _ready(module: Any, faces: People, rows: NDArray[np.int64]) -> None:
    random = np.random.default_rng(0)
    with fast(module.tower):
        module.fit(faces.batch(part, random)["reference"] for part in np.array_split(rows, -(-len(rows) // 64)))


def _drawn(pipeline: Any, module: Any, batch: Batch, seeds: Sequence[int], steps: int) -> Iterator[Pixels]:
    def told(part: slice) -> list[dict[str, Tensor]]:
        return ladder(module, batch["tokens"][part], *module.read(batch["reference"][part]))

    return pictures(pipeline, module, told, seeds, [3.0], steps=steps)


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as `photoverse`; of both branches only."""
    if not config.visual:
        raise InputError("This run has no visual branch: it is an arm of the claim and does not ship.")
    stored = unpacked(folder / "best.safetensors", "photoverse", whole=False)
    numbers = {name: value.half().numpy() for name, value in stored.items()}
    command = "visavis train photoverse --ship"
    return ship_arrays("photoverse", numbers, terms=terms, trained_on=config.data, command=command)
