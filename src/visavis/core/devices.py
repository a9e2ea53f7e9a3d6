"""The two runtimes of faces/: onnxruntime sessions (shared) and litert interpreters (one for each thread)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from visavis.core.errors import InputError
from visavis.core.settings import settings

_lock = threading.Lock()
_sessions: dict[tuple[str, str, int], Any] = {}
_local = threading.local()
SELF_TEST_TOLERANCE = 1.4e-2  # of a vector this far off, 1 - cosine is 1e-4


def onnx_session(path: Path, threads: int | None = None) -> Any:
    """The onnxruntime session of a file, made once for each device and thread count; safe to use from many threads.

    threads: of one run, where the caller itself spreads runs over the cores; else the setting's.
    Raises InputError where the asked device cannot be had or answers differently from the CPU.
    """
    now = settings()
    threads = threads or now.threads
    key = (str(path), now.device, threads)
    with _lock:
        if key not in _sessions:
            session = _open(path, now.device, threads)
            if now.device != "cpu":
                _self_test(session, _open(path, "cpu", threads), now.device)
            _sessions[key] = session
        return _sessions[key]


def litert(path: Path) -> Callable[[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    """A function that runs a .tflite file on one input array and returns copies of all outputs.

    litert's interpreters are not safe for threads: each thread gets its own.
    """
    made: dict[str, Any] = _local.__dict__.setdefault("interpreters", {})
    if str(path) not in made:
        made[str(path)] = _interpreter(path)
    interpreter = made[str(path)]
    index = interpreter.get_input_details()[0]["index"]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run(values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        interpreter.set_tensor(index, values)
        interpreter.invoke()
        return [interpreter.get_tensor(i) for i in outputs]

    return run


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with silent_stderr():
        # These networks take under a millisecond: a second thread costs more than it brings.
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


def _open(path: Path, device: str, threads: int) -> Any:
    import onnxruntime as ort

    if device == "cuda" and "CUDAExecutionProvider" not in ort.get_available_providers():
        raise InputError(
            "The device cuda cannot be had: this onnxruntime has no CUDA provider; docs/gpu.md says how to exchange it."
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads sleep instead of spinning: measured, two photos at a time take 0.6 of the time, and one alone as
    # long as before, with half the processor time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CUDAExecutionProvider"] if device == "cuda" else ["CPUExecutionProvider"]
    session = ort.InferenceSession(path.read_bytes(), options, providers=providers)
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise InputError("The device cuda cannot be had: CUDA did not start; `visavis info` shows what was found.")
    return session


def _self_test(session: Any, reference: Any, device: str) -> None:
    random = np.random.default_rng(0)
    kinds = {entry.name: np.uint8 if entry.type == "tensor(uint8)" else np.float32 for entry in session.get_inputs()}
    feed = {
        entry.name: random.uniform(0, 255, [d if isinstance(d, int) else 1 for d in entry.shape])
        for entry in session.get_inputs()
    }
    for name, array in feed.items():
        if array.ndim == 4 and array.shape[-1] == 1:
            array = random.uniform(0, 255, (array.shape[0], 3, 160, 160))
        feed[name] = array.astype(kinds[name])
    for ours, theirs in zip(session.run(None, feed), reference.run(None, feed), strict=True):
        a, b = np.ravel(ours).astype(np.float64), np.ravel(theirs).astype(np.float64)
        if np.linalg.norm(a - b) > SELF_TEST_TOLERANCE * max(float(np.linalg.norm(b)), 1e-6):
            raise InputError(f"The device {device} answers differently from the CPU and is not used.")


class silent_stderr:
    """litert's C++ side announces its delegates on file descriptor 2; a user's terminal is not the place."""

    def __enter__(self) -> None:
        import os

        _lock.acquire()
        self._saved = os.dup(2)
        self._null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(self._null, 2)

    def __exit__(self, *_: object) -> None:
        import os

        os.dup2(self._saved, 2)
        os.close(self._saved)
        os.close(self._null)
        _lock.release()
