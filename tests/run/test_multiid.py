"""The scores of MultiID-Bench: against the authors' own numbers, and what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from visavis.run.multiid import group_scores, scores


def test_the_authors_numbers(golden: Any) -> None:
    file = golden("withanyone_copy", "np")
    names = ("generated", "target", "reference")
    file.check(scores(*(file.given[name] for name in names)).copy_paste, "m_cp")
    group = group_scores(*(file.given[f"group.{name}"] for name in names))
    assert group is not None
    file.check(group.copy_paste, "group.m_cp")


def test_a_copy_of_the_reference_scores_1_and_the_truth_minus_1() -> None:
    truth, reference = np.random.default_rng(0).standard_normal((2, 3, 16))
    copied, same = scores(2 * reference, truth, reference), scores(truth, truth, reference)
    assert np.allclose(copied.copy_paste, 1, atol=2e-3) and np.allclose(copied.sim_ref, 1, atol=1e-5)
    assert np.allclose(same.copy_paste, -1, atol=2e-3) and np.allclose(same.sim_gt, 1, atol=1e-5)


def test_faces_of_a_group_may_come_in_any_order() -> None:
    truth, reference = np.random.default_rng(1).standard_normal((2, 3, 16))
    straight, shuffled = group_scores(truth, truth, reference), group_scores(truth[[2, 0, 1]], truth, reference)
    assert straight is not None and shuffled is not None
    assert np.allclose(shuffled.sim_gt, straight.sim_gt[[2, 0, 1]])
    assert group_scores(truth[:2], truth, reference) is None
