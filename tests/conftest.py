"""What tests of several rooms need: the free portraits, and the data sets where a machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PORTRAITS = ("obama", "obama2", "obama3", "obama_partial", "obama_partial2", "biden")


@pytest.fixture(scope="session")
def portraits() -> dict[str, Path]:
    """The six official portraits (public domain): five photos of one man, `biden` of another."""
    from visavis.core import weights

    return {name: weights.path(f"portrait_{name}") for name in PORTRAITS}


@pytest.fixture(scope="session")
def data_sets() -> Path:
    """Folder of the larger data sets; the test is skipped where VISAVIS_DATA names none."""
    folder = os.environ.get("VISAVIS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VISAVIS_DATA names no folder of data sets")
    return Path(folder)
