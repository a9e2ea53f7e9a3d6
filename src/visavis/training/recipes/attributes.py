"""Age, gender presentation and race as a data set labels them, from the portrait frame.

Each network exists twice, from other seeds and other halves of the photos: `attributes` may stand in losses,
`attributes_judge` only measures. Ages come as bands (FairFace) or years (UTKFace): the network gives a logistic
distribution over years and learns the likelihood of the interval that the label names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.blocks.images import to_tensor
from visavis.blocks.recognise.trunk import Trunk
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.ship import ship_file
from visavis.core.types import Pixels
from visavis.faces.align import SIZES
from visavis.faces.attributes import RACES
from visavis.media.sheet import grid
from visavis.training.augment import Augment
from visavis.training.checkpoint import unpacked
from visavis.training.data import Order, enough
from visavis.training.export import FromCrops, to_onnx
from visavis.training.loop import Batch, Hooks, Modules, Plan, Schedule
from visavis.training.prepare import Prepared, prepare, resized
from visavis.training.rows import source
from visavis.training.splits import Labels, half

SIZE = 96
OLDEST = 110.0
WIDTHS, DEPTHS = (32, 64, 160), (1, 2, 2)
GENDERS = ("Female", "Male")
UNKNOWN = -1
LABELS = ("age", "gender", "race")


@dataclass(frozen=True)
class Config:
    """judge: the copy that only measures; start: a run's best.safetensors to begin from."""

    data: tuple[str, ...] = ("fairface",)
    judge: bool = False
    start: str = ""
    rate: float = 1.5e-3
    weight_decay: float = 0.05
    schedule: Schedule = Schedule(steps=6_000, batch=64, warmup=200, decay=0.4, ema=0.998, clip=5.0, every=5)

    def __post_init__(self) -> None:
        within(self, rate=(0, 1), weight_decay=(0, 1))
        if not self.data:
            raise InputError("data names at least one set.")


CONFIG = Config()


class Attributes(nn.Module):
    """Portrait frames [B, 3, 96, 96] in [-1, 1] -> age [B, 2] (middle and scale of a logistic distribution, years),
    gender [B] (logit of the label Female), race [B, 7] (logits in the order of RACES)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(WIDTHS, DEPTHS)
        self.drop = nn.Dropout(0.3)
        self.age, self.gender, self.race = (nn.Linear(WIDTHS[-1], n) for n in (2, 1, len(RACES)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.trunk(images)
        # bfloat16 would tell years in steps of a quarter.
        with torch.autocast(images.device.type, enabled=False):
            pooled = self.drop(maps.float().mean((2, 3)))
            age = self.age(pooled)
            years = torch.stack([40 + 25 * age[:, 0], 5 * torch.exp(age[:, 1].clamp(-2, 2))], 1)
            return years, self.gender(pooled)[:, 0], self.race(pooled)


class Answers(nn.Module):
    """What is shipped: age as middle and scale in years, gender and race as shares that add up to 1."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        age, gender, race = self.module(images)
        return age, torch.sigmoid(gender), race.softmax(1)


def age_loss(age: Tensor, interval: Tensor) -> Tensor:
    """Minus the log of the share of a logistic distribution within [low, high) years; all [B, 2]."""
    edges = (interval - age[:, :1]) / age[:, 1:]
    low, high = edges.unbind(1)
    # log(sigmoid(high) - sigmoid(low)) without cancellation
    inside = F.logsigmoid(high) + F.logsigmoid(-low) + torch.log1p(-torch.exp((low - high).clamp(max=-1e-4)))
    return -inside.mean()


def step(modules: Modules, batch: Batch) -> Tensor:
    age, gender, race = modules["attributes"](batch["images"])
    # A sum over those known, so that the head has its gradient in every process, also where none is.
    races = F.cross_entropy(race, batch["race"], ignore_index=UNKNOWN, reduction="sum")
    known = (batch["race"] != UNKNOWN).sum().clamp(min=1)
    loss: Tensor = age_loss(age, batch["age"]) + F.binary_cross_entropy_with_logits(gender, batch["female"])
    loss = loss + 0.5 * races / known
    return loss


def build(config: Config) -> dict[str, nn.Module]:
    """The modules that are trained, by name."""
    return {"attributes": Attributes()}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    years = torch.randint(0, 80, (count, 1)).float()
    labels = {"age": torch.cat([years, years + 10], 1), "female": torch.randint(0, 2, (count,)).float()}
    labels["race"] = torch.randint(0, len(RACES), (count,))
    return {"images": torch.rand(count, 3, SIZE, SIZE) * 2 - 1, **labels}


def plan(config: Config) -> Plan:
    """Raises InputError where a set is too small or has no such labels."""
    torch.manual_seed(seed_of(config))
    parts = [enough(_half(prepare(source(name), ["portrait"], LABELS), config.judge), 20, 5) for name in config.data]
    faces = Faces([train for train, _ in parts], config)
    val = Faces([val for _, val in parts], config)
    shown, labels = val.plain()
    modules = build(config)

    def validate(modules: Modules) -> dict[str, float]:
        made = answers(modules["attributes"], shown)
        loss = float(age_loss(torch.from_numpy(made[0]), labels["age"]))
        off = np.abs(made[0][:, 0] - labels["age"].numpy().mean(1))
        right = (made[1] > 0) == (labels["female"].numpy() > 0.5)
        known = labels["race"].numpy() != UNKNOWN
        figures = {"score": -loss, "age_off": float(off.mean()), "gender": float(right.mean())}
        if known.any():
            figures["race"] = float((made[2].argmax(1) == labels["race"].numpy())[known].mean())
        return figures

    def sheet(modules: Modules) -> Pixels:
        """Above: what it learns on; below: the validation faces whose age it tells worst."""
        off = np.abs(answers(modules["attributes"], shown)[0][:, 0] - labels["age"].numpy().mean(1))
        return grid([*faces.pictures(0, 0, 1)[0][:24], *shown[np.argsort(-off)[:24]]], 12)

    optimizer = torch.optim.AdamW(modules["attributes"].parameters(), config.rate, weight_decay=config.weight_decay)
    return Plan(step, modules, {"attributes": optimizer}, faces, config.schedule, Hooks(validate, sheet, best="score"))


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(*(source(name).terms for name in config.data))


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as attributes[_research][_judge], ONNX that reads portrait crops."""
    module = build(config)["attributes"]
    module.load_state_dict(unpacked(folder / "best.safetensors", "attributes"))
    name = "attributes" + ("" if terms == "permissive" else "_research") + ("_judge" if config.judge else "")
    data = to_onnx(FromCrops(Answers(module), SIZE), SIZES["portrait"], ["age", "gender", "race"])
    trained_on = ", ".join(config.data) + f" (half {int(config.judge) + 1} of the photos by hash)"
    return ship_file(name, ".onnx", data, terms, trained_on, "visavis train attributes --ship")


class Faces:
    """Augmented portrait frames with their labels, of one or several sets."""

    def __init__(self, parts: Sequence[Prepared], config: Config) -> None:
        if len({part.variant for part in parts}) > 1:
            raise InputError("Packs of frames and sets of photos do not go into one training.")
        stored = parts[0].column("portrait")
        keys = [key for part in parts for key in part.keys]
        labels = [row for part in parts for row in part.labels]
        self.stored, self.places = stored, stored.rows(keys)
        self.age = np.array([interval(row) for row in labels], np.float32)
        self.female = np.array([_female(row["gender"]) for row in labels], np.float32)
        self.race = np.array([RACES.index(r["race"]) if r["race"] in RACES else UNKNOWN for r in labels], np.int64)
        # "White", "Black" and "Indian" of UTKFace are other people's judgement: only FairFace's words are learnt.
        self.race[np.array(["age_band" in row for row in labels])] = UNKNOWN
        self.order = Order(len(keys), config.schedule.batch, seed_of(config))
        self.augment, self.seed = Augment(), seed_of(config)
        stored.warm()

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        pictures, rows = self.pictures(step, rank, world)
        return {"images": to_tensor(pictures), **self._labels(rows)}

    def pictures(self, step: int, rank: int, world: int) -> tuple[Pixels, NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, step, rank])
        rows = self.order(step, rank, world)
        portraits = self.stored.array()
        made = [self.augment(portraits[self.places[row]], SIZE, random) for row in rows]
        return np.stack(made), rows

    def plain(self) -> tuple[Pixels, dict[str, Tensor]]:
        """All pictures as they are, and their labels."""
        rows = np.arange(len(self.places))
        return resized(self.stored.take(self.places), SIZE), self._labels(rows)

    def _labels(self, rows: NDArray[Any]) -> dict[str, Tensor]:
        arrays = {"age": self.age[rows], "female": self.female[rows], "race": self.race[rows]}
        return {name: torch.from_numpy(values) for name, values in arrays.items()}


def interval(labels: Labels) -> tuple[float, float]:
    """[low, high) in years of a label: whole years (half a year to both sides, so that its middle is the label), a
    band ("20-29") or an open one ("70+"). Raises InputError for anything else."""
    age = labels["age"]
    if isinstance(age, int | float):
        return float(age) - 0.5, float(age) + 0.5
    try:
        if str(age).endswith("+"):
            return float(age[:-1]), OLDEST
        low, high = str(age).split("-")
        return float(low), float(high) + 1
    except ValueError as error:
        raise InputError(f"The label age is years or a band like 20-29, not {age!r}.") from error


def seed_of(config: Config) -> int:
    """Another for each copy."""
    return 2 * config.schedule.seed + 100 + int(config.judge)


def _female(label: object) -> bool:
    if label not in GENDERS:
        raise InputError(f"The label gender is {' or '.join(GENDERS)}, not {label!r}.")
    return label == GENDERS[0]


@torch.no_grad()
def answers(module: nn.Module, pictures: Pixels) -> tuple[NDArray[np.float32], ...]:
    """age [N, 2], gender [N], race [N, 7] of pictures uint8 [N, 96, 96, 3]."""
    device = next(module.parameters()).device
    made = [module.eval()(to_tensor(pictures[i : i + 64]).to(device)) for i in range(0, len(pictures), 64)]
    return tuple(np.concatenate([part[k].cpu().numpy() for part in made]) for k in range(3))


def _half(rows: Prepared, judge: bool) -> Prepared:
    mine = np.array([half(key.hex()) == int(judge) for key in rows.keys])
    return rows.take(mine | (rows.splits != "train"))
