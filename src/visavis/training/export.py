"""A trained network as an ONNX file that the base install runs without torch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPSET = 17
HALF_FROM = 64  # numbers from which on an initializer is stored as float16


class FromCrops(nn.Module):
    """uint8 crops [N, S, S, 3] RGB -> a network's answer on them, resized to the size that it reads."""

    def __init__(self, module: nn.Module, size: int) -> None:
        super().__init__()
        self.module, self.size = module, size

    def forward(self, crops: Tensor) -> Tensor:
        images = crops.permute(0, 3, 1, 2).float() / 127.5 - 1
        if self.size != crops.shape[1]:
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        answer: Tensor = self.module(images)
        return answer


def to_onnx(module: nn.Module, crop: int, outputs: Sequence[str]) -> bytes:
    """The ONNX model of a module: "crops" uint8 [N, crop, crop, 3] -> the outputs [N, ...], weights as float16."""
    import onnx

    file = io.BytesIO()
    example = torch.zeros(2, crop, crop, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The newer exporter needs a package of its own and gives the same graph for plain convolutions.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval().cpu(),
            (example,),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=["crops"],
            output_names=list(outputs),
            dynamic_axes={name: {0: "N"} for name in ("crops", *outputs)},
        )
    model = onnx.load_from_string(file.getvalue())
    _halve(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _halve(model: object) -> None:
    """Weights lie in the file as float16 and are cast on loading; all computing is float32."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph  # type: ignore[attr-defined]
    casts = []
    for entry in graph.initializer:
        values = numpy_helper.to_array(entry)
        if values.dtype != np.float32 or values.size < HALF_FROM:
            continue
        name = entry.name
        entry.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
