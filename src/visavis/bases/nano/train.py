"""Trains nano: flow matching in the autoencoder's latents, on captions made of labels and of what perception measures.

`align` asks the middle of the UNet to predict what of recogniser A's maps of the clean photo tells people apart
(`blocks.losses.align`). What ships was trained on the maps as they are, which are nearly the same for all faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.bases.autoencoder.latents import BATCH, folded, latents, load, statistics, terms_of
from visavis.bases.autoencoder.train import inside_photo
from visavis.bases.faces import usable
from visavis.bases.nano import folder
from visavis.bases.nano.captions import described
from visavis.bases.nano.card import card
from visavis.bases.nano.words import LENGTH
from visavis.blocks.diffusion import objective
from visavis.blocks.identity.recogniser_a import FEATURES, recogniser_a
from visavis.blocks.images import to_tensor
from visavis.blocks.losses.align import MAP, Aligner, middle
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.settings import scratch
from visavis.core.ship import ship_folder
from visavis.core.types import Pixels
from visavis.faces.embed import CHIP
from visavis.media.sheet import grid
from visavis.training.cache import CHUNK, Column
from visavis.training.checkpoint import origin, unpacked
from visavis.training.data import Order
from visavis.training.loop import Batch, Hooks, Modules, Plan, Schedule
from visavis.training.precision import fast, plain_attention
from visavis.training.prepare import Prepared
from visavis.training.rows import source

WATCHED = 512  # validation frames
FITTED = 2048  # faces from which the mean and deviation of A's maps are taken
SHOWN = (
    "",
    "a woman of 25, looking straight, eyes open, sharp",
    "a smiling man of 45, looking straight, sharp",
    "a serious old man, sharp",
    "a girl of 8, smiling, sharp",
    "a woman of 60, looking left, sharp",
    "a man of 30, looking right, mouth closed, sharp",
    "a person, eyes closed",
)
GUIDANCE, STEPS = 3.0, 20
STANDARD = 0.02  # how far means may be from 0 and deviations from 1


@dataclass(frozen=True)
class Config:
    """autoencoder: a folder or a run's best.safetensors, else the shipped one; align: weight of A's maps; each:
    pictures of each prompt on the sheet; start: a run's best.safetensors to begin from."""

    data: str = "fairface"
    autoencoder: str = ""
    start: str = ""
    rate: float = 3e-4
    weight_decay: float = 0.01
    align: float = 0.5
    each: int = 4
    schedule: Schedule = Schedule(steps=20_000, batch=32, warmup=300, decay=0.2, ema=0.9995, clip=1.0, every=15)

    def __post_init__(self) -> None:
        within(self, rate=(0, 1), weight_decay=(0, 1), align=(0, 10), each=(1, 64))


CONFIG = Config()


class Nano(nn.Module):
    """Text encoder and UNet, the layers that predict A's maps from the UNet's middle, and the mean and deviation [8] of
    the autoencoder's latents, in whose units it learns."""

    own = ("mean", "deviation")

    def __init__(self, align: bool) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("deviation", torch.ones(8))
        self.text, self.unet = folder.text_encoder(), folder.unet()
        plain_attention(self.unet)
        self.aligner = Aligner(self.unet) if align else None

    def forward(self, noisy: Tensor, level: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity [B, 8, 16, 16] of latents at levels [B] under tokens [B, 32], and what the UNet's middle gives."""
        with middle(self.unet) as kept:
            said = self.text(tokens)[0]
            velocity: Tensor = self.unet(noisy, objective.timestep(level), said, return_dict=False)[0]
        return velocity, kept[0]


def build(config: Config) -> dict[str, nn.Module]:
    """The modules that are trained, by name."""
    return {"nano": Nano(config.align > 0)}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    return {
        "latents": torch.randn(count, 8, 16, 16),
        "inside": torch.ones(count, 1, 16, 16),
        "tokens": torch.randint(4, 100, (count, 32)),
        "maps": torch.rand(count, *FEATURES[MAP]),
    }


class Step:
    """Flow matching on one batch, and the alignment with A."""

    def __init__(self, config: Config) -> None:
        self.align = config.align

    def __call__(self, modules: Modules, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        clean = batch["latents"]
        level, noise = objective.levels(len(clean), clean.device), torch.randn_like(clean)
        flow, apart = losses(modules["nano"], batch, level, noise)
        yield "nano", flow + self.align * apart
        yield "flow", flow.detach()


def standard(module: nn.Module, latents: Tensor) -> Tensor:
    """Latents in units of their channels' deviation, around their mean."""
    nano: Any = getattr(module, "module", module)
    made: Tensor = (latents - nano.mean[:, None, None]) / nano.deviation[:, None, None]
    return made


def losses(module: nn.Module, batch: Batch, level: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Flow matching's loss over places inside the photo, and that of the alignment there."""
    nano: Any = getattr(module, "module", module)
    clean, inside = standard(module, batch["latents"]), batch["inside"]
    velocity, seen = module(objective.noised(clean, noise, level), level, batch["tokens"])
    flow = objective.flow_loss(velocity, clean, noise, inside)
    return flow, flow.new_zeros(()) if nano.aligner is None else nano.aligner(seen, batch["maps"], inside)


def plan(config: Config) -> Plan:
    """Raises InputError where the set is too small or no autoencoder is named."""
    torch.manual_seed(config.schedule.seed)
    coder, digest = load(config.autoencoder)
    train, val = usable(source(config.data), 50, 5)
    modules = build(config)
    nano: Any = modules["nano"]
    mean, deviation = statistics(latents(train, coder, digest), train)
    # Latents that have these units already stay what they are, and the autoencoder's file the same to the byte: what
    # was computed with it holds for nano's own.
    if max(np.abs(mean).max(), np.abs(deviation - 1).max()) > STANDARD:
        nano.mean.copy_(torch.from_numpy(mean))
        nano.deviation.copy_(torch.from_numpy(deviation))
    aligned = config.align > 0
    faces, watched = (Faces(rows, config.schedule, coder, digest, aligned) for rows in (train, val))
    if aligned:
        nano.aligner.fit(faces.batch(measured_on(len(train)), np.random.default_rng(0))["maps"])
    optimizer = torch.optim.AdamW(
        modules["nano"].parameters(), config.rate, weight_decay=config.weight_decay, fused=True
    )
    shown = np.arange(min(len(val), WATCHED))
    fixed = [watched.batch(rows, np.random.default_rng(0)) for rows in np.array_split(shown, min(len(shown), 8))]

    def validate(modules: Modules) -> dict[str, float]:
        return {"score": -validation_loss(modules["nano"], fixed, lambda *given: losses(*given)[0])}

    def sheet(modules: Modules) -> Pixels:
        """Half a row for each prompt of SHOWN, the same noise at every checkpoint."""
        return grid(list(pictures(modules["nano"], faces, SHOWN, config.each)), 2 * config.each)

    return Plan(
        Step(config), modules, {"nano": optimizer}, faces, config.schedule, Hooks(validate, sheet, best="score")
    )


def measured_on(count: int) -> NDArray[np.int64]:
    """Which of so many faces tell how A's maps lie."""
    return np.linspace(0, count - 1, min(count, FITTED)).astype(np.int64)


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(source(config.data).terms, terms_of(config.autoencoder))


def pinned(config: Config) -> dict[str, str]:
    """A run belongs to one autoencoder, whatever its file is called."""
    return {"autoencoder_digest": load(config.autoencoder)[1]}


def ship(config: Config, run: Path, terms: Terms) -> Path:
    """Ships the best weights as the pipeline folder `nano`."""
    module: Any = build(config)["nano"]
    module.load_state_dict(unpacked(run / "best.safetensors", "nano"))
    coder, digest = load(config.autoencoder)
    if origin(run / "best.safetensors").get("autoencoder_digest") != digest:
        raise InputError("The autoencoder is no longer the one that this run learnt with; name it by its own file.")
    coder = folded(coder, module.mean, module.deviation)
    with scratch("nano-") as made:
        folder.write(Path(made) / "nano", coder, module.unet, module.text)
        parts: list[Any] = [coder, module.unet, module.text]
        parameters = sum(p.numel() for part in parts for p in part.parameters())
        (Path(made) / "nano" / "README.md").write_text(card(parameters, config.data, terms), "utf-8")
        return ship_folder("nano", Path(made) / "nano", terms, config.data, "visavis train nano --ship")


Loss = Callable[[nn.Module, Batch, Tensor, Tensor], Tensor]
"""loss(module, batch, level [B], noise [B, C, H, W]): flow matching, a scalar."""


@torch.no_grad()
def validation_loss(module: nn.Module, batches: Sequence[Batch], loss: Loss) -> float:
    """On fixed batches with fixed noise, at evenly spread levels."""
    module.eval()
    device, total = next(module.parameters()).device, 0.0
    for number, batch in enumerate(batches):
        batch = {k: v.to(device) for k, v in batch.items()}
        noise = torch.randn(batch["latents"].shape, generator=torch.Generator().manual_seed(number)).to(device)
        level = (torch.arange(len(noise), device=device) + 0.5) / len(noise)
        total += float(loss(module, batch, level, noise))
    return total / len(batches)


@torch.no_grad()
def pictures(module: nn.Module, faces: Faces, prompts: tuple[str, ...], each: int, seed: int = 0) -> Pixels:
    """uint8 [prompts x each, 128, 128, 3] as the stock pipeline samples them."""
    nano: Any = module.eval()
    device = next(nano.parameters()).device
    pipeline = folder.pipeline_of(folded(faces.coder, nano.mean, nano.deviation).to(device), nano.unet, nano.text)
    made = []
    for number, prompt in enumerate(prompts):
        generator = torch.Generator().manual_seed(seed * 1000 + number)
        options: dict[str, Any] = {"num_images_per_prompt": each, "generator": generator, "output_type": "np"}
        made.append(pipeline(prompt, num_inference_steps=STEPS, guidance_scale=GUIDANCE, **options).images)
    return np.asarray(np.rint(np.concatenate(made) * 255), np.uint8)


class Faces:
    """Latents, captions as tokens, where the photo ends, and A's maps, of a view of each face."""

    def __init__(self, rows: Prepared, schedule: Schedule, coder: Any, digest: str, aligned: bool = False) -> None:
        self.schedule, self.coder = schedule, coder
        self.described = described(rows)
        self.inside = np.stack([_shrunk(inside_photo(facts)) for facts in rows.facts])
        self.latents = latents(rows, coder, digest)
        self.places = self.latents.rows(rows.keys)
        self.maps = maps(rows) if aligned else None
        self.at = self.maps.rows(rows.keys) if self.maps else self.places
        self.order = Order(len(rows), schedule.batch, schedule.seed)
        self.tokenizer = folder.tokenizer()
        for kept in filter(None, (self.latents, self.maps)):
            kept.warm()

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        rows = self.order(step, rank, world)
        return self.batch(rows, np.random.default_rng([self.schedule.seed, step, rank]))

    def batch(self, rows: NDArray[np.int64], random: np.random.Generator) -> dict[str, Tensor]:
        """What a step takes of these rows: half of them mirrored."""
        mirrored = (random.random(len(rows)) < 0.5).astype(np.int64)
        captions = [self.described.caption(row, bool(m), random) for row, m in zip(rows, mirrored, strict=True)]
        inside = np.stack(
            [self.inside[row][:, ::-1] if m else self.inside[row] for row, m in zip(rows, mirrored, strict=True)]
        )
        whole = self.latents.take(self.places[rows])[np.arange(len(rows)), mirrored].astype(np.float32)
        made = {
            "latents": torch.from_numpy(whole),
            "inside": torch.from_numpy(np.ascontiguousarray(inside))[:, None],
            "tokens": tokens(self.tokenizer, captions),
        }
        if self.maps is not None:
            made["maps"] = torch.from_numpy(
                self.maps.take(self.at[rows])[np.arange(len(rows)), mirrored].astype(np.float32)
            )
        return made | self.also(rows, mirrored)

    def also(self, rows: NDArray[np.int64], mirrored: NDArray[np.int64]) -> dict[str, Tensor]:
        """What else a step takes of these rows, for those who learn more."""
        return {}


def tokens(tokenizer: Any, captions: list[str]) -> Tensor:
    """int64 [N, 32], padded as the stock pipeline pads."""
    made: Tensor = tokenizer(
        captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    return made


def maps(rows: Prepared) -> Column:
    """The column float16 [2, 256, 4, 4] of A's maps of every portrait frame and of its mirror image.

    A sees the frame where it usually sees its chip: what counts here is that places of both networks are the same.
    """
    kept = Column("maps_a", f"1 {MAP} {rows.variant}".strip(), "<f2", (2, *FEATURES[MAP]))
    stored = rows.column("portrait")
    missing = np.flatnonzero(kept.rows(rows.keys) < 0)
    device = PartialState().device
    network = recogniser_a().to(device)
    for start in track(range(0, len(missing), CHUNK), "maps of recogniser A"):
        part = missing[start : start + CHUNK]
        keys = [rows.keys[i] for i in part]
        images = F.interpolate(to_tensor(stored.take(stored.rows(keys))), (CHIP, CHIP), mode="bilinear")
        both = torch.stack([images, images.flip(-1)], 1).flatten(0, 1)
        with fast(network):
            made = torch.cat([network.features(some.to(device))[MAP].cpu() for some in torch.split(both, BATCH)])
        kept.add(keys, made.view(len(keys), 2, *FEATURES[MAP]).half().numpy())
    return kept


def _shrunk(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """float32 [16, 16]: the share of each latent's pixels that lies inside the photo."""
    return np.asarray(inside.reshape(16, 8, 16, 8).mean((1, 3)), np.float32)
