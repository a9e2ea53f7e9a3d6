"""What a prompt asked of the face and what the picture shows: kept, lost, and dragged along from the photo.

The mesh alone tells it: of glasses, hair and the like it is said that nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from visavis.faces import geometry
from visavis.faces.frame import Frame
from visavis.faces.spoken import AHEAD, RULES, spoken

QUESTIONS = {
    "look": (AHEAD, *(end[1] for name in ("yaw", "pitch") for end in (RULES[name].below, RULES[name].above) if end)),
    **{
        name: tuple(end[1] for end in (RULES[name].below, RULES[name].above) if end)
        for name in ("smile", "mouth", "eyes")
    },
}
UNSEEN = ("glasses", "sunglasses", "hat", "beard", "moustache", "hair", "earrings", "makeup")


@dataclass(frozen=True)
class Against:
    """kept, lost: words of the prompt that are seen, or whose contrary is; dragged: contraries that a photo has too;
    unseen: words of the prompt that nothing here can see. What lies between a word and its contrary is in none."""

    kept: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    dragged: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """For people; empty where all that was asked is seen."""
        said = {
            "asked for and not seen": self.lost,
            "as on the photo": self.dragged,
            "asked for and not judged": self.unseen,
        }
        return "; ".join(f"{what}: {', '.join(words)}" for what, words in said.items() if words)


def against(prompt: str, made: Frame, shown: Sequence[Frame]) -> Against:
    """Of a made picture's frame, beside the photos that were shown."""
    seen, before = _said(made), [_said(frame) for frame in shown]
    kept, lost, dragged = list[str](), list[str](), list[str]()
    for question, words in QUESTIONS.items():
        asked = _named(prompt, words)
        if not asked or question not in seen:
            continue
        if seen[question] in asked:
            kept.append(seen[question])
            continue
        lost += asked
        if any(said.get(question) == seen[question] for said in before):
            dragged.append(seen[question])
    return Against(tuple(kept), tuple(lost), tuple(dragged), tuple(_named(prompt, UNSEEN)))


def _named(prompt: str, words: Sequence[str]) -> list[str]:
    return [word for word in words if re.search(rf"\b{word}\b", prompt.lower())]


def _said(frame: Frame) -> dict[str, str]:
    pose = geometry.pose(frame.mesh)
    eyes, mouth, smile = geometry.expression(frame.mesh)
    return spoken({"yaw": pose.yaw, "pitch": pose.pitch, "eyes": eyes, "mouth": mouth, "smile": smile})
