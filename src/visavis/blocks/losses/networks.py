"""Networks inside losses: what is in a loss may not judge, so the copies that judge are refused here."""

from __future__ import annotations

from pathlib import Path

from visavis.core import weights
from visavis.core.errors import InputError


def loss_weight(name: str) -> Path:
    """The verified file of a network that stands in a loss, from the weight store; losses open no other files.

    Raises InputError for every network that judges: its figures would say how well it was pleased.
    """
    if "judge" in name.split("_"):
        raise InputError(f"{name} judges and may not stand in a loss; the copy without `judge` in its name may.")
    return weights.path(name)
