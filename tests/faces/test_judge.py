"""The judge: who may judge, what it reads. (What it is worth is measured by `visavis bench judge`.)"""

from __future__ import annotations

import numpy as np
import pytest

from visavis.core.errors import InputError
from visavis.faces.judge import judge_portraits

PORTRAITS = np.zeros((2, 128, 128, 3), np.uint8)


@pytest.mark.parametrize("name", ["a", "A", "recogniser_a"])
def test_recogniser_a_may_not_judge(name: str) -> None:
    with pytest.raises(InputError, match="may not judge: it takes part in making pictures"):
        judge_portraits(PORTRAITS, name)


def test_what_is_no_judge_is_named() -> None:
    with pytest.raises(InputError, match="'yunet' may not judge"):
        judge_portraits(PORTRAITS, "yunet")


@pytest.mark.parametrize("portraits", [PORTRAITS[:, :112, :112], PORTRAITS.astype(np.float32), PORTRAITS[0]])
def test_it_reads_portrait_frames_alone(portraits: np.ndarray) -> None:
    with pytest.raises(InputError, match="Portraits are uint8"):
        judge_portraits(portraits)
