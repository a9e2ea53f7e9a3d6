"""Who is in which split: fixed by hash, whatever the order and the machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from visavis.core.errors import InputError
from visavis.training.splits import KNOWN, TEST_PHOTOS, TEST_TWINS, half, share


def test_the_hash_decides_and_nothing_else() -> None:
    assert [share(name) for name in ("ann", "bob", "cid", "dora", "eve")] == [
        share(name) for name in reversed(("eve", "dora", "cid", "bob", "ann"))
    ]
    # Literal: a change of the hash would move people into training who were tested before.
    assert "".join(share(f"person{i}")[1] for i in range(40)) == EXPECTED


EXPECTED = "rrrrerrrrrrarrrrerrrrrrrrrereerrrrrrrrrr"


def test_shares_are_as_asked() -> None:
    counts = Counter(share(f"person{i}") for i in range(20_000))
    assert counts["test"] == pytest.approx(2000, rel=0.1) and counts["val"] == pytest.approx(2000, rel=0.1)
    assert Counter(share(str(i), test=0, val=0.03) for i in range(20_000))["test"] == 0


def test_halves_are_halves_and_have_nothing_to_do_with_splits() -> None:
    by_split = {split: [half(name) for name in NAMES if share(name) == split] for split in ("train", "val", "test")}
    for halves in by_split.values():
        assert sum(halves) / len(halves) == pytest.approx(0.5, abs=0.05)


NAMES = [f"person{i}" for i in range(20_000)]


def test_the_test_people_of_identity_are_those_of_its_file(data_sets: Path) -> None:
    parts = json.loads((data_sets / "identity" / "split.json").read_text())
    split = KNOWN["identity"].split
    assert {name for name in [*parts["train"], *parts["test"]] if split(name, {}) == "test"} == {
        *parts["test"],
        *TEST_TWINS,
    }
    assert Counter(split(name, {}) for name in parts["train"]) == {"train": 165, "val": 29, "test": len(TEST_TWINS)}
    assert split("somebody else", {}) == "test", "a stranger to the list is in no training"


def test_photos_of_test_people_are_left_out_of_another_set_too() -> None:
    split = KNOWN["celebamask"].split
    labels = {"split": "train"}
    assert {split("", labels | {"name": name}) for name in TEST_PHOTOS} == {"test"}
    assert split("", labels | {"name": "somebody else"}) == "train"


def test_without_its_file_nobody_of_identity_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"split\.json cannot be read"):
        KNOWN["identity"].split("7202", {})
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "split.json").write_text("[]")
    with pytest.raises(InputError, match=r"split\.json cannot be read"):
        KNOWN["identity"].split("7202", {})


@pytest.mark.parametrize("name", ["lfw", "wild_photos", "detect", "liveness_test"])
def test_sets_for_tests_are_never_trained_on(name: str) -> None:
    assert {KNOWN[name].split(person, {"split": "train"}) for person in NAMES[:100]} == {"test"}


def test_the_own_split_of_a_set_is_kept() -> None:
    split = KNOWN["fairface"].split
    assert {split(name, {"split": "val"}) for name in NAMES[:100]} == {"test"}
    assert Counter(split(name, {"split": "train"}) for name in NAMES).keys() == {"train", "val"}


def test_a_known_set_keeps_its_rule_however_it_is_named(data_sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visavis.training.rows import source

    folder = data_sets / "identity"
    monkeypatch.setenv("VISAVIS_DATA", str(data_sets))
    monkeypatch.chdir(data_sets)  # a folder of that name lies here
    named = ["identity", str(folder), f"{folder}/", "./identity", str(folder / "celeba_identity.parquet")]
    for data in named:
        assert source(data).known is KNOWN["identity"], data
        assert source(data).split("7202", {}) == "test", data
