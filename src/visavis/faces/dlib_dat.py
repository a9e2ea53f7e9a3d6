"""Reader of dlib's .dat files: the networks that `dlib::serialize` writes, here recogniser A.

The format, from dlib's serialize.h and dnn/*.h:

- whole number: a control byte (low four bits: how many bytes follow, top bit: negative), then little-endian bytes
- real number: two whole numbers, mantissa and exponent to the base 2; bool: the character "0" or "1"
- string: its length as a whole number, then its bytes
- tensor: version 2, four sizes (samples, channels, rows, columns), then little-endian float32 without control bytes
- network: each layer writes its version, then the layer below, then itself. A file is therefore a row of version
  numbers from the loss down to the input, the input's record, and the layers' records from the input upwards. Tags and
  skips leave nothing but a version number; which tag `add_prev` adds is known to the C++ type alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError

_VERSIONS = {
    "con": ("con_4", "con_5", "con_6"),
    "fc": ("fc_2", "fc_3"),
    "affine": ("affine_", "affine_2"),
    "relu": ("relu_", "relu_2"),
    "max_pool": ("max_pool_2",),
    "avg_pool": ("avg_pool_2",),
    "add_prev": ("add_prev_",),
    "input": ("input_rgb_image_sized",),
    "loss": ("loss_metric_2",),
}
_KINDS = {version: kind for kind, versions in _VERSIONS.items() for version in versions}
_MOST_LAYERS = 1000


@dataclass(frozen=True, eq=False)
class Layer:
    """kind: con, affine, relu, max_pool, avg_pool, add_prev, fc or input

    arrays: float32. con: weight [out, in, rows, columns], bias [out]; affine: gamma, beta [channels];
            fc: weight [in, out], in ordered by channel, row, column; input: mean [3] of red, green, blue
    window, stride, padding: (rows, columns) of con and pools; window (0, 0) is the whole picture
    size:   (rows, columns) of the input
    """

    kind: str
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    window: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)


def read_network(path: Path) -> list[Layer]:
    """All layers with their numbers, from the input upwards, without the loss; InputError for anything else."""
    try:
        return _Reader(path.read_bytes()).network()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except _FormatError as error:
        raise InputError(f"{path} is not a whole dlib network ({error}); delete it and fetch it again.") from error


def named_arrays(layers: list[Layer]) -> dict[str, NDArray[np.float32]]:
    """Every array as "INDEX.KIND.NAME", index by place in the network ("0.input.mean", "1.con.weight", ...)."""
    return {f"{i}.{layer.kind}.{name}": a for i, layer in enumerate(layers) for name, a in layer.arrays.items()}


def folded(con: Layer, affine: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight and bias, float64, of a convolution with the affine layer above it."""
    gamma, beta = affine.arrays["gamma"].astype(np.float64), affine.arrays["beta"].astype(np.float64)
    return con.arrays["weight"] * gamma[:, None, None, None], con.arrays["bias"] * gamma + beta


class _FormatError(Exception):
    pass


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def network(self) -> list[Layer]:
        self.expect_kind("loss", "0 layers")
        self.real(), self.real()  # margin and distance threshold of the training loss
        versions = self.layer_versions()
        layers = [self.layer("input")]
        for version in (v for v in reversed(versions) if v != 1):  # 1: tags and skips
            layers.append(self.layer())
            self.tail(version)
        if self.at != len(self.data):
            raise _FormatError(f"{len(self.data) - self.at} bytes too many")
        return layers

    def expect_kind(self, kind: str, where: str) -> None:
        self.whole()
        if _KINDS.get(self.text()) != kind:
            raise _FormatError(f"no {kind} after {where}")

    def layer_versions(self) -> list[int]:
        # The lowest layer that holds the input has version 2 or 3 of its own; the input's name follows, whose length
        # is above any version number.
        versions: list[int] = []
        while True:
            start, number = self.at, self.whole()
            if number > 3:
                self.at = start
                return versions
            versions.append(number)
            if not 1 <= number <= 3 or len(versions) > _MOST_LAYERS:
                raise _FormatError("unknown layer versions")

    def layer(self, expected: str | None = None) -> Layer:
        name = self.text()
        kind = _KINDS.get(name)
        if kind is None or (expected and kind != expected):
            raise _FormatError(f"unknown layer {name!r}")
        layer: Layer = getattr(self, "_" + kind)(name)
        return layer

    def tail(self, version: int) -> None:
        for _ in range(3):  # set up, gradient stale, output disabled
            self.flag()
        for _ in range(3):  # training leftovers, empty in a cleaned network
            self.tensor()
        if version == 3:
            self.whole()  # how many samples one input makes

    def _input(self, name: str) -> Layer:
        mean = np.array([self.real() for _ in range(3)], np.float32)
        return Layer("input", {"mean": mean}, size=(self.whole(), self.whole()))

    def _con(self, name: str) -> Layer:
        values, filters = self.tensor().ravel(), self.whole()
        window, stride, padding = self.pair(), self.pair(), self.pair()
        shape, _ = self.sizes(), self.sizes()
        for _ in range(4):  # multipliers of training
            self.real()
        for _ in range(_VERSIONS["con"].index(name)):  # use_bias, use_relu
            self.flag()
        count = math.prod(shape)
        if shape[0] != filters or shape[2:] != list(window) or len(values) != count + filters:
            raise _FormatError("a convolution without bias or of another size than it says")
        arrays = {"weight": values[:count].reshape(shape), "bias": values[count:]}
        return Layer("con", arrays, window, stride, padding)

    def _fc(self, name: str) -> Layer:
        outputs, inputs = self.whole(), self.whole()
        values = self.tensor().ravel()
        self.sizes(), self.sizes()
        has_bias = self.whole() == 0
        for _ in range(4):
            self.real()
        if name == "fc_3":
            self.flag()
        if has_bias or len(values) != inputs * outputs:
            raise _FormatError("a last layer with bias or of another size than it says")
        return Layer("fc", {"weight": values.reshape(inputs, outputs)})

    def _affine(self, name: str) -> Layer:
        values = self.tensor().ravel()
        channels = math.prod(self.sizes())
        self.sizes()
        if self.whole() != 0 or len(values) != 2 * channels:
            raise _FormatError("an affine layer that is not by channel")
        if name == "affine_2":
            self.flag()
        return Layer("affine", {"gamma": values[:channels], "beta": values[channels:]})

    def _relu(self, name: str) -> Layer:
        if name == "relu_2":
            self.flag()
        return Layer("relu")

    def _max_pool(self, name: str) -> Layer:
        return Layer("max_pool", {}, self.pair(), self.pair(), self.pair())

    def _avg_pool(self, name: str) -> Layer:
        return Layer("avg_pool", {}, self.pair(), self.pair(), self.pair())

    def _add_prev(self, name: str) -> Layer:
        return Layer("add_prev")

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise _FormatError("it ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def whole(self) -> int:
        control = self.take(1)[0]
        count = control & 0x0F
        if control & 0x70 or not 1 <= count <= 8:
            raise _FormatError("no number where one belongs")
        value = int.from_bytes(self.take(count), "little")
        return -value if control & 0x80 else value

    def real(self) -> float:
        mantissa, exponent = self.whole(), self.whole()
        if abs(exponent) > 2000:  # dlib's codes of infinity and not-a-number are 32000 and above
            raise _FormatError("a number that is not finite")
        return math.ldexp(mantissa, exponent)

    def flag(self) -> bool:
        byte = self.take(1)
        if byte not in (b"0", b"1"):
            raise _FormatError("no yes or no where one belongs")
        return byte == b"1"

    def text(self) -> str:
        return self.take(self.whole()).decode("latin-1")

    def pair(self) -> tuple[int, int]:
        return self.whole(), self.whole()

    def sizes(self) -> list[int]:
        if self.whole() != 1:
            raise _FormatError("sizes of an unknown version")
        return [self.whole() for _ in range(4)]

    def tensor(self) -> NDArray[np.float32]:
        if self.whole() != 2:
            raise _FormatError("a tensor of an unknown version")
        shape: list[Any] = [self.whole() for _ in range(4)]
        if min(shape) < 0:
            raise _FormatError("a tensor of negative size")
        values = np.frombuffer(self.take(4 * math.prod(shape)), "<f4")
        if not np.isfinite(values).all():
            raise _FormatError("numbers that are not finite")
        return values.astype(np.float32).reshape(shape)
