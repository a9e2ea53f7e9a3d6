"""Recogniser B, the judge: a small network that learns another recogniser's answers from the portrait frame alone.

Its teacher sees the ArcFace crop of a photo, it sees the portrait frame, so that it reads made pictures, which hold
nothing outside that frame. Besides the photos it learns the teacher's answers on mixes of two faces (mixing.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.blocks.images import to_tensor
from visavis.blocks.recognise.trunk import PlaceHead, Trunk
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.files import write_whole
from visavis.core.progress import track
from visavis.core.settings import private_folder, settings
from visavis.core.ship import ship_file
from visavis.core.types import Floats, Pixels
from visavis.faces.align import SIZES
from visavis.media.sheet import grid
from visavis.training.augment import Augment
from visavis.training.cache import CHUNK
from visavis.training.checkpoint import unpacked
from visavis.training.data import Order, enough
from visavis.training.export import FromCrops, to_onnx
from visavis.training.loop import Batch, Hooks, Modules, Plan, Schedule
from visavis.training.mixing import Mixes
from visavis.training.prepare import Prepared, prepare, resized
from visavis.training.rows import source
from visavis.training.teachers import Teacher, both_ways, teacher

SIZE = 112
LENGTH = 128
TARGETS = 1  # changes whenever the same photos and teachers would give other targets


@dataclass(frozen=True)
class Config:
    """teachers: whose answers are learnt; views: the photo itself and so many mixes less one; plain: share of the
    photos themselves among the samples; margin: weight of ArcFace's loss (arXiv 1801.07698) on photos of a set that
    names people; start: a run's best.safetensors to begin from."""

    data: str = "fairface"
    teachers: tuple[str, ...] = ("mobilefacenet_foamliu",)
    views: int = 4
    plain: float = 0.35
    margin: float = 0.0
    start: str = ""
    rate: float = 2e-3
    weight_decay: float = 0.02
    schedule: Schedule = Schedule(steps=10_000, batch=128, warmup=300, decay=0.25, ema=0.999, clip=5.0, every=10)

    def __post_init__(self) -> None:
        within(self, views=(1, 16), plain=(0, 1), margin=(0, 10), rate=(0, 1), weight_decay=(0, 1))
        if not self.teachers:
            raise InputError("teachers names at least one.")


CONFIG = Config()
COLUMNS = ("portrait", "recognise")


class Judge(nn.Module):
    """Portrait frames [B, 3, 112, 112] in [-1, 1] -> float32 [B, LENGTH] of unit length."""

    def __init__(self, length: int = LENGTH) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = PlaceHead(240, SIZE // 16, length)

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.head(self.trunk(images)).float(), dim=1)


class Step:
    """One less the cosine to the teacher's answer; with a margin, also whose photo it is."""

    def __init__(self, config: Config) -> None:
        self.margin = config.margin

    def __call__(self, modules: Modules, batch: Batch) -> Tensor:
        made = modules["judge"](batch["images"])
        loss: Tensor = (1 - (made * batch["targets"]).sum(1)).mean()
        if self.margin:
            named = batch["who"] >= 0
            # The angles to the people's directions need more digits than bfloat16 has.
            with torch.autocast(made.device.type, enabled=False):
                loss = loss + self.margin * modules["people"](made[named].float(), batch["who"][named])
        return loss


def build(config: Config) -> dict[str, nn.Module]:
    """The modules that are trained, by name. Several teachers' answers stand side by side."""
    return {"judge": Judge(sum(teacher(name).length for name in config.teachers))}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    targets = F.normalize(torch.randn(count, LENGTH), dim=1)
    return {"images": torch.rand(count, 3, SIZE, SIZE) * 2 - 1, "targets": targets}


def plan(config: Config, kind: Callable[..., Faces] | None = None) -> Plan:
    """kind: in place of Faces. Raises InputError where the set is too small or a teacher cannot be had."""
    torch.manual_seed(config.schedule.seed)
    rows, val = enough(prepare(source(config.data), COLUMNS), 50, 5)
    teachers = [teacher(name) for name in config.teachers]
    faces = (kind or Faces)(rows, config, [targets(rows, teachers, view) for view in range(config.views)])
    asked = targets(val, teachers, 0)
    modules = build(config)
    if config.margin:
        modules["people"] = _people(rows, sum(one.length for one in teachers))
    parameters = [p for part in modules.values() for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, config.rate, weight_decay=config.weight_decay)
    shown = crops(val)

    def validate(modules: Modules) -> dict[str, float]:
        return {"cosine": float(np.mean(np.sum(vectors(modules["judge"], shown) * asked, 1)))}

    def sheet(modules: Modules) -> Pixels:
        """Above: what it learns on; below: the validation faces that it tells worst."""
        cosine = np.sum(vectors(modules["judge"], shown) * asked, 1)
        return grid([*faces.pictures(0, 0, 1)[0][:24], *resized(shown[np.argsort(cosine)[:24]], SIZE)], 12)

    hooks = Hooks(validate, sheet, best="cosine")
    return Plan(Step(config), modules, {"judge": optimizer}, faces, config.schedule, hooks)


def _people(rows: Prepared, length: int) -> nn.Module:
    """A direction for each person, which that person's photos shall be near by a margin."""
    from pytorch_metric_learning.losses import ArcFaceLoss

    count = len(np.unique(rows.persons))
    if count < 2 or count == len(rows):
        raise InputError(f"margin needs several photos of each of several people; {rows.name} names none such.")
    return cast(nn.Module, ArcFaceLoss(count, length))


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(source(config.data).terms, *(teacher(name).terms for name in config.teachers))


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights of a run as `judge_b`, ONNX that reads portrait crops."""
    module = build(config)["judge"]
    module.load_state_dict(unpacked(folder / "best.safetensors", "judge"))
    trained_on = f"{config.data}; taught by {', '.join(config.teachers)}"
    name = "judge_b" if terms == "permissive" else "judge_b_research"
    data = to_onnx(FromCrops(module, SIZE), SIZES["portrait"], ["vectors"])
    return ship_file(name, ".onnx", data, terms, trained_on, "visavis train judge --ship")


class Faces:
    """Augmented portrait frames, as they are or mixed, and the teacher's answer on the same faces."""

    def __init__(self, rows: Prepared, config: Config, answers: list[NDArray[np.float16]]) -> None:
        self.config, self.answers = config, answers
        self.mixes = [Mixes.drawn(len(rows), view) for view in range(config.views)]
        stored = rows.column("portrait")
        self.stored, self.places = stored, stored.rows(rows.keys)
        self.who = np.unique(rows.persons, return_inverse=True)[1]
        self.order = Order(len(rows), config.schedule.batch, config.schedule.seed)
        self.augment = Augment()
        stored.warm()

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        """images, targets, and who: the number of the person, -1 for a mix."""
        pictures, views, rows = self.pictures(step, rank, world)
        answers = np.stack([self.answers[view][row] for view, row in zip(views, rows, strict=True)])
        who = torch.from_numpy(np.where(views == 0, self.who[rows], -1))
        return {"images": to_tensor(pictures), "targets": torch.from_numpy(answers.astype(np.float32)), "who": who}

    def pictures(self, step: int, rank: int, world: int) -> tuple[Pixels, NDArray[np.int64], NDArray[np.int64]]:
        random = np.random.default_rng([self.config.schedule.seed, step, rank])
        rows = self.order(step, rank, world)
        mixed = random.integers(1, self.config.views, len(rows)) if self.config.views > 1 else np.zeros_like(rows)
        views = np.where(random.random(len(rows)) < self.config.plain, 0, mixed)
        made, portraits = [], self.stored.array()
        for row, view in zip(rows, views, strict=True):
            mix = self.mixes[view]
            if view:
                face, partner = (portraits[self.places[i]] for i in (row, mix.partner[row]))
                face = mix.mixed(row, face, partner, "portrait")
            else:
                face = self.portrait(row, random)
            made.append(self.augment(face, SIZE, random))
        return np.stack(made), views, rows

    def portrait(self, row: int, random: np.random.Generator) -> Pixels:
        """The frame of a photo as it is learnt from."""
        return np.asarray(self.stored.array()[self.places[row]])


def targets(rows: Prepared, teachers: list[Teacher], view: int) -> NDArray[np.float16]:
    """The teachers' answers on one view of all rows: float16 [N, D] of unit length, kept in the cache."""
    digest = hashlib.sha256(b"".join(rows.keys)).hexdigest()
    text = f"{TARGETS} {[t.key for t in teachers]} {digest} {view}"
    kept = settings().cache / "training" / f"targets-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), np.float16)
    stored, mix = rows.column("recognise"), Mixes.drawn(len(rows), view)
    places, crops = stored.rows(rows.keys), stored.array()
    parts = []
    for start in track(range(0, len(rows), CHUNK), f"teacher's answers {view + 1}"):
        part = range(start, min(start + CHUNK, len(rows)))
        faces = [mix.mixed(i, crops[places[i]], crops[places[mix.partner[i]]], "recognise") for i in part]
        parts.append(both_ways(teachers, np.stack(faces)).astype(np.float16))
    made = np.concatenate(parts)
    private_folder(kept.parent)
    import io

    file = io.BytesIO()
    np.save(file, made)
    write_whole(kept, [file.getvalue()])
    return made


def crops(rows: Prepared) -> Pixels:
    stored = rows.column("portrait")
    return np.asarray(stored.take(stored.rows(rows.keys)))


@torch.no_grad()
def vectors(module: nn.Module, portraits: Pixels) -> Floats:
    """float32 [N, D] of unit length of portrait crops uint8 [N, 128, 128, 3]."""
    module.eval()
    device: Any = next(module.parameters()).device
    parts = [portraits[i : i + 64] for i in range(0, len(portraits), 64)]
    return np.concatenate([module(to_tensor(resized(part, SIZE)).to(device)).cpu().numpy() for part in parts])
