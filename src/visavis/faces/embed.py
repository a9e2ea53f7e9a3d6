"""Recogniser A: dlib's ResNet-29 as an ONNX graph built once from dlib's own file, and the vectors it gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.errors import InputError
from visavis.core.settings import settings
from visavis.core.types import Floats, Pixels
from visavis.faces.dlib_dat import Layer, folded, read_network

WEIGHT = "recogniser_a"
# Changes whenever the same face would give other numbers (cut, graph, mirror image): vectors of different recipes are
# never compared.
RECIPE = "a2-mirror"
CHIP = 150
LENGTH = 128
# Chips a run, each with its mirror image. Measured: the time for one is flat from 8 pictures on; more takes memory.
BATCH = 8
# From so many pictures for each core on, a core does best with pictures of its own; fewer share each layer's work.
OWN_PICTURES = 8
_OPSET, _IR = 17, 8


def embed_chips(chips: Pixels, *, mirror: bool = True) -> Floats:
    """Vectors of unit length, float32 [N, 128], of dlib chips: uint8 [N, 150, 150, 3] RGB. Safe from many threads.

    Each is the mean over the chip and its mirror image: measured on other people, an eighth fewer same-person pairs
    are missed at one false-match rate, for twice the time. `mirror=False` gives what the dlib library gives.
    """
    chips = np.asarray(chips)
    if chips.dtype != np.uint8 or chips.ndim != 4 or chips.shape[1:] != (CHIP, CHIP, 3):
        raise InputError(f"Chips are uint8 [N, {CHIP}, {CHIP}, 3], not {chips.dtype} {list(chips.shape)}.")
    if len(chips) == 0:
        return np.empty((0, LENGTH), np.float32)
    now = settings()
    pictures = len(chips) * (2 if mirror else 1)
    if now.device != "cpu" or now.threads == 1 or pictures < OWN_PICTURES * now.threads:
        session = onnx_session(onnx_file())
        return np.concatenate([_run(session, chips[i : i + BATCH], mirror) for i in range(0, len(chips), BATCH)])
    session = onnx_session(onnx_file(), threads=1)
    size = min(BATCH, -(-len(chips) // now.threads))
    with ThreadPoolExecutor(now.threads) as pool:
        parts = pool.map(lambda i: _run(session, chips[i : i + size], mirror), range(0, len(chips), size))
        return np.concatenate(list(parts))


def _run(session: Any, chips: Pixels, mirror: bool) -> Floats:
    if not mirror:
        return _unit(session.run(None, {"chips": np.ascontiguousarray(chips)})[0])
    vectors = _unit(session.run(None, {"chips": np.concatenate([chips, chips[:, :, ::-1]])})[0])
    return _unit(vectors[: len(chips)] + vectors[len(chips) :])


def _unit(vectors: Floats) -> Floats:
    # Even a picture of one colour gives a vector far from zero; the limit only keeps a division by zero away.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def onnx_file() -> Path:
    """The graph of recogniser A in the cache, built from the weight store's file where it is absent."""
    return weights.derived(WEIGHT, RECIPE, lambda raw: onnx_a(read_network(raw)))


def onnx_a(layers: list[Layer]) -> bytes:
    """The ONNX model of recogniser A: "chips" uint8 [N, 150, 150, 3] RGB -> "vectors" float32 [N, 128], unscaled.

    Weights lie in the file as float16 (half the size) and are cast on loading; all computing is float32.
    """
    return _Graph().build(layers)


class _Graph:
    """Walks dlib's layers upwards. An affine layer is folded into the convolution below it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def build(self, layers: list[Layer]) -> bytes:
        from onnx import TensorProto, helper

        if [layer.kind for layer in layers[:3]] != ["input", "con", "affine"] or layers[0].size != (CHIP, CHIP):
            raise InputError("This dlib network does not begin like the face recogniser.")
        x = self.node("Cast", ["chips"], to=TensorProto.FLOAT)
        x = self.node("Transpose", [x], perm=[0, 3, 1, 2])
        shape: tuple[int, ...] = (3, CHIP, CHIP)
        # `block` is what the next add_prev adds: the input of the block, averaged where an avg_pool stands before it.
        block = (x, shape)
        for index in range(1, len(layers)):
            layer, below = layers[index], layers[index - 1]
            if layer.kind == "con":
                if layers[index + 1].kind != "affine":
                    raise InputError("This dlib network has a convolution without its affine layer.")
                weight, bias = folded(layer, layers[index + 1])
                if index == 1:
                    weight, bias = _with_input(weight, bias, layers[0].arrays["mean"])
                x, shape = self.convolution(x, shape, layer, weight, bias, half=index > 1)
            elif layer.kind == "relu":
                x = self.node("Relu", [x])
                block = (x, shape) if below.kind == "add_prev" else block
            elif layer.kind == "max_pool":
                x, shape = self.pool("MaxPool", x, shape, layer)
                block = (x, shape)
            elif layer.kind == "avg_pool" and layer.window == (0, 0):
                x = self.node("GlobalAveragePool", [x])
                x, shape = self.node("Flatten", [x], axis=1), (shape[0], 1, 1)
            elif layer.kind == "avg_pool":
                block = self.pool("AveragePool", *block, layer)
            elif layer.kind == "add_prev":
                # dlib adds tensors of different sizes as if the smaller ones went on with zeros.
                wide = tuple(map(max, shape, block[1]))
                x = self.node("Add", [self.padded(x, shape, wide), self.padded(*block, wide)])
                shape = wide
            elif layer.kind == "fc":
                x = self.node("MatMul", [x, self.constant(layer.arrays["weight"], half=True)])
                shape = (layer.arrays["weight"].shape[1], 1, 1)
        if shape != (LENGTH, 1, 1):
            raise InputError(f"This dlib network gives {shape[0]} numbers; the face recogniser gives {LENGTH}.")
        self.nodes[-1].output[0] = "vectors"
        graph = helper.make_graph(
            self.nodes,
            "recogniser_a",
            [helper.make_tensor_value_info("chips", TensorProto.UINT8, ["N", CHIP, CHIP, 3])],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", LENGTH])],
            self.initializers,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR, producer_name="visavis")
        return bytes(model.SerializeToString())

    def convolution(
        self,
        x: str,
        shape: tuple[int, ...],
        layer: Layer,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64],
        half: bool,
    ) -> tuple[str, tuple[int, ...]]:
        names = [x, self.constant(weight, half), self.constant(bias, half=False)]
        y = self.node("Conv", names, kernel_shape=layer.window, strides=layer.stride, pads=layer.padding * 2)
        return y, (len(bias), *_after(shape, layer))

    def pool(self, kind: str, x: str, shape: tuple[int, ...], layer: Layer) -> tuple[str, tuple[int, ...]]:
        y = self.node(kind, [x], kernel_shape=layer.window, strides=layer.stride, pads=layer.padding * 2)
        return y, (shape[0], *_after(shape, layer))

    def padded(self, x: str, shape: tuple[int, ...], wide: tuple[int, ...]) -> str:
        if shape == wide:
            return x
        pads = np.array([0, 0, 0, 0, 0, *(w - s for w, s in zip(wide, shape, strict=True))], np.int64)
        return self.node("Pad", [x, self.constant(pads, half=False)])

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: NDArray[Any], half: bool) -> str:
        from onnx import TensorProto, numpy_helper

        name = f"constant_{len(self.initializers)}"
        kind = np.float16 if half else np.int64 if values.dtype == np.int64 else np.float32
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return self.node("Cast", [name], to=TensorProto.FLOAT) if half else name


def _with_input(
    weight: NDArray[np.float64], bias: NDArray[np.float64], mean: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """dlib's input layer, (pixel - mean) / 256, inside the first convolution: exact, because that one has no padding.

    These weights become too small for float16 and stay float32.
    """
    weight = weight / 256
    return weight, bias - (weight * mean.astype(np.float64)[None, :, None, None]).sum((1, 2, 3))


def _after(shape: tuple[int, ...], layer: Layer) -> tuple[int, int]:
    # dlib rounds down, as ONNX does by default.
    rows, columns = (
        (size + 2 * pad - window) // stride + 1
        for size, pad, window, stride in zip(shape[1:], layer.padding, layer.window, layer.stride, strict=True)
    )
    return rows, columns
