"""Recogniser A as a torch module: the network of faces/embed.py, differentiable towards the chips."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.core import weights
from visavis.core.errors import InputError
from visavis.faces.dlib_dat import Layer, folded, read_network
from visavis.faces.embed import CHIP, LENGTH, WEIGHT

# What features() gives for one chip: (channels, rows, columns).
FEATURES: dict[str, tuple[int, ...]] = {
    "stem": (32, 72, 72),
    "stage1": (32, 35, 35),
    "stage2": (64, 17, 17),
    "stage3": (128, 8, 8),
    "stage4": (256, 4, 4),
    "stage5": (256, 2, 2),
    "pooled": (256,),
}
_STAGES = [name for name in FEATURES if name.startswith("stage")]
_STEM = ["input", "con", "affine", "relu", "max_pool"]
_BLOCK = ["con", "affine", "relu", "con", "affine", "add_prev", "relu"]
_SHRINKING = [*_BLOCK[:5], "avg_pool", *_BLOCK[5:]]


def recogniser_a() -> RecogniserA:
    """Recogniser A with the numbers of the weight store, on the CPU, in eval mode and frozen."""
    return RecogniserA(read_network(weights.path(WEIGHT))).eval().requires_grad_(False)


class RecogniserA(nn.Module):
    """dlib's ResNet-29 from the layers of its own file. Safe under torch.autocast: the vectors stay float32.

    Raises InputError for the layers of another network.
    """

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        stages = _stages(layers)
        weight, bias = _with_input(*folded(layers[1], layers[2]), layers[0].arrays["mean"])
        self.stem = _convolution(layers[1], weight, bias)
        self.pool = nn.MaxPool2d(layers[4].window, layers[4].stride, layers[4].padding)
        self.stages = nn.ModuleList(nn.Sequential(*map(_Block, stage)) for stage in stages)
        self.last = nn.Linear(FEATURES["pooled"][0], LENGTH, bias=False)
        _fill(self.last.weight, layers[-1].arrays["weight"].T)

    def forward(self, chips: Tensor, mirror: bool = False) -> Tensor:
        """Vectors of unit length, float32 [B, 128], of dlib chips: float32 [B, 3, 150, 150] RGB in [-1, 1].

        mirror: the mean over each chip and its mirror image, for twice the time; embed_chips does so by default.
        Raises ValueError for other shapes.
        """
        if mirror:
            straight, mirrored = self(torch.cat([chips, chips.flip(-1)])).chunk(2)
            return F.normalize(straight + mirrored, dim=1)
        pooled = self.features(chips)["pooled"]
        with torch.autocast(chips.device.type, enabled=False):
            return F.normalize(F.linear(pooled, self.last.weight), dim=1)

    def features(self, chips: Tensor) -> dict[str, Tensor]:
        """The maps [B, ...] that FEATURES lists, all at least 0: after the first convolution ("stem"), at the end of
        each stage ("stage1" to "stage5"), and the mean over the last map's pixels ("pooled", never below float32).

        chips: float32 [B, 3, 150, 150] RGB in [-1, 1]. Raises ValueError for other shapes.
        """
        if not chips.is_floating_point() or chips.ndim != 4 or chips.shape[1:] != (3, CHIP, CHIP):
            raise ValueError(f"Chips are float [B, 3, {CHIP}, {CHIP}], not {chips.dtype} {list(chips.shape)}.")
        found = {"stem": F.relu(self.stem(chips))}
        x: Tensor = self.pool(found["stem"])
        for name, stage in zip(_STAGES, self.stages, strict=True):
            found[name] = x = stage(x)
        # bfloat16 has three digits, too few for cosines near 1.
        found["pooled"] = x.to(self.last.weight.dtype).mean((2, 3))
        return found


class _Block(nn.Module):
    """Two convolutions added to their input; a block that shrinks averages its input to half the size."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.first = _convolution(layers[0], *folded(layers[0], layers[1]))
        self.second = _convolution(layers[3], *folded(layers[3], layers[4]))
        pool = layers[5]
        self.short = nn.AvgPool2d(pool.window, pool.stride, pool.padding) if _shrinks(layers) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.relu(self.first(x)))
        short: Tensor = self.short(x)
        # dlib adds tensors of different sizes as if the smaller ones went on with zeros.
        wide = tuple(map(max, y.shape, short.shape))
        return F.relu(_padded(y, wide) + _padded(short, wide))


def _stages(layers: list[Layer]) -> list[list[list[Layer]]]:
    """The layers of each block of each stage; a stage begins with a block that shrinks, the first with the stem."""
    kinds = [layer.kind for layer in layers]
    stages: list[list[list[Layer]]] = []
    at, end = len(_STEM), len(layers) - 2
    while at < end:
        size = len(_SHRINKING) if kinds[at : at + len(_SHRINKING)] == _SHRINKING else len(_BLOCK)
        block = layers[at : min(at + size, end)]
        if [layer.kind for layer in block] not in (_BLOCK, _SHRINKING):
            break
        if _shrinks(block) or not stages:
            stages.append([])
        stages[-1].append(block)
        at += size
    whole = at == end and kinds[: len(_STEM)] == _STEM and kinds[end:] == ["avg_pool", "fc"]
    channels = [len(stage[-1][3].arrays["bias"]) for stage in stages]
    if not whole or layers[0].size != (CHIP, CHIP) or channels != [FEATURES[name][0] for name in _STAGES]:
        raise InputError("This dlib network is not the face recogniser.")
    return stages


def _shrinks(block: list[Layer]) -> bool:
    return block[5].kind == "avg_pool"


def _with_input(
    weight: NDArray[np.float64], bias: NDArray[np.float64], mean: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """dlib's input layer, (pixel - mean) / 256 with pixel = 127.5 (chip + 1), inside the first convolution: exact,
    because that one has no padding."""
    shift = (127.5 - mean.astype(np.float64)) / 256
    return weight * 127.5 / 256, bias + (weight * shift[None, :, None, None]).sum((1, 2, 3))


def _convolution(layer: Layer, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> nn.Conv2d:
    outputs, inputs = weight.shape[:2]
    made = nn.Conv2d(inputs, outputs, layer.window, layer.stride, layer.padding)
    _fill(made.weight, weight)
    assert made.bias is not None
    _fill(made.bias, bias)
    return made


def _fill(parameter: Tensor, values: NDArray[np.floating]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def _padded(x: Tensor, wide: tuple[int, ...]) -> Tensor:
    if x.shape == wide:
        return x
    channels, rows, columns = (w - s for w, s in zip(wide[1:], x.shape[1:], strict=True))
    return F.pad(x, (0, columns, 0, rows, 0, channels))
