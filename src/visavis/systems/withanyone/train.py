"""Trains WithAnyone: both projections and identity attentions on a frozen base (section 4); then, for two people in one
picture, a low-rank change of the base alone.

Phases by settings: 1 unsaid=1, 2 as it is, 3 pairs=identity paired=yes. The paper trains the two branches apart and
merges them; here they learn together, at another place of the slider each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.bases.faces import usable
from visavis.bases.nano import teach
from visavis.bases.nano.teach import pinned
from visavis.bases.nano.words import LENGTH
from visavis.bases.sampling import pictures
from visavis.blocks.diffusion import objective
from visavis.blocks.losses.align import middle
from visavis.blocks.losses.contrastive import info_nce
from visavis.blocks.losses.identity import identity_loss
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.ship import ship as ship_arrays
from visavis.core.types import Pixels
from visavis.systems.withanyone.data import EMPTY, SIZE, People, joined, side_by_side
from visavis.systems.withanyone.model import WithAnyone
from visavis.systems.withanyone.use import ladder, network
from visavis.training.checkpoint import unpacked
from visavis.training.loop import Batch, Modules, Plan, Schedule
from visavis.training.prepare import Prepared
from visavis.training.rows import source

__all__ = ["CONFIG", "Config", "Step", "build", "made_up", "pinned", "plan", "ship", "terms"]


@dataclass(frozen=True)
class Config(teach.Config):
    """pairs: a set with several photos of each person, half of each batch where it is named; paired: their reference is
    another photo, not the target; canvas: two faces side by side, low-rank change alone; unsaid: share of faces
    without text; nobody: share without identity, half of them without text; identity, contrastive: weights of L_ID and
    L_CL; below: noise level up to which these see, a quarter of a batch at most; negatives: so many vectors of the
    gallery are drawn for each step."""

    pairs: str = ""
    paired: bool = False
    canvas: bool = False
    unsaid: float = 0.1
    nobody: float = 0.1
    identity: float = 0.05
    contrastive: float = 0.01
    below: float = 0.6
    negatives: int = 4096
    weight_decay: float = 0.0
    schedule: Schedule = Schedule(steps=1_875, batch=32, warmup=100, decay=0.0, ema=0.999, clip=1.0, every=15)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, unsaid=(0, 1), nobody=(0, 1), identity=(0, 10), contrastive=(0, 10), below=(0, 1))
        within(self, negatives=(0, 1e6))
        if self.paired and not self.pairs:
            raise InputError("paired needs a set with several photos of each person: name it by pairs.")


CONFIG = Config()


def build(config: Config) -> dict[str, nn.Module]:
    """The module that is trained, by name."""
    module = WithAnyone(teach.pipeline(config))
    if config.canvas:
        module.requires_grad_(False)
        module.wide(True)
    return {"withanyone": teach.aligning(config, module)}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    made = teach.made_up(count) | {
        "tokens": torch.randint(4, 100, (count, LENGTH)),
        "vectors": torch.randn(count, 1, 128),
        "shown": torch.randn(count, 1, 128),
        "places": torch.rand(count, 1, 16, 256),
        "people": torch.arange(count)[:, None],
    }
    gallery = {"gallery": torch.randn(config.negatives, 128), "others": torch.arange(config.negatives) + count}
    return (side_by_side(made) if config.canvas else made) | gallery


class Step:
    """L = L_diff + identity L_ID + contrastive L_CL, with the config's weights; the paper has 0.1 for both, at which
    faces of this size crumple."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, modules: Modules, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        config, module = self.config, modules["withanyone"]
        system: Any = getattr(module, "module", module)
        clean = batch["latents"]
        level, noise = objective.levels(len(clean), clean.device, config.level), torch.randn_like(clean)
        draw = torch.rand_like(level)
        nobody = draw < config.nobody
        nothing = (draw < config.nobody / 2) | (torch.rand_like(level) < config.unsaid)
        said = {
            "tokens": torch.where(nothing[:, None], EMPTY.to(clean.device), batch["tokens"]),
            "shown": batch["shown"] * ~nobody[:, None, None],
            "places": batch["places"] * ~nobody[:, None, None, None],
        }
        system.weigh(float(torch.rand(())))
        with middle(system.unet) as kept:
            velocity = predicted(module, {**batch, **said}, level, noise)
        parts = {"diffusion": objective.flow_loss(velocity, clean, noise, batch["inside"])}
        if config.align:
            parts["align"] = system.aligner(kept[0], batch["maps"], batch["inside"])
        if config.identity or config.contrastive:
            noisy, told = objective.noised(clean, noise, level), level.masked_fill(nobody, 2)
            rows, made = teach.seen(system.tower, system.vae, batch, noisy, velocity, told, config.below)
            target, who = batch["vectors"][rows], batch["people"][rows].flatten()
            parts["identity"] = identity_loss(made, target)
            both = made.flatten(0, 1), target.flatten(0, 1)
            parts["contrastive"] = info_nce(*both, batch["gallery"], people=who, gallery_people=batch["others"])
        yield from teach.weighted("withanyone", parts, config)


def predicted(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> Tensor:
    system: Any = getattr(module, "module", module)
    with torch.no_grad():
        text = system.text(batch["tokens"])[0]
    noisy, time = objective.noised(batch["latents"], noise, level), objective.timestep(level)
    made: Tensor = module(noisy, time, text, **system.tokens(batch["shown"], batch["places"]), boxes=batch.get("boxes"))
    return made


def loss(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> Tensor:
    """L_diff alone, everybody said, in the middle of the slider."""
    system: Any = getattr(module, "module", module)
    system.weigh(0.5)
    return objective.flow_loss(predicted(module, batch, level, noise), batch["latents"], noise, batch["inside"])


def plan(config: Config) -> Plan:
    """Where there are pairs, it is validated on people of their set."""
    train, val = teach.rows(config)
    single = len(train)
    if config.pairs:
        more, val = usable(source(config.pairs), 2, 2)
        train = joined(train, more)

    def people(rows: Prepared, schedule: Schedule, coder: Any, digest: str, aligned: bool) -> People:
        how: dict[str, Any] = {"paired": config.paired, "canvas": config.canvas, "negatives": config.negatives}
        return People(rows, schedule, coder, digest, aligned, single=single if rows is train else 0, **how)

    return teach.plan(config, build(config), Step(config), loss, _drawn, people, (train, val), ready=_ready)


def _ready(module: Any, faces: People, rows: NDArray[np.int64]) -> None:
    module.apart.fit(torch.from_numpy(faces.read.take(faces.read_at[rows])[:, 0].astype(np.float32)))


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(teach.terms(config), *([source(config.pairs).terms] if config.pairs else []))


def _drawn(pipeline: Any, module: Any, batch: Batch, seeds: Sequence[int], steps: int) -> Iterator[Pixels]:
    """Of a canvas the left half: the first person."""
    module.weigh(0.5)

    @torch.no_grad()
    def told(part: slice) -> list[dict[str, Tensor]]:
        given = {name: batch[name][part] for name in ("tokens", "shown", "places", "boxes") if name in batch}
        text, empty = (module.text(ids)[0] for ids in (given.pop("tokens"), EMPTY.to(batch["tokens"].device)))
        vectors, places = given.pop("shown"), given.pop("places")
        return ladder(module, vectors, places, {"text": text, "empty": empty.expand_as(text), **given})

    wide = batch["shown"].shape[1]
    for picture in pictures(pipeline, network(module), told, seeds, [3.0], steps=steps, wide=wide):
        yield picture[:, :SIZE]


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as `withanyone`; those of two people are in it where the run, or the one that it began
    from, was of canvases."""
    stored = unpacked(folder / "best.safetensors", "withanyone", whole=False)
    numbers = {name: value.half().numpy() for name, value in stored.items()}
    trained_on = "+".join(filter(None, (config.data, config.pairs)))
    return ship_arrays(
        "withanyone", numbers, terms=terms, trained_on=trained_on, command="visavis train withanyone --ship"
    )
