"""The peer library in a Python of its own: face_recognition needs old setuptools and compiles dlib for minutes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.files import locked
from visavis.core.settings import private_folder, scratch, settings

PACKAGES = ("setuptools<81", "dlib==20.0.1", "face_recognition==1.3.0", "face_recognition_models==0.3.0")
WORKER = Path(__file__).with_name("peer_face_recognition.py")


class Peer:
    """A running worker; use it in `with`. Answers of `ask` are the dictionaries of peer_face_recognition.py."""

    def __init__(self, python: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [str(python or peer_python()), str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            # Its Python must not see our packages.
            env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")},
        )
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Peer:
        self._folder = scratch("peer-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # what a dead process never read
                    pipe.close()
        if self._folder:
            self._folder.cleanup()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request and its answer; InputError where the worker fails."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in
        assert pipe_out
        try:
            pipe_in.write(json.dumps({"do": do, **request}) + "\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise InputError(f"face_recognition failed in {self._process.args[0]!r}: {answer['error']}.")  # type: ignore[index]
        return answer

    def embed(self, chips: NDArray[np.uint8]) -> tuple[NDArray[np.float64], float, float]:
        """dlib's own vectors [N, 128] of chips (not of unit length), seconds one by one, seconds in one call."""
        file, out = self.file("chips.npy"), self.file("vectors.npy")
        np.save(file, chips)
        answer = self.ask("embed", chips=str(file), out=str(out))
        return np.load(out), answer["single"], answer["batch"]

    def file(self, name: str) -> Path:
        assert self._folder, "use Peer in `with`"
        return Path(self._folder.name) / name


def peer_python() -> Path:
    """VISAVIS_PEER_PYTHON, or a virtual environment made once in VISAVIS_HOME/peers."""
    named = os.environ.get("VISAVIS_PEER_PYTHON")
    if named:
        if not Path(named).is_file():
            raise InputError(f"VISAVIS_PEER_PYTHON is no file: {named}")
        return Path(named)
    folder = private_folder(settings().data / "peers") / "face_recognition"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with locked(settings().tmp / "peer.lock"):
        if not (folder / "done").exists():
            sys.stderr.write("Compiling dlib for the comparison with face_recognition, once; this takes minutes.\n")
            steps = (
                [sys.executable, "-m", "venv", "--clear", str(folder)],
                [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
            )
            for step in steps:
                made = subprocess.run(step, capture_output=True, text=True)
                if made.returncode:
                    last = (made.stderr.strip().splitlines() or ["no message"])[-1]
                    raise InputError(f"The comparison needs face_recognition, which could not be installed: {last}")
            (folder / "done").touch()
    return python
