"""Trains InstantID: Resampler, the adapter's keys and values, IdentityNet; the base stays as it is (section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.bases.nano import folder as nano
from visavis.bases.nano import teach
from visavis.bases.nano.teach import pinned, terms
from visavis.bases.nano.words import LENGTH
from visavis.blocks.diffusion import objective
from visavis.core.catalogue import Terms
from visavis.core.config import within
from visavis.core.settings import scratch
from visavis.core.ship import ship_folder
from visavis.core.types import Pixels
from visavis.faces import align
from visavis.faces.mesh import five_points
from visavis.systems.instantid import published
from visavis.systems.instantid.model import Hears, InstantID
from visavis.systems.instantid.use import SIZE, drawn, sampled
from visavis.training.checkpoint import unpacked
from visavis.training.loop import Batch, Modules, Plan, Schedule
from visavis.training.precision import plain_attention
from visavis.training.prepare import Prepared

__all__ = ["CONFIG", "Config", "Step", "build", "made_up", "pinned", "plan", "ship", "terms"]


@dataclass(frozen=True)
class Config(teach.Config):
    """dropped: share of faces without identity, as many without text, as many without both; hears: what IdentityNet's
    cross-attention gets."""

    dropped: float = 0.05
    hears: Hears = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, dropped=(0, 0.3))


CONFIG = Config()


class People(teach.People):
    """Adds the pictures of the five points, `points` [B, 3, 128, 128] in 0..1."""

    def __init__(self, rows: Prepared, schedule: Schedule, coder: Any, digest: str) -> None:
        super().__init__(rows, schedule, coder, digest)
        self.points = np.stack([_in_frame(facts["mesh"]) for facts in rows.facts])

    def also(self, rows: NDArray[np.int64], mirrored: NDArray[np.int64]) -> dict[str, Tensor]:
        points = [_mirrored(self.points[row]) if m else self.points[row] for row, m in zip(rows, mirrored, strict=True)]
        return super().also(rows, mirrored) | {"points": drawn(np.stack(points))}


def build(config: Config) -> dict[str, nn.Module]:
    """The module that is trained, by name."""
    pipeline = teach.pipeline(config)
    module = InstantID(pipeline.unet, pipeline.text_encoder, hears=config.hears)
    plain_attention(module.identity_net.network)
    return {"instantid": module}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    return {
        "latents": torch.randn(count, 8, 16, 16),
        "inside": torch.ones(count, 1, 16, 16),
        "vectors": torch.randn(count, 128),
        "points": torch.rand(count, 3, SIZE, SIZE),
        "tokens": torch.randint(4, 100, (count, 32)),
    }


class Step:
    """Flow matching on one batch, part of which lacks identity, text or both."""

    def __init__(self, config: Config) -> None:
        self.dropped = config.dropped

    def __call__(self, modules: Modules, batch: Batch) -> Tensor:
        clean = batch["latents"]
        level, noise = objective.levels(len(clean), clean.device), torch.randn_like(clean)
        draw = torch.rand_like(level) / self.dropped if self.dropped else torch.full_like(level, 9)
        # In units of `dropped`: the first part lacks identity, the second both, the third text.
        nobody, nothing = draw < 2, (draw >= 1) & (draw < 3)
        empty = torch.from_numpy(_EMPTY).to(clean.device)
        said = {
            "vectors": torch.where(nobody[:, None], torch.zeros_like(batch["vectors"]), batch["vectors"]),
            "tokens": torch.where(nothing[:, None], empty, batch["tokens"]),
        }
        return loss(modules["instantid"], {**batch, **said}, level, noise)


_EMPTY = np.asarray(nano.tokenizer()("", padding="max_length", max_length=LENGTH).input_ids)


def loss(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> Tensor:
    system: Any = getattr(module, "module", module)
    clean, time = batch["latents"], objective.timestep(level)
    with torch.no_grad():
        text = system.text(batch["tokens"])[0]
    noisy = objective.noised(clean, noise, level)
    velocity = module(noisy, time, text, system.tokens(batch["vectors"]), batch["points"])
    return objective.flow_loss(velocity, clean, noise, batch["inside"])


def plan(config: Config) -> Plan:
    return teach.plan(config, build(config), Step(config), loss, _drawn, People)


def _drawn(pipeline: Any, module: Any, batch: Batch, seeds: Sequence[int], steps: int) -> Iterator[Pixels]:
    with torch.no_grad():
        told = {"text": module.text(batch["tokens"])[0]}
        told["empty"] = module.text(torch.from_numpy(_EMPTY)[None].to(batch["tokens"].device))[0].expand_as(
            told["text"]
        )
    return sampled(pipeline, module, batch["vectors"], batch["points"], told, seeds, steps=steps)


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as the folder `instantid`, in the authors' layout."""
    module: Any = build(config)["instantid"]
    module.load_state_dict(unpacked(folder / "best.safetensors", "instantid"))
    with scratch("instantid-") as made:
        published.write(module, Path(made) / "instantid")
        command = "visavis train instantid --ship"
        return ship_folder("instantid", Path(made) / "instantid", terms, config.data, command)


def _in_frame(mesh: Any) -> NDArray[np.float64]:
    return align.apply(align.to_template(mesh, "portrait"), five_points(mesh))


def _mirrored(points: NDArray[np.float64]) -> NDArray[np.float64]:
    turned = points[[1, 0, 2, 4, 3]].copy()
    turned[:, 0] = SIZE - turned[:, 0]
    return turned
