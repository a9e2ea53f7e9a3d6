"""Trains the autoencoder on portrait frames: L1, gradients, pooled L1, maps of A, late a light patch critic.

Pixels outside the photo are in no loss. `smooth` asks that latents moved and scaled decode to the picture moved and
scaled (EQ-VAE, arXiv 2502.09509, section 3.2), which makes them easier for a generator to learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.bases.autoencoder.latents import SHIPPED, SOME, folded, latents, load, statistics
from visavis.bases.autoencoder.model import autoencoder
from visavis.bases.faces import usable
from visavis.blocks.images import to_pixels, to_tensor
from visavis.blocks.losses.adversarial import PatchCritic, hinge_critic, hinge_maker
from visavis.blocks.losses.perceptual import Perceptual
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.settings import scratch
from visavis.core.ship import ship_folder
from visavis.core.types import Pixels
from visavis.faces import align
from visavis.media.sheet import grid
from visavis.training.data import Order
from visavis.training.loop import Batch, Hooks, Modules, Plan, Schedule
from visavis.training.prepare import Prepared
from visavis.training.rows import source

SIZE = align.SIZES["portrait"]
WATCHED = 256  # validation frames


@dataclass(frozen=True)
class Config:
    """kl: weight of the latents' divergence from a normal distribution (a mean over their numbers); perceptual: of the
    maps of A; smooth: share of batches whose latents are moved and scaled; critic: weight of the critic, which begins
    after `late` of the run; crop: side of a square of each frame that is learnt from (a quarter of the pixels of four
    times as many faces teach more; whole frames are for the end); groups: of every norm; start: a run's
    best.safetensors to begin from."""

    data: str = "fairface"
    start: str = ""
    rate: float = 6e-4
    kl: float = 3e-4
    perceptual: float = 0.05
    smooth: float = 0.25
    critic: float = 0.01
    late: float = 0.75
    crop: int = SIZE
    groups: int = 4
    schedule: Schedule = Schedule(steps=8_000, batch=16, warmup=200, decay=0.3, ema=0.998, clip=1.0, every=10)

    def __post_init__(self) -> None:
        within(self, rate=(0, 1), kl=(0, 1), perceptual=(0, 10), smooth=(0, 1), critic=(0, 10), late=(0, 1))
        within(self, crop=(32, SIZE))
        if self.crop % 8:
            raise InputError(f"crop is a multiple of 8, not {self.crop}.")
        if self.groups not in (1, 2, 4, 8, 16):
            raise InputError(f"groups is 1, 2, 4, 8 or 16, not {self.groups}.")


CONFIG = Config()


def build(config: Config) -> dict[str, nn.Module]:
    """The modules that are trained, by name."""
    modules: dict[str, nn.Module] = {"autoencoder": Coder(config.groups)}
    if config.critic:
        modules["critic"] = PatchCritic()
    return modules


def made_up(config: Config) -> dict[str, Any]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    pictures = torch.rand(count, 3, SIZE, SIZE) * 2 - 1
    return {"images": pictures, "inside": torch.ones(count, 1, SIZE, SIZE), "moved": False, "late": False}


class Step:
    """The losses of one batch; keeps A's first stages on the batch's device."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.perceptual = Perceptual() if config.perceptual else None

    def __call__(self, modules: Modules, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        config, images, inside = self.config, batch["images"], batch["inside"]
        affine = placement(len(images), images.device) if batch["moved"] else None
        made, divergence = modules["autoencoder"](images, affine)
        if affine is not None:
            images, inside = seen(images, affine), seen(inside, affine)
        loss = reconstruction(made, images, inside) + config.kl * divergence
        if self.perceptual is not None:
            self.perceptual.to(images.device)
            loss = loss + config.perceptual * self.perceptual(made, images, inside)
        if not batch["late"]:
            yield "autoencoder", loss
            return
        # What lies outside the photo is the same in both, so that no critic looks at it.
        shown = made * inside + images * (1 - inside)
        yield "autoencoder", loss + config.critic * hinge_maker(modules["critic"](shown))
        yield "critic", hinge_critic(modules["critic"](images), modules["critic"](shown.detach()))


class Coder(nn.Module):
    """The autoencoder as it is trained: pictures [B, 3, 128, 128] in, what the sampled latents decode to and their
    divergence from a normal distribution out. affine [B, 2, 3]: where the latents are moved before they are decoded."""

    def __init__(self, groups: int = 16) -> None:
        super().__init__()
        self.network = autoencoder(groups)

    def forward(self, images: Tensor, affine: Tensor | None = None) -> tuple[Tensor, Tensor]:
        posterior = self.network.encode(images).latent_dist
        latents = posterior.sample()
        if affine is not None:
            latents = seen(latents, affine)
        return self.network.decode(latents).sample, posterior.kl().mean() / latents[0].numel()


def placement(count: int, device: torch.device) -> Tensor:
    """Random affines [count, 2, 3] in units of half a picture: scale 0.6 to 1, shifted within the picture."""
    scale = 0.6 + 0.4 * torch.rand(count, device=device)
    shift = (torch.rand(count, 2, device=device) * 2 - 1) * (1 - scale)[:, None]
    zero = torch.zeros_like(scale)
    return torch.stack([scale, zero, shift[:, 0], zero, scale, shift[:, 1]], 1).view(count, 2, 3)


def seen(maps: Tensor, affine: Tensor) -> Tensor:
    """Maps [B, C, H, W] through affines of `placement`; borders are replicated."""
    # Autocast would round coordinates to three digits.
    with torch.autocast(maps.device.type, enabled=False):
        places = F.affine_grid(affine, list(maps.shape), align_corners=False)
        return F.grid_sample(maps.float(), places, mode="bilinear", padding_mode="border", align_corners=False)


def reconstruction(made: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """L1 + 0.7 of the gradients + 0.3 of 4 x 4 means, over the places inside the photo."""
    off = (made.float() - real) * inside
    count = inside.sum().clamp(min=1) * 3
    across = (off[..., 1:] - off[..., :-1]).abs().sum() + (off[..., 1:, :] - off[..., :-1, :]).abs().sum()
    pooled = F.avg_pool2d(off, 4).abs().sum() * 16
    return (off.abs().sum() + 0.7 * across / 2 + 0.3 * pooled) / count


def plan(config: Config) -> Plan:
    """Raises InputError where the set is too small."""
    torch.manual_seed(config.schedule.seed)
    rows, val = usable(source(config.data), 50, 5)
    faces, shown = Faces(rows, config), Faces(val.take(np.arange(min(len(val), WATCHED))), config)
    images, inside = shown.at(np.arange(len(shown)), None)
    modules = build(config)
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.AdamW(part.parameters(), config.rate * (0.5 if name == "critic" else 1), betas=betas)
        for (name, part), betas in zip(modules.items(), ((0.9, 0.99), (0.5, 0.9)), strict=False)
    }

    def validate(modules: Modules) -> dict[str, float]:
        made, spread = decoded(modules["autoencoder"], images)
        return {"psnr": float(psnr(made, images, inside).mean()), "spread": spread}

    def sheet(modules: Modules) -> Pixels:
        """Photo and copy, side by side, of the frames that it copies worst, and of others."""
        made, _ = decoded(modules["autoencoder"], images)
        order = np.argsort(psnr(made, images, inside).numpy())
        chosen = [*order[:12], *order[:: max(1, len(order) // 12)][:12]]
        both = [(to_pixels(images[i : i + 1])[0], to_pixels(made[i : i + 1])[0]) for i in chosen]
        return grid([picture for pair in both for picture in pair], 8)

    return Plan(Step(config), modules, optimizers, faces, config.schedule, Hooks(validate, sheet, best="psnr"))


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(source(config.data).terms)


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as the folder `autoencoder` in diffusers' layout, its latents folded."""
    coder, digest = load(str(folder / "best.safetensors"))
    rows, _ = usable(source(config.data), 50, 5)
    some = rows.take(np.arange(min(SOME, len(rows))))
    made = folded(coder, *map(torch.from_numpy, statistics(latents(some, coder, digest), some)))
    with scratch("autoencoder-") as place:
        made.half().save_pretrained(Path(place) / SHIPPED)
        return ship_folder(SHIPPED, Path(place) / SHIPPED, terms, config.data, "visavis train autoencoder --ship")


class Faces:
    """Portrait frames, half of them mirrored, and where they lie inside their photos."""

    def __init__(self, rows: Prepared, config: Config) -> None:
        self.config, self.facts, self.stored = config, rows.facts, rows.column("portrait")
        self.places = self.stored.rows(rows.keys)
        self.order = Order(len(rows), config.schedule.batch, config.schedule.seed)
        self.stored.warm()

    def __len__(self) -> int:
        return len(self.places)

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        config = self.config
        random = np.random.default_rng([config.schedule.seed, step])
        late = bool(config.critic) and step >= config.late * config.schedule.steps
        moved = bool(random.random() < config.smooth)
        images, inside = self.at(
            self.order(step, rank, world), np.random.default_rng([config.schedule.seed, step, rank])
        )
        return {"images": images, "inside": inside, "moved": moved and not late, "late": late}

    def at(self, rows: NDArray[np.int64], random: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        """Images [B, 3, S, S] and masks [B, 1, S, S] of these rows: whole frames, or with `random` mirrored squares."""
        images = to_tensor(self.stored.take(self.places[rows]))
        masks = torch.from_numpy(np.stack([inside_photo(self.facts[row]) for row in rows])).float()[:, None]
        if random is not None:
            flipped = torch.from_numpy(random.random(len(rows)) < 0.5)[:, None, None, None]
            images, masks = torch.where(flipped, images.flip(-1), images), torch.where(flipped, masks.flip(-1), masks)
            corners = random.integers(0, SIZE - self.config.crop + 1, (len(rows), 2))
            images, masks = squares(images, corners, self.config.crop), squares(masks, corners, self.config.crop)
        return images, masks


def squares(maps: Tensor, corners: NDArray[np.int64], side: int) -> Tensor:
    """The square [side, side] of each map [B, C, H, W] whose top left pixel is (y, x) of corners [B, 2]."""
    return torch.stack([part[:, y : y + side, x : x + side] for part, (y, x) in zip(maps, corners, strict=True)])


def inside_photo(facts: Any) -> NDArray[np.bool_]:
    """bool [128, 128]: which pixels of a face's portrait frame lie inside its photo."""
    if not facts["padding"]:
        return np.ones((SIZE, SIZE), bool)
    steps = np.arange(SIZE) + 0.5
    centres = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    places = align.apply(align.invert(align.to_template(facts["mesh"], "portrait")), centres)
    inside = (places >= 0).all(1) & (places < facts["size"]).all(1)
    return np.asarray(inside.reshape(SIZE, SIZE))


@torch.no_grad()
def decoded(coder: nn.Module, images: Tensor, batch: int = 16) -> tuple[Tensor, float]:
    """Pictures through the latents' means and back, on the CPU, and the latents' deviation."""
    module: Any = coder.eval().network
    made, latents = [], []
    for part in torch.split(images, batch):
        latents.append(module.encode(part.to(module.device)).latent_dist.mean)
        made.append(module.decode(latents[-1]).sample.float().cpu().clamp(-1, 1))
    return torch.cat(made), float(torch.cat(latents).std())


def psnr(made: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB [B] over the places inside the photo, of pictures in [-1, 1]."""
    squared = ((made - real) * inside).square().sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3)).clamp(min=1))
    return 10 * torch.log10(4 / squared.clamp(min=1e-10))
