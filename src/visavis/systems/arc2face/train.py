"""Trains Arc2Face: text encoder and UNet together, on each face's own vector (section 3.3)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visavis.bases.faces import usable
from visavis.bases.nano import folder as nano
from visavis.bases.nano import teach
from visavis.bases.nano.teach import pinned, terms
from visavis.blocks.diffusion import objective
from visavis.blocks.identity.drawn import Crowd
from visavis.blocks.losses.align import middle
from visavis.core.catalogue import Terms
from visavis.core.config import within
from visavis.core.progress import say
from visavis.core.ship import ship as ship_arrays
from visavis.core.types import Pixels
from visavis.faces.score import standardised
from visavis.systems.arc2face.fewbits import differences
from visavis.systems.arc2face.model import Arc2Face
from visavis.systems.arc2face.use import put, sampled
from visavis.training.checkpoint import unpacked
from visavis.training.loop import Batch, Modules, Plan, Schedule
from visavis.training.rows import source
from visavis.training.splits import by_hash

__all__ = ["CONFIG", "Config", "Step", "build", "made_up", "pinned", "plan", "ship", "terms"]


@dataclass(frozen=True)
class Config(teach.Config):
    """dropped: share of faces whose vector is not said, for guidance; fresh: the text encoder begins anew;
    text_rate: times as fast as the UNet the text encoder learns; face: weight of a loss of likeness, which the paper
    has not, at noise levels up to `below`: for a last stage."""

    dropped: float = 0.1
    fresh: bool = True
    text_rate: float = 2.0
    face: float = 0.0
    below: float = 0.5
    schedule: Schedule = Schedule(steps=6_000, batch=32, warmup=300, decay=0.25, ema=0.999, clip=1.0, every=15)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, dropped=(0, 1), text_rate=(0, 100), face=(0, 10), below=(0, 1))


CONFIG = Config()


def build(config: Config) -> dict[str, nn.Module]:
    """The module that is trained, by name."""
    pipeline = teach.pipeline(config)
    text, unet = (copy.deepcopy(p).requires_grad_(True) for p in (pipeline.text_encoder, pipeline.unet))
    if config.fresh:
        text = nano.text_encoder()
    return {"arc2face": teach.aligning(config, Arc2Face(text, unet, pipeline.tokenizer))}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    return teach.made_up(config.schedule.batch)


class Step:
    """Flow matching on one batch, some of whose people are not said; where asked for, alignment and a loss of
    likeness."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.likeness = teach.Likeness(config.base, config.below) if config.face else None

    def __call__(self, modules: Modules, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        clean = batch["latents"]
        level, noise = objective.levels(len(clean), clean.device, self.config.level), torch.randn_like(clean)
        noisy, nobody = objective.noised(clean, noise, level), torch.rand_like(level) < self.config.dropped
        module = modules["arc2face"]
        system: Any = getattr(module, "module", module)
        with middle(system.unet) as kept:
            velocity = module(noisy, level, batch["vectors"], nobody)
        parts = {"diffusion": objective.flow_loss(velocity, clean, noise, batch["inside"])}
        if self.config.align:
            parts["align"] = system.aligner(kept[0], batch["maps"], batch["inside"])
        if self.likeness is not None:
            parts["face"] = self.likeness(batch, noisy, velocity, level, nobody)
        yield from teach.weighted("arc2face", parts, self.config)


def loss(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> Tensor:
    clean, nobody = batch["latents"], torch.zeros_like(level, dtype=torch.bool)
    velocity = module(objective.noised(clean, noise, level), level, batch["vectors"], nobody)
    return objective.flow_loss(velocity, clean, noise, batch["inside"])


def plan(config: Config) -> Plan:
    rates = {"text.": config.text_rate}
    return teach.plan(config, build(config), Step(config), loss, _drawn, rates=rates)


def _drawn(pipeline: Any, module: Any, batch: Batch, seeds: Sequence[int], steps: int) -> Iterator[Pixels]:
    return sampled(pipeline, module, batch["vectors"], seeds, steps=steps)


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as `arc2face`: text encoder and UNet as differences to the base's, in 8 and in 4 bits; and
    as `arc2face_people` how the vectors lie of the people that it learnt. Says what the few bits cost."""
    made = plan(replace(config, fresh=False))
    module: Any = made.modules["arc2face"]
    parts = {"text": 8, "unet": 4}
    base = {part: copy.deepcopy(getattr(module, part).state_dict()) for part in parts}
    module.load_state_dict(unpacked(folder / "best.safetensors", "arc2face"))
    arrays = {
        f"{part}.{name}": value
        for part, bits in parts.items()
        for name, value in differences(base[part], getattr(module, part).state_dict(), bits).items()
    }
    numbers = {name: value.clone().numpy() for name, value in arrays.items()}
    assert made.hooks.validate is not None
    before = made.hooks.validate(made.modules)["likeness_a"]
    for part, state in base.items():
        getattr(module, part).load_state_dict(state)
    put(module, arrays, config.base)
    say(f"likeness_a: {before:.3f} as trained, {made.hooks.validate(made.modules)['likeness_a']:.3f} as it ships")
    told: dict[str, Any] = {"terms": terms, "trained_on": config.data, "command": "visavis train arc2face --ship"}
    ship_arrays("arc2face_people", _crowd(config).arrays(), **told)
    return ship_arrays("arc2face", numbers, **told)


def _crowd(config: Config) -> Crowd:
    train, val = usable(source(config.data), 50, 5)
    if config.people:
        train = train.take(by_hash(train.persons, config.people))
    kept = train.column("vector_a")
    return Crowd.of(*(standardised(kept.take(kept.rows(rows.keys)), raw=True) for rows in (train, val)))
