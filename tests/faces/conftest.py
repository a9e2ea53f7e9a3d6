"""The dlib library itself, where a Python that has it is named."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def peer() -> Iterator[object]:
    if not os.environ.get("VISAVIS_PEER_PYTHON"):
        pytest.skip("VISAVIS_PEER_PYTHON names no Python with face_recognition")
    from visavis.bench.peer import Peer

    with Peer() as running:
        yield running
