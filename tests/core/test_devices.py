"""Sessions of networks: the threads that were asked for, and a device that answers otherwise than the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from visavis.core.devices import _open, _self_test, onnx_session
from visavis.core.errors import InputError


def network(folder: Path, off: float) -> Path:
    """16 numbers to 32, `off` of each answer's length at right angles to what it is with 0."""
    mix = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)
    mix[:, 16:] = 0
    mix[:, 16:] = off * mix[:, :16]
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", n]) for name, n in (("x", 16), ("y", 32))
    )
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "mix"], ["y"])],
        "network",
        [given],
        [made],
        [numpy_helper.from_array(mix, "mix")],
    )
    path = folder / f"{off}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_a_session_takes_the_threads_that_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = network(tmp_path, 0.0)
    for threads in ("1", "3"):
        monkeypatch.setenv("VISAVIS_THREADS", threads)
        assert onnx_session(path).get_session_options().intra_op_num_threads == int(threads)
    assert onnx_session(path, threads=2).get_session_options().intra_op_num_threads == 2


def test_a_device_that_answers_otherwise_than_the_cpu_is_not_used(tmp_path: Path) -> None:
    """The limit is 1 - cosine of 1e-4, which is an angle of 0.014."""
    reference = _open(network(tmp_path, 0.0), "cpu", 1)
    _self_test(_open(network(tmp_path, 0.012), "cpu", 1), reference, "cuda")
    with pytest.raises(InputError, match="cuda answers differently"):
        _self_test(_open(network(tmp_path, 0.016), "cpu", 1), reference, "cuda")
