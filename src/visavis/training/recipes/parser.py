"""The parser that looks at pixels: a small U-Net on CelebAMask-HQ (for research only), in the portrait frame."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from visavis.blocks.images import to_tensor
from visavis.core.catalogue import Terms, strictest
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.core.ship import ship_file
from visavis.core.types import Pixels
from visavis.faces.align import SIZES, apply, invert, to_template
from visavis.faces.parse import CLASSES, centres, colours, sampled
from visavis.media.sheet import grid
from visavis.training.augment import Augment
from visavis.training.checkpoint import unpacked
from visavis.training.data import Order, enough
from visavis.training.export import FromCrops, to_onnx
from visavis.training.loop import Batch, Hooks, Modules, Plan, Schedule
from visavis.training.prepare import Prepared, prepare
from visavis.training.rows import source

SIZE = SIZES["portrait"]
SWAPPED = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear"}  # in a mirror


@dataclass(frozen=True)
class Config:
    """data: a set with label maps 0..18 as PNG in the column `mask`; start: a run's best.safetensors to begin from."""

    data: str = "celebamask"
    start: str = ""
    width: int = 32
    rate: float = 2e-3
    weight_decay: float = 0.02
    schedule: Schedule = Schedule(steps=4_000, batch=16, warmup=100, decay=0.4, ema=0.998, clip=5.0, every=5)

    def __post_init__(self) -> None:
        within(self, width=(4, 256), rate=(0, 1), weight_decay=(0, 1))


CONFIG = Config()


class ParserUNet(nn.Module):
    """[B, 3, 128, 128] in [-1, 1] -> logits [B, 19, 128, 128]: a U-Net (arXiv 1505.04597) whose first and last layers
    work on 2 x 2 pixels at a time, for speed on CPUs."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width, 2 * width, 3 * width, 5 * width]
        self.stem = _block(12, widths[0])
        self.down = nn.ModuleList(_block(a, b) for a, b in itertools.pairwise(widths))
        self.middle = _block(widths[-1], widths[-1])
        self.up = nn.ModuleList(
            _block(below + beside, beside) for below, beside in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(widths[0], 4 * len(CLASSES), 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(images, 2))
        kept = []
        for block in self.down:
            kept.append(x)
            x = block(F.avg_pool2d(x, 2))
        x = x + self.middle(x)
        for block, beside in zip(self.up, reversed(kept), strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), beside], 1))
        return F.pixel_shuffle(self.last(x), 2)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for below in (inputs, outputs):
        layers += [nn.Conv2d(below, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def step(modules: Modules, batch: Batch) -> Tensor:
    """Cross-entropy, and the soft Dice loss over classes that are on the picture, for small parts."""
    logits, labels = modules["parser"](batch["images"]).float(), batch["labels"]
    shares, truth = logits.softmax(1), F.one_hot(labels, len(CLASSES)).permute(0, 3, 1, 2).float()
    both, all_ = (shares * truth).sum((0, 2, 3)), (shares + truth).sum((0, 2, 3))
    seen = truth.sum((0, 2, 3)) > 0
    dice = 1 - (2 * both[seen] / all_[seen].clamp(min=1)).mean()
    loss: Tensor = F.cross_entropy(logits, labels, label_smoothing=0.02) + dice
    return loss


def build(config: Config) -> dict[str, nn.Module]:
    """The modules that are trained, by name."""
    return {"parser": ParserUNet(config.width)}


def made_up(config: Config) -> dict[str, Tensor]:
    """A batch of noise, for measuring speed."""
    count = config.schedule.batch
    labels = torch.randint(0, len(CLASSES), (count, SIZE, SIZE))
    return {"images": torch.rand(count, 3, SIZE, SIZE) * 2 - 1, "labels": labels}


def plan(config: Config) -> Plan:
    """Raises InputError where the set is too small or has no masks."""
    torch.manual_seed(config.schedule.seed)
    train_rows, val_rows = enough(prepare(source(config.data), ["portrait"], ["mask"]), 20, 5)
    faces, val = Faces(train_rows, config), Faces(val_rows, config)

    def validate(modules: Modules) -> dict[str, float]:
        return {"miou": float(np.nanmean(ious(predicted(modules["parser"], val.pictures), val.labels)))}

    def sheet(modules: Modules) -> Pixels:
        """Photo, truth and answer of the validation faces that it parses worst."""
        made = predicted(modules["parser"], val.pictures)
        order = np.argsort([(a == b).mean() for a, b in zip(made, val.labels, strict=True)])[:12]
        shown = [(val.pictures[i], colours()[val.labels[i]], colours()[made[i]]) for i in order]
        return grid([picture for three in shown for picture in three], 9)

    modules = build(config)
    optimizer = torch.optim.AdamW(modules["parser"].parameters(), config.rate, weight_decay=config.weight_decay)
    return Plan(step, modules, {"parser": optimizer}, faces, config.schedule, Hooks(validate, sheet, best="miou"))


def terms(config: Config) -> Terms:
    """Of weights trained so."""
    return strictest(source(config.data).terms)


def ship(config: Config, folder: Path, terms: Terms) -> Path:
    """Ships the best weights as `parser_unet`, ONNX that reads portrait crops."""
    module = build(config)["parser"]
    module.load_state_dict(unpacked(folder / "best.safetensors", "parser"))
    data = to_onnx(FromCrops(module, SIZE), SIZE, ["logits"])
    return ship_file("parser_unet", ".onnx", data, terms, config.data, "visavis train parser --ship")


class Faces:
    """Portrait frames with label maps, both moved in the same way."""

    def __init__(self, rows: Prepared, config: Config) -> None:
        stored = rows.column("portrait")
        self.pictures: Pixels = stored.take(stored.rows(rows.keys))
        self.labels = np.stack([_labels(rows, i) for i in range(len(rows))])
        self.order = Order(len(rows), config.schedule.batch, config.schedule.seed)
        self.place = Augment(scale=(0.8, 1.3), turn=15, shift=10)  # moves picture and labels
        self.look = Augment(scale=(1, 1), turn=0, shift=0, mirror=0)  # changes the picture alone
        self.seed = config.schedule.seed
        self.mirrored = mirrored()

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        random = np.random.default_rng([self.seed, step, rank])
        made = [self._moved(row, random) for row in self.order(step, rank, world)]
        labels = np.stack([labels for _, labels in made]).astype(np.int64)
        return {"images": to_tensor(np.stack([picture for picture, _ in made])), "labels": torch.from_numpy(labels)}

    def _moved(self, row: int, random: np.random.Generator) -> tuple[Pixels, NDArray[np.uint8]]:
        matrix, is_mirrored = self.place.placement(SIZE, SIZE, random)
        picture = self.look(self.place.moved(self.pictures[row], matrix, SIZE), SIZE, random)
        to_source = np.array(matrix).reshape(2, 3)
        labels = sampled(self.labels[row], apply(to_source, centres(SIZE).reshape(-1, 2)).reshape(SIZE, SIZE, 2))
        return picture, (self.mirrored[labels] if is_mirrored else labels).astype(np.uint8)


def mirrored() -> NDArray[np.int64]:
    """int64 [19]: what each class is called in a mirror."""
    made = np.arange(len(CLASSES))
    for a, b in SWAPPED.items():
        i, j = CLASSES.index(a), CLASSES.index(b)
        made[[i, j]] = j, i
    return made


def _labels(rows: Prepared, i: int) -> NDArray[np.uint8]:
    """uint8 [128, 128]: the row's mask in its portrait frame."""
    try:
        mask = np.asarray(Image.open(io.BytesIO(rows.labels[i]["mask"])).convert("L"))
    except (OSError, TypeError) as error:
        raise InputError(f"{rows.name}: the mask of photo {rows.keys[i].hex()[:12]} is no picture.") from error
    if mask.max() >= len(CLASSES):
        raise InputError(f"{rows.name}: a mask holds {mask.max()}; its classes are 0 to {len(CLASSES) - 1}.")
    width, height = rows.facts[i]["size"]
    on_photo = apply(invert(to_template(rows.facts[i]["mesh"], "portrait")), centres(SIZE).reshape(-1, 2))
    on_mask = on_photo * [mask.shape[1] / width, mask.shape[0] / height]
    return np.asarray(sampled(mask, on_mask).reshape(SIZE, SIZE), np.uint8)


@torch.no_grad()
def predicted(module: nn.Module, pictures: Pixels) -> NDArray[np.uint8]:
    """uint8 [N, 128, 128]: the class of each pixel."""
    device = next(module.parameters()).device
    parts = [pictures[i : i + 16] for i in range(0, len(pictures), 16)]
    made = [module.eval()(to_tensor(part).to(device)).argmax(1).to(torch.uint8).cpu().numpy() for part in parts]
    return np.concatenate(made)


def ious(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Intersection over union of each class over all pictures; NaN for a class that is nowhere."""
    counts = np.bincount(truth.astype(np.int64).ravel() * len(CLASSES) + made.ravel(), minlength=len(CLASSES) ** 2)
    table = counts.reshape(len(CLASSES), -1).astype(np.float64)
    union = table.sum(0) + table.sum(1) - np.diag(table)
    return np.asarray(np.divide(np.diag(table), union, out=np.full(len(CLASSES), np.nan), where=table.sum(1) > 0))
