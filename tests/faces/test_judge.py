"""The judge: who may judge, what it reads. (What it is worth is measured by `visavis bench judge`.)"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import visavis as vv
from visavis.core.errors import InputError
from visavis.faces.judge import judge_faces, judge_portraits

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


def test_it_tells_two_men_apart_and_keeps_one_together(portraits: dict[str, Path]) -> None:
    faces = [vv.look(portraits[name])[0] for name in ("obama", "obama2", "obama3", "biden")]
    cosine = judge_faces(faces) @ judge_faces(faces).T
    assert np.diag(cosine) == pytest.approx(1, abs=1e-3)
    assert cosine[:3, :3].min() > cosine[:3, 3].max() + 0.15


def test_it_is_hardly_moved_by_a_mirror_or_a_weaker_picture(portraits: dict[str, Path]) -> None:
    frame = vv.look(portraits["obama"])[0].crop("portrait").pixels
    dim = (frame * 0.7).astype(np.uint8)
    vectors = judge_portraits(np.stack([frame, frame[:, ::-1], dim]))
    assert (vectors[1:] @ vectors[0]).min() > 0.8
