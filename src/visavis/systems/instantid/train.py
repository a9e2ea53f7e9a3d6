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
from visavis.blocks.losses.align import middle
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
    cross-attention gets; face: weight of a loss of likeness, which the paper has not, at noise levels up to `below`:
    for a last stage."""

    dropped: float = 0.05
    hears: Hears = "identity"
    face: float = 0.0
    below: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, dropped=(0, 0.3), face=(0, 10), below=(0, 1))


CONFIG = Config()


class People(teach.People):
    """Adds the pictures of the five points, `points` [B, 3, 128, 128] in 0..1."""

    def __init__(self, rows: Prepared, schedule: Schedule, coder: Any, digest: str, aligned: bool = False) -> None:
        super().__init__(rows, schedule, coder, digest, aligned)
        self.points = np.stack([_in_frame(facts["mesh"]) for facts in rows.facts])

    def also(self, rows: NDArray[np.int64], mirrored: NDArray[np.int64]) -> dict[str, Tensor]:
        points = [_mirrored(self.points[row]) if m else self.points[row] for row, m in zip(rows, mirrored, strict=True)]
        return super().also(rows, mirrored) | {"points": drawn(np.stack(points))}


def build(config: Config) -> dict[str, nn.Module]:
    """The module that is trained, by name."""
    pipeline = teach.pipeline(config)
    module = InstantID(pipeline.unet, pipeline.text_encoder, hears=config.hears)
    plain_attention(module.identity_net.network)
    return {"instantid": teach.aligning(config, module)}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    return teach.made_up(count) | {
        "points": torch.rand(count, 3, SIZE, SIZE),
        "tokens": torch.randint(4, 100, (count, 32)),
    }


_EMPTY = np.asarray(nano.tokenizer()("", padding="max_length", max_length=LENGTH).input_ids)


class Step:
    """Flow matching on one batch, part of which lacks identity, text or both; where asked for, a loss of likeness."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.likeness = teach.Likeness(config.base, config.below) if config.face else None

    def __call__(self, modules: Modules, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        clean, dropped = batch["latents"], self.config.dropped
        level, noise = objective.levels(len(clean), clean.device, self.config.level), torch.randn_like(clean)
        # The first part lacks identity, the second both, the third text.
        draw = torch.rand_like(level)
        nobody, nothing = draw < 2 * dropped, (draw >= dropped) & (draw < 3 * dropped)
        said = {
            "vectors": batch["vectors"] * ~nobody[:, None],
            "tokens": torch.where(nothing[:, None], torch.from_numpy(_EMPTY).to(clean.device), batch["tokens"]),
        }
        noisy = objective.noised(clean, noise, level)
        module = modules["instantid"]
        system: Any = getattr(module, "module", module)
        with middle(system.unet) as kept:
            velocity = predicted(module, {**batch, **said}, noisy, level)
        parts = {"diffusion": objective.flow_loss(velocity, clean, noise, batch["inside"])}
        if self.config.align:
            parts["align"] = system.aligner(kept[0], batch["maps"], batch["inside"])
        if self.likeness is not None:
            parts["face"] = self.likeness(batch, noisy, velocity, level, nobody)
        yield from teach.weighted("instantid", parts, self.config)


def predicted(module: nn.Module, batch: Batch, noisy: Tensor, level: Tensor) -> Tensor:
    system: Any = getattr(module, "module", module)
    with torch.no_grad():
        text = system.text(batch["tokens"])[0]
    made: Tensor = module(noisy, objective.timestep(level), text, system.tokens(batch["vectors"]), batch["points"])
    return made


def loss(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> Tensor:
    clean = batch["latents"]
    velocity = predicted(module, batch, objective.noised(clean, noise, level), level)
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
