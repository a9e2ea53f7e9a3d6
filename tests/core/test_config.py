"""Typed configs: what a user types after --set."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Literal

import pytest

from visavis.core.config import changed, differences, plain, restored, within
from visavis.core.errors import InputError


@dataclass(frozen=True)
class Inner:
    steps: int = 10
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    deep: bool = False
    names: tuple[str, ...] = ("x",)
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)


def test_text_becomes_a_value_of_the_field_s_type() -> None:
    made = changed(Config(), ["rate=1e-3", "deep=yes", "names=a,b", "limit=4", "inner.steps=20", "inner.kind=b"])
    assert made == Config(1e-3, True, ("a", "b"), 4, Inner(20, "b"))
    assert changed(made, ["limit=none"]).limit is None
    assert plain(made)["names"] == ["a", "b"] and plain(made)["inner"] == {"steps": 20, "kind": "b"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("rat=1", "did you mean 'rate'"),
        ("inner.step=1", "did you mean 'steps'"),
        ("steps=1", "did you mean 'inner.steps'"),
        ("quite=1", "known are rate, deep"),
        ("rate=fast", "rate is a number"),
        ("inner.steps=2.5", "whole number"),
        ("deep=perhaps", "yes or no"),
        ("inner.kind=c", "a or b"),
        ("rate", "KEY=VALUE"),
        ("inner=3", "no single setting"),
        ("rate.x=3", "no single setting"),
    ],
)
def test_what_is_wrong_is_named(setting: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        changed(Config(), [setting])


def test_differences_name_both_values() -> None:
    old, new = plain(Config()), plain(changed(Config(), ["rate=1", "inner.steps=3"]))
    assert differences(old, new) == {"rate": (0.1, 1.0), "inner.steps": (10, 3)}


def test_a_config_comes_back_from_what_was_written_of_it() -> None:
    made = changed(Config(), ["rate=1", "names=a,b", "inner.steps=3"])
    values = json.loads(json.dumps(plain(made)))
    assert restored(Config(), {**values, "something else": 1}) == made


def test_a_setting_outside_its_range_is_named() -> None:
    @dataclass(frozen=True)
    class Ranged:
        views: int = 4
        rate: float = 0.1

        def __post_init__(self) -> None:
            within(self, views=(1, math.inf), rate=(0, 1))

    assert changed(Ranged(), ["views=1", "rate=1"]) == Ranged(1, 1.0)
    with pytest.raises(InputError, match="views is 1 or more, not 0"):
        changed(Ranged(), ["views=0"])
    for wrong in ("rate=1.5", "rate=nan"):
        with pytest.raises(InputError, match="rate is from 0 to 1, not"):
            changed(Ranged(), [wrong])
