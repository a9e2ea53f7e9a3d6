"""Numbers as people say them. A score is never a percent; a rate is never rounded below what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from visavis.core.types import Face, Match
from visavis.faces.attributes import expression_words


def one_in(rate: float) -> str:
    """A rate as "1 in N"; N is rounded down to two digits, so that the rate said is never lower than measured."""
    n = 1 / rate
    step = 10.0 ** max(0, math.floor(math.log10(n)) - 1)
    return f"1 in {max(1, int(n / step + 1e-9) * int(step)):,}"


def strangers(match: Match) -> str:
    """The error rate of a match as a sentence."""
    if match.false_match_rate > 0.5:
        return "most strangers score this high"
    overall, worst = one_in(match.false_match_rate), one_in(match.false_match_rate_worst_group)
    about = "fewer than" if match.table["extrapolated"] else "about"
    return f"{about} {overall} strangers scores this high; up to {worst} in the worst measured group"


def receipt(told: Mapping[str, Any]) -> list[str]:
    """What a receipt of forgetting says, in sentences."""
    alike = ", ".join(told["still_found"])
    return [
        f"{counted(told['faces'])} on {told['photos']} photo{'' if told['photos'] == 1 else 's'}.",
        f"Read byte by byte: {len(told['searched'])} files; "
        f"traces of a vector or picture found: {told['bytes_found']}.",
        f"A search with the old vectors still finds {alike}: the same person, or somebody very alike."
        if alike
        else "A search with the old vectors finds nobody.",
        "Kept, so that the same files do not bring them back: file hash and box of each face (no biometric).",
        f"Cannot be reached from here: {'; '.join(told['out_of_reach'])}.",
        told["note"],
        f"Receipt: {told['file']}",
    ]


def counted(n: int) -> str:
    return ("no face", "1 face")[n] if n < 2 else f"{n} faces"


def people(n: int) -> str:
    return "1 person" if n == 1 else f"{n} people"


def box(face: Face) -> str:
    return "{:.0f} {:.0f} {:.0f} {:.0f}".format(*face.box)


def gaze(face: Face) -> str:
    """Where the head points, for people."""
    yaw, pitch = face.pose.yaw, face.pose.pitch
    sideways = "" if abs(yaw) < 12 else f"{'right' if yaw > 0 else 'left'} {abs(yaw):.0f}°"
    upwards = "" if abs(pitch) < 12 else f"{'up' if pitch > 0 else 'down'} {abs(pitch):.0f}°"
    return ", ".join(part for part in (sideways, upwards) if part) or "to the camera"


def expression(face: Face) -> str:
    return ", ".join(expression_words(face))


def condition(face: Face) -> str:
    """What limits a comparison, or "good"."""
    return ", ".join(face.quality.words) or "good"
