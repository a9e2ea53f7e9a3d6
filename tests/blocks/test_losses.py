"""What is in a loss may not judge."""

from __future__ import annotations

import pytest

from visavis.blocks.losses.networks import loss_weight
from visavis.core.errors import InputError
from visavis.faces.judge import JUDGES


@pytest.mark.parametrize("name", [*JUDGES, "attributes_judge", "attributes_research_judge", "lips_judge"])
def test_a_network_that_judges_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="may not stand in a loss"):
        loss_weight(name)


def test_recogniser_a_may() -> None:
    assert loss_weight("recogniser_a").is_file()
