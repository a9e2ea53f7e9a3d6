"""Whom create systems are measured on: people of a split, nobody twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from visavis.bench.people import people
from visavis.core.errors import InputError
from visavis.training.splits import TEST_TWINS


def test_a_test_person_under_another_name_counts_once(
    tmp_path: Path, portraits: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    twin = min(TEST_TWINS)
    rows = [
        {"name": name, "file": f"{name}/{photo}", "image": portraits[photo].read_bytes()}
        for name in ("somebody", twin)
        for photo in ("obama", "obama2")
    ]
    (tmp_path / "identity").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "identity" / "celeba_identity.parquet")
    (tmp_path / "identity" / "split.json").write_text(json.dumps({"train": [twin], "test": ["somebody"]}))
    monkeypatch.setenv("VISAVIS_DATA", str(tmp_path))
    (somebody,) = people("test")
    assert somebody.name == "somebody" and len(somebody.others) == 1
    with pytest.raises(InputError, match="has 2 photos"):
        people("train")
