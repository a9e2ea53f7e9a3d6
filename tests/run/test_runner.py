"""The way of every picture: consent, photos judged, system, likeness; with a system that gives the photo back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.run.toy_system_files import USE, write_toy

import visavis as vv
from visavis.bench.album import fill
from visavis.core import registry
from visavis.core.errors import InputError, RefusedError
from visavis.core.tasks import CreatePortrait
from visavis.faces.analyse import find_faces
from visavis.faces.frame import all_in, found_in, frame_of
from visavis.faces.score import calibration
from visavis.run.likeness import likeness, likeness_of_all, recognised
from visavis.run.runner import portraits as run_of


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("c2pa", reason="what is made is signed, which needs the extra [ml]")
    monkeypatch.syspath_prepend(str(write_toy(tmp_path / "toy")))
    _forget()
    yield
    _forget()


def _forget() -> None:
    registry._points.cache_clear()
    registry.cards.cache_clear()
    for name in [name for name in sys.modules if name.startswith("toy_system")]:
        del sys.modules[name]


def asked(photo: Path, **more: Any) -> CreatePortrait:
    return CreatePortrait(photo, "smiling", system="toy", **{"n": 1, **more})


def test_likeness_tells_the_person_from_another_and_a_copy_from_a_likeness(portraits: dict[str, Path]) -> None:
    shown, same, other = (frame_of(find_faces(portraits[name])[0]) for name in ("obama", "obama2", "biden"))
    copy, again, stranger = likeness([shown, same, other], [shown])
    assert copy.likeness > 1 and "may be copied" in copy.words
    assert "may be copied" not in replace(copy, copy_paste=0.1).words  # a good likeness in another pose is none
    assert copy.copy_paste == pytest.approx(1, abs=1e-3)  # pasting the photo itself comes out worst
    assert again.likeness > 0.5 > stranger.likeness and again.a > 0.5 > stranger.a
    assert again.copy_paste < 0.8 and stranger.copy_paste < 0.8


def test_each_of_two_people_on_a_picture_is_judged_wherever_they_stand(portraits: dict[str, Path]) -> None:
    him, again, other = (frame_of(find_faces(portraits[name])[0]) for name in ("obama", "obama2", "biden"))
    found = all_in(np.concatenate([other.pixels, again.pixels], 1))
    assert len(found) == 2
    for order in (found, found[::-1]):
        judged = likeness_of_all(order, [[him], [other]])
        assert judged is not None and judged[0].likeness > 0.5 and judged[1].likeness > 0.9
    assert likeness_of_all(found[:1], [[him], [other]]) is None


def test_who_is_missing_doubled_or_a_stranger_is_named(portraits: dict[str, Path]) -> None:
    names = ("obama", "obama2", "obama3", "biden")
    him, again, third, other = (frame_of(find_faces(portraits[name])[0]) for name in names)
    shown = [[him], [other]]
    assert recognised([other, again], shown) == ()
    assert recognised([again, third], shown) == ("person 1 is there 2 times", "person 2 is not recognised")
    assert recognised([again], shown) == ("person 2 is not recognised",)
    assert recognised([again, other], [[him]]) == ("1 face is nobody's who was shown",)
    assert recognised([], shown) == ("person 1 is not recognised", "person 2 is not recognised")


def test_every_face_of_a_picture_is_judged(toy: None, home: Path, portraits: dict[str, Path]) -> None:
    (made,) = portraits_of(asked(portraits["obama"]), {"twice": True}).pictures()
    assert made.likeness is not None and "person 1 is there 2 times" in made.notes
    both = asked(portraits["obama"], beside=[portraits["biden"]])
    (made,) = portraits_of(both).pictures()
    assert made.likeness is None and made.facts["likeness"] is None
    assert "1 face was found for 2 people, so that nobody's likeness is told" in made.notes
    assert "person 2 is not recognised" in made.notes
    (made,) = portraits_of(both, {"twice": True}).pictures()
    assert made.likeness is not None and len(made.facts["beside"]) == 1
    assert {"person 1 is there 2 times", "person 2 is not recognised"} <= set(made.notes)


def test_what_the_prompt_asked_and_the_picture_lacks_is_said(toy: None, home: Path, portraits: dict[str, Path]) -> None:
    prompt = "serious, looking straight"
    (made,) = run_of(CreatePortrait(portraits["obama"], prompt, system="toy", n=1, no_consent_check=True)).pictures()
    assert made.facts["asked"] == {
        "kept": ("looking straight",),
        "lost": ("serious",),
        "dragged": ("smiling",),
        "unseen": (),
    }
    assert "asked for and not seen: serious; as on the photo: smiling" in made.notes


def test_a_made_frame_is_cut_as_a_photo_is(portraits: dict[str, Path]) -> None:
    frame = frame_of(find_faces(portraits["obama"])[0])
    found = found_in(frame.pixels)
    assert found is not None
    assert np.abs(found.mesh[:, :2] - frame.mesh[:, :2]).mean() < 1.5  # found again at its place
    assert found_in(np.full_like(frame.pixels, 128)) is None


def test_a_run_judges_each_picture_and_records_how_it_was_made(
    toy: None, home: Path, portraits: dict[str, Path]
) -> None:
    run = portraits_of(asked(portraits["obama"], n=2, seed=5), {"mirror": True})
    shares: list[float] = []
    first, second = run.pictures(shares.append)
    assert (first.seed, second.seed) == (5, 6) and shares == [0.5, 1.0]
    assert first.likeness is not None and first.likeness > 0.8
    facts = first.facts
    assert (
        facts["system"] == "toy"
        and facts["seed"] == 5
        and facts["options"] == {"mirror": True, "strength": 1.0, "twice": False}
    )
    assert facts["likeness"]["judge"] == "judge_b" and facts["terms"] == "permissive" and facts["notes"] == ["a copy"]
    assert facts["consent"] == [{"state": "not on record", "person": None, "purpose": None, "until": None}]
    empty = next(portraits_of(asked(portraits["obama"]), {"strength": 0.0}).pictures())
    assert empty.likeness is None and "no face" in empty.words


def portraits_of(inputs: CreatePortrait, options: dict[str, Any] | None = None, **more: Any) -> Any:
    return run_of(inputs, options, **more)


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({"prompt": "a dragon"}, {}, "toy knows no dragons"),
        ({"system": "toi"}, {}, "no system 'toi': did you mean 'toy'"),
        ({"n": 0}, {}, "--n is a number from 1 to 1000"),
        ({}, {"strenght": 0.5}, "toy has no option 'strenght': did you mean 'strength'"),
        ({}, {"strength": 2}, "--strength is a number from 0 to 1"),
        ({"face": 3}, {}, "there is no face 3"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_made(
    toy: None, home: Path, portraits: dict[str, Path], change: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    inputs = CreatePortrait(**{"person": portraits["obama"], "prompt": "", "system": "toy", **change})
    with pytest.raises(InputError, match=says):
        portraits_of(inputs, options)


def test_poor_photos_are_named(toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path) -> None:
    tiny = tmp_path / "photo.png"
    image = Image.open(portraits["obama"])
    image.resize((image.width // 10, image.height // 10)).save(tiny)
    assert portraits_of(asked(portraits["obama"])).notes == ()
    note, used = portraits_of(asked(portraits["obama"], more=[tiny])).notes
    assert used == "2 photos are used."
    assert note.startswith("photo.png is poor for this: tiny")
    (used,) = portraits_of(asked(portraits["obama"], more=[portraits["obama2"]], beside=[portraits["biden"]])).notes
    assert used == "2 photos of person 1 are used."


def test_of_a_further_photo_with_two_faces_one_must_be_cut_out(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    images = [Image.open(portraits[name]).convert("RGB").resize((400, 500)) for name in ("obama", "biden")]
    both = Image.new("RGB", (800, 500))
    for number, image in enumerate(images):
        both.paste(image, (400 * number, 0))
    both.save(tmp_path / "both.png")
    for more in ({"more": [tmp_path / "both.png"]}, {"beside": [tmp_path / "both.png"]}):
        with pytest.raises(InputError, match=r"2 faces and none clearly dominates\. Cut out the one who is meant"):
            portraits_of(asked(portraits["obama"], **more))
    with pytest.raises(InputError, match="--face N"):
        portraits_of(asked(tmp_path / "both.png"))


@pytest.mark.parametrize("prompt", ["", "smiling, looking left"])
def test_where_no_system_is_named_one_hears_what_is_asked_and_may_be_sold(
    home: Path, portraits: dict[str, Path], monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    pytest.importorskip("diffusers", reason="real systems need the extra [ml]")
    monkeypatch.setenv("VISAVIS_LICENCE", "commercial")
    (made,) = run_of(CreatePortrait(portraits["obama"], prompt, n=1)).pictures()
    assert made.likeness is not None and not any("hears no words" in note for note in made.notes)
    assert not made.facts["asked"]["lost"] and ("looking left" in made.facts["asked"]["kept"]) == bool(prompt)


def test_poor_photos_are_named_before_anything_is_loaded(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_LICENCE", "commercial")
    told: list[str] = []
    with pytest.raises(RefusedError, match="its terms are unknown"):  # whatever the system itself looks at
        portraits_of(asked(portraits["obama_partial"], published=str(tmp_path)), tell=told.append)
    assert len(told) == 1 and "is poor for this" in told[0]


def test_weights_of_other_terms_are_refused_even_if_the_system_does_not_look(
    home: Path, portraits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa", reason="what is made is signed, which needs the extra [ml]")
    use = USE.replace('terms = "permissive"', 'terms = "research-only"')
    monkeypatch.syspath_prepend(str(write_toy(tmp_path / "toy", use=use)))
    _forget()
    try:
        assert portraits_of(asked(portraits["obama"])).facts["terms"] == "research-only"
        monkeypatch.setenv("VISAVIS_LICENCE", "commercial")
        with pytest.raises(RefusedError, match="toy is refused: its terms are research-only"):
            portraits_of(asked(portraits["obama"]))
    finally:
        _forget()


def test_a_system_without_one_of_its_packages_names_that_package(
    home: Path, portraits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa", reason="what is made is signed, which needs the extra [ml]")
    monkeypatch.syspath_prepend(str(write_toy(tmp_path / "toy", use="import no_such_package\n" + USE)))
    _forget()
    try:
        with pytest.raises(InputError, match="toy needs the Python package 'no_such_package'"):
            portraits_of(asked(portraits["obama"]))
    finally:
        _forget()


def test_consent_is_looked_up_and_recorded(toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path) -> None:
    album = tmp_path / "family.db"
    tomorrow, yesterday = date.today() + timedelta(1), date.today() - timedelta(1)
    photos = [portraits[name] for name in ("obama", "obama2", "obama3")]
    with vv.Album(album) as opened:
        person = opened.person("Barack", photos, consent="a birthday card", until=tomorrow)
    (consent,) = portraits_of(asked(portraits["obama"]), album=album).consents
    assert (consent.state, consent.person, consent.purpose) == ("given", person.id, "a birthday card")
    (consent,) = portraits_of(asked(portraits["biden"]), album=album).consents
    assert consent.state == "not on record"

    with vv.Album(album) as opened:
        opened.person("Barack", consent="a birthday card", until=yesterday)
    questions: list[str] = []

    def answer(said: bool) -> Any:
        def ask(question: str) -> bool:
            questions.append(question)
            return said

        return ask

    with pytest.raises(RefusedError, match=f"the consent of Barack ended on {yesterday}"):
        portraits_of(asked(portraits["obama"]), album=album)
    with pytest.raises(RefusedError):
        portraits_of(asked(portraits["obama"]), album=album, ask=answer(False))
    (consent,) = portraits_of(asked(portraits["obama"]), album=album, ask=answer(True)).consents
    assert consent.state == "agreed" and len(questions) == 2
    (consent,) = portraits_of(asked(portraits["obama"], no_consent_check=True), album=album).consents
    assert consent.state == "not checked"


def test_everybody_who_is_on_a_photo_is_asked(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    album = tmp_path / "family.db"
    with vv.Album(album) as opened:
        opened.person("Barack", [portraits["obama"], portraits["obama2"]], consent="a card")
        opened.person("Joe", [portraits["biden"]])
    mixed = asked(portraits["obama"], more=[portraits["obama3"], portraits["biden"]])
    with pytest.raises(RefusedError, match="Joe has given no consent"):
        portraits_of(mixed, album=album)
    given, agreed = portraits_of(mixed, album=album, ask=lambda question: "Joe" in question).consents
    assert (given.state, agreed.state) == ("given", "agreed")


def test_a_covered_face_hides_nobody_from_their_consent(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    """In an album so large that no table can call a covered face found."""
    album, photos = tmp_path / "large.db", [portraits[name] for name in ("obama", "obama2", "obama3")]
    covered = tmp_path / "covered.png"
    image = Image.open(portraits["obama"]).convert("RGB")
    face = find_faces(portraits["obama"])[0]
    x1, y1, x2, y2 = (round(float(v)) for v in face.box)
    image.paste((30, 60, 120), (x1, y1 + (y2 - y1) * 6 // 10, x2, y2))
    image.save(covered)
    (seen,) = find_faces(covered)
    assert not seen.quality.covered.good
    with vv.Album(album) as opened:
        strangers = calibration().cohort.vectors[:1500]
        fill(opened.store, strangers, calibration().cohort.statistics(strangers))
        opened.person("Barack", photos)
        assert opened.find(covered).verdict != "found"
    with pytest.raises(RefusedError, match="Barack, who may be on the photo, has given no consent"):
        portraits_of(asked(covered), album=album)


def test_whom_the_caller_names_is_asked_whatever_the_photos_show(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    with vv.Album(tmp_path / "family.db") as opened:
        person = opened.person("Barack", [portraits["obama"]], consent="a card", until=date.today() - timedelta(1))
    inputs = asked(portraits["biden"])
    (consent,) = portraits_of(inputs, album=tmp_path / "family.db").consents
    assert consent.state == "not on record"
    with pytest.raises(RefusedError, match="the consent of Barack ended"):
        portraits_of(inputs, album=tmp_path / "family.db", named=[person.id])


def test_somebody_of_an_album_is_drawn_from_their_photos_with_the_consent_given_there(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    with vv.Album(tmp_path / "family.db") as opened:
        person = opened.person("Barack", [portraits["obama"], portraits["obama2"]], consent="a card")
    (made,) = vv.create.portrait(person, "smiling", system="toy", n=1)
    assert made.facts["consent"][0]["state"] == "given" and made.likeness is not None and made.likeness > 0.8
    with vv.Album(tmp_path / "other.db") as opened:
        opened.people()
    with pytest.raises(InputError, match=r"Barack is of the album \S*family\.db, where their consent is"):
        vv.create.portrait(person, "smiling", system="toy", n=1, album=str(tmp_path / "other.db"))
    with vv.Album(tmp_path / "family.db") as opened:
        opened.person("Barack", consent="a card", until=date.today() - timedelta(1))
        (person,) = opened.people()
    with pytest.raises(RefusedError, match="the consent of Barack ended"):
        vv.create.portrait(person, "smiling", system="toy", n=1)


def test_an_album_that_is_named_and_not_there_switches_no_check_off(
    toy: None, home: Path, portraits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = r"There is no album \S*famliy\.db, so that no consent can be looked up"
    with pytest.raises(InputError, match=says):
        portraits_of(asked(portraits["obama"]), album=tmp_path / "famliy.db")
    monkeypatch.setenv("VISAVIS_ALBUM", str(tmp_path / "famliy.db"))
    with pytest.raises(InputError, match=says):
        portraits_of(asked(portraits["obama"]))
    (consent,) = portraits_of(asked(portraits["obama"], no_consent_check=True)).consents
    assert consent.state == "not checked"


def test_a_system_that_cannot_be_read_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(write_toy(tmp_path / "toy", "CARD = 'none'")))
    _forget()
    try:
        assert "toy" not in registry.cards()
        assert "toy is left out: TypeError" in capsys.readouterr().err
    finally:
        monkeypatch.undo()
        _forget()
