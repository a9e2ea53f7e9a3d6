"""What a prompt asked and the picture shows, on photos whose expression is plain to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.faces.analyse import find_faces
from visavis.faces.frame import Frame, frame_of
from visavis.faces.spoken import spoken
from visavis.run.against import Against, against


@pytest.fixture(scope="module")
def frames(portraits: dict[str, Path]) -> dict[str, Frame]:
    return {name: frame_of(find_faces(portraits[name])[0]) for name in ("obama", "obama_partial", "biden")}


def test_what_was_asked_is_kept_lost_or_dragged_along(frames: dict[str, Frame]) -> None:
    broad, closed = frames["obama"], frames["biden"]
    assert against("Smiling, looking straight, sharp", broad, [closed]) == Against(("looking straight", "smiling"))
    lost = against("serious, mouth closed, looking left", broad, [frames["obama_partial"]])
    assert lost.kept == () and lost.lost == ("looking left", "serious", "mouth closed")
    assert lost.dragged == ("looking straight", "smiling", "mouth open")
    assert lost.words.startswith("asked for and not seen: looking left, serious, mouth closed; as on the photo: ")
    assert against("mouth open", closed, [broad]) == Against((), ("mouth open",), ())  # the photo has it not
    assert against("mouth open", closed, [broad]).words == "asked for and not seen: mouth open"
    assert against("serious", closed, [broad]) == Against()  # half a smile is neither
    assert against("a person of 30, dark", broad, [closed]).words == ""
    unseen = against("Smiling, with glasses and a hat", broad, [closed])
    assert unseen.unseen == ("glasses", "hat") and unseen.words == "asked for and not judged: glasses, hat"


def test_one_word_is_said_of_a_look() -> None:
    face = {"yaw": 30.0, "pitch": 20.0, "smile": 0.3, "mouth": 0.2, "eyes": 0.1}
    assert spoken(face) == {"look": "looking right", "eyes": "eyes closed"}
    assert spoken(face | {"yaw": 3.0}) == {"look": "looking up", "eyes": "eyes closed"}
    assert spoken(face | {"yaw": 3.0, "pitch": -3.0, "smile": 0.7})["look"] == "looking straight"
    assert "look" not in spoken(face | {"yaw": -15.0, "pitch": -3.0})
