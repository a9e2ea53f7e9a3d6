"""Training of what stands on nano: faces as nano learns them and who each of them is; what every such run shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.bases import load
from visavis.bases.autoencoder import latents
from visavis.bases.faces import usable
from visavis.bases.nano.train import Faces, Loss, measured_on, validation_loss
from visavis.blocks.diffusion import objective
from visavis.blocks.diffusion.sample import to_images
from visavis.blocks.identity.encoder import VectorA
from visavis.blocks.identity.recogniser_a import FEATURES
from visavis.blocks.losses.align import MAP, Aligner
from visavis.blocks.losses.identity import identity_loss, made_vectors, rows_below, shaken
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.types import Floats, Pixels
from visavis.faces import align
from visavis.faces.embed import CHIP
from visavis.faces.frame import found_in, vectors_a
from visavis.faces.score import standardised
from visavis.media.sheet import grid
from visavis.training.loop import Batch, Hooks, Modules, Plan, Schedule
from visavis.training.precision import plain_attention
from visavis.training.prepare import FRAMES, Prepared
from visavis.training.rows import source
from visavis.training.splits import by_hash

# Validation faces: of the loss, of likeness, on the sheet; pictures of each there.
WATCHED, JUDGED, SHOWN, EACH = 512, 64, 16, 2


@dataclass(frozen=True)
class Config:
    """base: nano, or a folder of it; people: so many of them, chosen by hash (0: all); start: a run's best.safetensors
    to begin from; level: where most noise levels lie (their logit's mean): above 0 more of a picture is made up;
    align: weight of A's maps (`blocks.losses.align`), which no paper has: identity is learnt sooner."""

    data: str = "fairface"
    base: str = "nano"
    start: str = ""
    people: int = 0
    level: float = 0.0
    align: float = 0.5
    rate: float = 3e-4
    weight_decay: float = 0.01
    schedule: Schedule = Schedule(steps=2_000, batch=32, warmup=300, decay=0.25, ema=0.999, clip=1.0, every=15)

    def __post_init__(self) -> None:
        within(self, people=(0, 1e9), level=(-4, 4), align=(0, 10), rate=(0, 1), weight_decay=(0, 1))


def made_up(count: int) -> dict[str, Tensor]:
    """Noise in place of a batch of `People`, for measuring speed."""
    return {
        "latents": torch.randn(count, 8, 16, 16),
        "inside": torch.ones(count, 1, 16, 16),
        "vectors": torch.randn(count, 128),
        "maps": torch.rand(count, *FEATURES[MAP]),
        "to_chip": (torch.eye(2, 3) * CHIP / align.SIZES["portrait"]).expand(count, 1, 2, 3),
    }


class People(Faces):
    """Adds `vectors` [B, 128]: recogniser A's, standardised, of raw length; a mirror image has the photo's own. But for
    packs of frames, which keep no whole mesh, also `to_chip` [B, 1, 2, 3], from the view's pixels to A's chip."""

    def __init__(self, rows: Prepared, schedule: Schedule, coder: Any, digest: str, aligned: bool = False) -> None:
        super().__init__(rows, schedule, coder, digest, aligned)
        kept = rows.column("vector_a")
        self.vectors = standardised(kept.take(kept.rows(rows.keys)), raw=True)
        meshes: Any = [] if rows.variant == FRAMES else rows.facts["mesh"]
        self.to_chip = [align.between(mesh, "portrait", "dlib") for mesh in meshes]

    def also(self, rows: NDArray[np.int64], mirrored: NDArray[np.int64]) -> dict[str, Tensor]:
        made = {"vectors": torch.from_numpy(self.vectors[rows])}
        if not self.to_chip:
            return made
        affines = [
            align.mirrored(self.to_chip[row], "portrait", "dlib") if m else self.to_chip[row]
            for row, m in zip(rows, mirrored, strict=True)
        ]
        return made | {"to_chip": torch.from_numpy(np.stack(affines)).float()[:, None]}


def seen(
    tower: Any, vae: Any, batch: Batch, noisy: Tensor, velocity: Tensor, level: Tensor, below: float
) -> tuple[Tensor, Tensor]:
    """Up to a quarter of a batch's rows, of noise level up to `below`, and recogniser A's vectors [R, faces, 128] of
    what is being made there; the gradient flows to the velocity [B, C, h, w]. A row of a level above 1 is passed over.

    tower, vae: recogniser A (`VectorA`) and the base's decoder, both frozen; noisy, velocity: [B, C, h, w]; level: [B].
    Raises InputError where the batch is of a pack of frames.
    """
    if "to_chip" not in batch:
        raise InputError("A loss of likeness needs the whole mesh of each face, which a pack of frames does not keep.")
    rows = rows_below(level, below, max(1, len(level) // 4))
    estimate = objective.clean_estimate(noisy, velocity, level)[rows]
    return rows, made_vectors(tower, partial(to_images, vae), estimate, shaken(batch["to_chip"][rows]))


class Likeness:
    """1 - cosine of A, of what is being made and whom a batch shows: a last stage for systems that their papers train
    without, where the likeness gets no better.

    base: whose decoder; below: noise level up to which it sees
    """

    def __init__(self, base: str, below: float) -> None:
        self.tower, self.below = VectorA(), below
        self.vae = load.base(base).pipeline.vae.to("cpu").requires_grad_(False)

    def __call__(self, batch: Batch, noisy: Tensor, velocity: Tensor, level: Tensor, nobody: Tensor) -> Tensor:
        """nobody [B]: rows that do not say who."""
        tower, vae = (part.to(noisy.device) for part in (self.tower, self.vae))
        rows, made = seen(tower, vae, batch, noisy, velocity, level.masked_fill(nobody, 2), self.below)
        return identity_loss(made, batch["vectors"][rows, None])


def aligning(config: Config, module: Any) -> nn.Module:
    """The module, which has a `unet`, with the layers of alignment (`blocks.losses.align.Aligner`) as its `aligner`
    where the config asks for them; files of weights for use leave these out (`checkpoint.ASIDE`)."""
    if config.align:
        module.aligner = Aligner(module.unet)
    return cast(nn.Module, module)


def weighted(name: str, parts: Mapping[str, Tensor], config: Config) -> Iterator[tuple[str, Tensor]]:
    """What a step of training tells: under the system's name the sum that it learns from, then each part of it.

    parts: `diffusion`, and others by the name of their weight in the config
    """
    others = (getattr(config, part) * value for part, value in parts.items() if part != "diffusion")
    yield name, sum(others, parts["diffusion"])
    yield from ((part, value.detach()) for part, value in parts.items())


def pipeline(config: Config) -> Any:
    """The parts of the base, on the CPU, for a module to be built on, whose new layers follow from the seed."""
    torch.manual_seed(config.schedule.seed)
    made = load.base(config.base).pipeline.to("cpu")
    plain_attention(made.unet)
    return made


Draw = Callable[[Any, Any, Batch, Sequence[int], int], Iterator[Pixels]]
"""draw(pipeline, module, batch, seeds, steps): a picture of each person of a batch."""


def rows(config: Config) -> tuple[Prepared, Prepared]:
    """To learn from and to validate on. Raises InputError where the set is too small."""
    train, val = usable(source(config.data), 50, 5)
    return (train.take(by_hash(train.persons, config.people)) if config.people else train), val


def plan(
    config: Config,
    modules: dict[str, nn.Module],
    step: Callable[[Modules, Batch], Any],
    loss: Loss,
    draw: Draw,
    people: Callable[[Prepared, Schedule, Any, str, bool], People] = People,
    faces_of: tuple[Prepared, Prepared] | None = None,
    ready: Callable[[Any, Any, NDArray[np.int64]], None] = lambda module, faces, rows: None,
    rates: Mapping[str, float] | None = None,
) -> Plan:
    """Of a run that trains one module; loss: everybody said; faces_of: in place of `rows(config)`; ready: is shown
    module, `people` of the training rows and which of these to measure maps on, before the first step; rates: how many
    times as fast parameters learn whose names begin so.

    What ships is the newest average: the loss hardly shows likeness, so that it would choose a checkpoint too early.

    Raises InputError where the set is too small or there is no base.
    """
    ((name, module),) = modules.items()
    pipeline, (coder, digest) = load.base(config.base).pipeline, _coder(config)
    train, val = faces_of or rows(config)
    faces, watched = (people(rows, config.schedule, coder, digest, config.align > 0) for rows in (train, val))
    some = np.arange(min(len(val), WATCHED))
    fixed = [watched.batch(rows, np.random.default_rng(0)) for rows in np.array_split(some, min(len(some), 8))]
    judged, shown = (np.arange(min(len(val), count)) for count in (JUDGED, SHOWN))
    portraits = val.column("portrait")
    photos = np.asarray(portraits.take(portraits.rows([val.keys[i] for i in shown])))
    measured = measured_on(len(train))
    if config.align:
        cast(Any, module).aligner.fit(faces.batch(measured, np.random.default_rng(0))["maps"])
    ready(module, faces, measured)

    def pictures(modules: Modules, rows: NDArray[np.int64], steps: int) -> Pixels:
        batch = watched.batch(rows, np.random.default_rng(0))
        device = next(modules[name].parameters()).device
        batch = {key: value.to(device) for key, value in batch.items()}
        return np.stack(list(draw(pipeline.to(device), modules[name], batch, range(len(rows)), steps)))

    def validate(modules: Modules) -> dict[str, float]:
        likeness = _likeness(pictures(modules, judged, 10), watched.vectors[judged])
        return {"score": -validation_loss(modules[name], fixed, loss), "likeness_a": likeness}

    def sheet(modules: Modules) -> Pixels:
        """A photo of each of some people whom it never saw, and pictures of them."""
        made = pictures(modules, shown.repeat(EACH), 15)
        rows = [[photo, *made[i * EACH : (i + 1) * EACH]] for i, photo in enumerate(photos)]
        return grid([picture for row in rows for picture in row], 4 * (EACH + 1))

    groups = [{"params": learnt, "lr": config.rate * times} for times, learnt in _by_rate(module, rates or {})]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
    return Plan(step, modules, {name: optimizer}, faces, config.schedule, Hooks(validate, sheet, best="step"))


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(source(config.data).terms, load.place(config.base)[1])


def pinned(config: Config) -> dict[str, str]:
    """A run belongs to one base, whatever its folder is called."""
    return {"base_digest": _coder(config)[1]}


def _by_rate(module: nn.Module, rates: Mapping[str, float]) -> list[tuple[float, list[nn.Parameter]]]:
    """What learns, by how many times as fast."""
    made: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            times = next((times for start, times in rates.items() if name.startswith(start)), 1.0)
            made.setdefault(times, []).append(parameter)
    return list(made.items())


def _coder(config: Config) -> tuple[Any, str]:
    return latents.load(str(load.place(config.base)[0] / "vae"))


def _likeness(pictures: Pixels, vectors: Floats) -> float:
    """Mean cosine of A between pictures and whom they show; a picture without a face counts 0. What A sees here was
    made from its own vector: it tells how far training is, and judges nothing."""
    found = [found_in(picture) for picture in pictures]
    here = [i for i, frame in enumerate(found) if frame is not None]
    seen = vectors_a([frame for frame in found if frame is not None])
    wanted = vectors[here] / np.linalg.norm(vectors[here], axis=1, keepdims=True)
    return float((seen * wanted).sum() / len(pictures))
