"""Whoever is forgotten is forgotten in what was prepared for training, too."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("datasets")

from tests.training.made_sets import person_in

from visavis import Album
from visavis.bench.variants import write_variants
from visavis.training.cache import key_of
from visavis.training.prepare import column, prepare
from visavis.training.rows import source


def test_nothing_that_was_prepared_of_a_forgotten_person_is_left(home: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    folder = photos / person_in("train")
    folder.mkdir(parents=True)
    files = {path.name: path.read_bytes() for path in write_variants(folder, 4)}
    columns = ("facts", "portrait", "vector_a")
    prepare(source(photos), columns[1:])
    keys = {name: key_of(data) for name, data in files.items()}
    held = {name: column("vector_a").take(column("vector_a").rows([key])).tobytes() for name, key in keys.items()}
    (kept,) = [name for name in files if name.startswith("biden")]
    answers = home / "cache" / "training" / "targets-0.npy"
    answers.write_bytes(b"answers on the whole set")
    with Album(tmp_path / "album.db") as album:
        album.add(photos)
        (him,) = [person for person in album.people() if person.faces == 3]
        album.name(him.called, "Ana")
        receipt = album.forget("Ana")
    assert receipt.photos == 3 and receipt.bytes_found == 0
    on_disk = b"".join(path.read_bytes() for path in (home / "cache" / "training").rglob("*") if path.is_file())
    for name, key in keys.items():
        left = name == kept
        assert all((column(kind).rows([key])[0] >= 0) == left for kind in columns)
        assert (held[name] in on_disk) == (key in on_disk) == left
    assert not answers.exists()
    # The others keep their places, and a photo that comes again is looked at again.
    assert column("vector_a").take(column("vector_a").rows([keys[kept]])).tobytes() == held[kept]
    assert len(prepare(source(photos), columns[1:])) == 4
