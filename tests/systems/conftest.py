"""Bases of tiny width, a few faces to learn from, and a place where shipping one's own weights changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.bases.conftest import faces, nano, sd15  # noqa: F401

from visavis.core import registry

QUICK = [f"schedule.{name}" for name in ("steps=2", "batch=4", "warmup=0", "workers=0", "precision=float32")]


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """recogniser(length): an ONNX file that reads ArcFace crops, as the authors' own would."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def make(length: int) -> Path:
        path = tmp_path_factory.mktemp("recogniser") / f"{length}.onnx"
        if not path.exists():
            mix = np.random.default_rng(0).standard_normal((3 * 14 * 14, length)).astype(np.float32)
            pool = helper.make_node("AveragePool", ["crops"], ["small"], kernel_shape=[8, 8], strides=[8, 8])
            nodes = [
                pool,
                helper.make_node("Flatten", ["small"], ["flat"]),
                helper.make_node("MatMul", ["flat", "mix"], ["vectors"]),
            ]
            given = helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["N", 3, 112, 112])
            made = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", length])
            graph = helper.make_graph(nodes, "recogniser", [given], [made], [numpy_helper.from_array(mix, "mix")])
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        return path

    return make


@pytest.fixture
def own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What ships but for the systems' weights, and what a test ships besides."""
    import visavis.core.ship
    import visavis.core.weights
    from visavis.core.weights import shipped_folder

    folder = tmp_path / "shipped"
    folder.mkdir()
    systems = {name for card in registry.cards().values() for name in card.weights}
    for path in shipped_folder().iterdir():
        if path.name != "index.json" and path.stem not in systems:  # through a link to a folder a test would ship
            (folder / path.name).symlink_to(path)
    index = json.loads((shipped_folder() / "index.json").read_text())
    kept = {name: entry for name, entry in index.items() if name.split("/")[0] not in systems}
    (folder / "index.json").write_text(json.dumps(kept))
    for module in (visavis.core.ship, visavis.core.weights):
        monkeypatch.setattr(module, "shipped_folder", lambda: folder)
    visavis.core.weights.reread()
    yield folder
    monkeypatch.undo()
    visavis.core.weights.reread()
