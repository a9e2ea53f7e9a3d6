"""Words for how a face is held, from what the mesh measures; captions are made of them, and pictures held against them.

A word is said only where its measure lies beyond its threshold, its opposite beyond the other one; in between neither
is. left and right are the picture's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """below, above: (threshold, words) of each end of a measure."""

    below: tuple[float, str] | None = None
    above: tuple[float, str] | None = None

    def words(self, value: float) -> str | None:
        """What is said of this value."""
        for end, beyond in ((self.below, -1), (self.above, 1)):
            if end and beyond * value > beyond * end[0]:
                return end[1]
        return None


# Chosen by eye, on sheets of FairFace train sorted by each measure.
RULES = {
    "yaw": Rule((-20, "looking left"), (20, "looking right")),
    "pitch": Rule((-23, "looking down"), (6, "looking up")),
    "smile": Rule((0.12, "serious"), (0.6, "smiling")),
    "mouth": Rule((0.02, "mouth closed"), (0.4, "mouth open")),
    "eyes": Rule((0.2, "eyes closed"), (0.7, "eyes open")),
}
STRAIGHT = (8.0, (-16.0, 2.0))  # degrees: largest yaw, range of pitch
AHEAD = "looking straight"


def straight(yaw: float, pitch: float) -> bool:
    """Whether a face looks at whoever sees the picture."""
    low, high = STRAIGHT[1]
    return abs(yaw) < STRAIGHT[0] and low < pitch < high


def spoken(measures: Mapping[str, float]) -> dict[str, str]:
    """What is said of each question, `look`, `smile`, `mouth` and `eyes`, of measures named as RULES are; a question to
    which nothing is said is left out. Of a face that is turned and raised, the turn is said."""
    said = {name: words for name, rule in RULES.items() if (words := rule.words(measures[name]))}
    look = said.pop("yaw", None) or said.pop("pitch", None)
    said.pop("pitch", None)
    if look is None and straight(measures["yaw"], measures["pitch"]):
        look = AHEAD
    return said | ({"look": look} if look else {})
