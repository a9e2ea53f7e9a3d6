"""The peer's worker: a Python without the library, a wrong setting and a dead process end in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from visavis.bench.peer import Peer, peer_python
from visavis.core.errors import InputError


def test_python_without_the_library() -> None:
    with Peer(Path(sys.executable)) as peer:
        with pytest.raises(InputError, match="No module named 'dlib'"):
            peer.ask("info")
        assert peer.ask("peak")["megabytes"] > 1  # the worker lives on
        with pytest.raises(InputError, match="KeyError"):
            peer.ask("nothing")


def test_process_that_ends() -> None:
    with Peer(Path(sys.executable)) as peer:
        peer._process.kill()
        peer._process.wait()
        with pytest.raises(InputError, match="the process ended"):
            peer.ask("info")


def test_folder_goes_with_the_peer() -> None:
    with Peer(Path(sys.executable)) as peer:
        file = peer.file("x.npy")
        file.touch()
    assert not file.parent.exists()


def test_setting_that_names_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISAVIS_PEER_PYTHON", str(tmp_path / "python"))
    with pytest.raises(InputError, match="VISAVIS_PEER_PYTHON is no file"):
        peer_python()
