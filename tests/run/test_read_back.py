"""All that is left on a picture, read back: whole, stripped, changed, without its JSON, without the library."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from visavis.core.errors import InputError
from visavis.faces.analyse import find_faces
from visavis.media.photo import open_photo
from visavis.media.write import write_jpeg, write_png
from visavis.run import mark, provenance, sidecar
from visavis.run.verify import verify

FACTS = {"system": "toy", "seed": 3, "prompt": "smiling"}


@pytest.fixture
def unsigned(home: Path, portraits: dict[str, Path], tmp_path: Path) -> Path:
    """A marked portrait of 128 pixels with its JSON."""
    frame = find_faces(portraits["obama"])[0].crop().pixels
    path = tmp_path / "ana.png"
    write_png(path, mark.embed(frame))
    sidecar.write(path, FACTS)
    return path


@pytest.fixture
def made(unsigned: Path) -> Path:
    """The same, signed."""
    pytest.importorskip("c2pa", reason="c2pa-python is missing: pip install '.[ml]'")
    provenance.sign(unsigned, FACTS)
    sidecar.write(unsigned, FACTS)
    return unsigned


def test_a_picture_as_it_was_made(made: Path) -> None:
    found = verify(made)
    assert (found.ai_made, found.manifest, found.mark.found, found.beside) == (True, "own", True, "matches")
    assert found.signed is not None and found.signed.facts == {"system": "toy", "seed": 3}
    assert found.facts["prompt"] == "smiling" and found.facts["schema"] == "visavis.output/1"
    told = " ".join(found.sentences)
    assert "signed by this installation, signer not known to others" in told
    assert "mark of a picture made by AI was found" in told and "ana.json beside it belongs to exactly" in told


def test_saved_again_by_another_program_only_the_mark_is_left(made: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.jpg"
    Image.open(made).convert("RGB").save(again, quality=80)
    found = verify(again)
    assert (found.ai_made, found.manifest, found.mark.found, found.beside) == (True, "missing", True, "missing")
    assert found.mark.false_alarm <= 1 / 3000
    told = " ".join(found.sentences)
    assert "no C2PA manifest" in told and "There is no again.json" in told


def test_bytes_changed_after_signing_are_seen_twice(made: Path) -> None:
    pixels = open_photo(made).pixels.copy()
    pixels[:4] = 0
    other = made.with_name("other.png")
    write_png(other, pixels)
    _graft(made, other)
    found = verify(made)
    assert (found.manifest, found.mark.found, found.beside) == ("broken", True, "differs")
    assert found.ai_made is True  # by the mark
    told = " ".join(found.sentences)
    assert "manifest is broken" in told and "ana.json beside it belongs to other bytes" in told


def _graft(signed: Path, other: Path) -> None:
    """The manifest of one PNG put into another, as somebody would who wants it to look signed."""
    data, target = signed.read_bytes(), other.read_bytes()
    at = data.index(b"caBX") - 4
    chunk = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
    signed.write_bytes(target[:33] + chunk + target[33:])


def test_another_installation_knows_the_signer_is_not_itself(
    made: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(home, other, symlinks=True, ignore=shutil.ignore_patterns("keys"))
    monkeypatch.setenv("VISAVIS_HOME", str(other))
    found = verify(made)
    assert (found.ai_made, found.manifest) == (True, "valid")
    assert any("whom visavis does not know" in sentence for sentence in found.sentences)


def test_a_photo_says_nothing(home: Path, portraits: dict[str, Path], tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    write_jpeg(photo, open_photo(portraits["biden"]).pixels)
    found = verify(photo)
    assert found.ai_made is None and not found.mark.found and found.beside == "missing"
    assert any("does not say that a photo is real" in sentence for sentence in found.sentences)


def test_without_the_library_the_rest_is_still_read(unsigned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = verify(unsigned)
    assert (found.ai_made, found.manifest, found.mark.found, found.beside) == (True, "unread", True, "matches")
    assert "was not read" in found.sentences[0] and "[ml]" in found.sentences[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "visavis.output/1"}', '{"sha256": "00"}', "[" * 100_000])
def test_a_json_that_is_no_record_is_said(unsigned: Path, text: str) -> None:
    sidecar.beside(unsigned).write_text(text)
    found = verify(unsigned)
    assert found.beside == "damaged" and found.mark.found
    assert "ana.json" in found.sentences[-1]


def test_the_json_of_another_picture_does_not_match(unsigned: Path) -> None:
    where = sidecar.beside(unsigned)
    where.write_text(json.dumps({**json.loads(where.read_text()), "sha256": "00" * 32}))
    assert verify(unsigned).beside == "differs"


def test_what_is_no_picture_is_refused(home: Path, tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("no picture")
    with pytest.raises(InputError, match=r"a\.png is not a photo"):
        verify(text)
    with pytest.raises(InputError, match="does not exist"):
        verify(tmp_path / "nowhere.png")
