from __future__ import annotations

import numpy as np
import pytest

from visavis.bench.groups import agreement, fixed_per_question

PERSON = np.array([0, 0, 0, 1, 1, -1])


def test_pairs_are_counted_by_hand() -> None:
    """Together: 0-1, 2-3; belong together: 0-1, 0-2, 1-2, 3-4; the unknown face does not count."""
    found = agreement(np.array([5, 5, 6, 6, -1, 5]), PERSON)
    assert (found.precision, found.recall) == (1 / 2, 1 / 4)
    assert found.f1 == pytest.approx(1 / 3)
    assert found.groups == 3


def test_the_truth_is_perfect() -> None:
    found = agreement(PERSON.copy(), PERSON)
    assert (found.f1, found.v, found.groups) == (1, pytest.approx(1), 2)


def test_a_right_question_makes_a_person_whole() -> None:
    label = np.array([1, 1, 2, 3, 3, 4])
    assert fixed_per_question(label, PERSON, [(1, 2, 5.0)]) == (1, 1)
    assert fixed_per_question(label, PERSON, [(1, 3, 5.0)]) == (0, 1)
