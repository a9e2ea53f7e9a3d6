"""`visavis data pack`: the file fits its budget, holds nobody of test, and gives the same training rows again."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.training.made_sets import jpeg, parquet_of, person_in

from visavis.app.cli import run
from visavis.core.errors import InputError
from visavis.training.cache import key_of
from visavis.training.packing import SIDE, pack, size_of
from visavis.training.prepare import column, prepare
from visavis.training.rows import Broken, rows, source

pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("home")
Photo = Callable[..., bytes]


@pytest.mark.parametrize(
    ("text", "size"), [("60MB", 60_000_000), ("500kB", 500_000), ("1.5 GB", 1_500_000_000), (" 20mb ", 20_000_000)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "60", "MB", "-3MB", "60 megabytes", "0MB", "1e3kB", "nanMB"])
def test_what_is_no_size(text: str, tmp_path: Path, photo: Photo) -> None:
    path = parquet_of(tmp_path / "set.parquet", [{"image": photo()}])
    with pytest.raises(InputError, match="--budget is a size such as 60MB or 500kB"):
        pack(str(path), text, tmp_path / "pack.parquet")


def packed(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def test_another_machine_reads_the_same_rows(
    tmp_path: Path, portraits: dict[str, Path], photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From large photos, upright and turned, to a pack, and on a machine that has only the pack."""
    turned = jpeg(Image.open(portraits["obama2"]).convert("RGB").resize((700, 880)).rotate(20, expand=True))
    images = [portraits["obama"].read_bytes(), turned, portraits["biden"].read_bytes(), photo("obama3")]
    splits = ("train", "train", "val", "test")
    made = [
        {"image": image, "person": person_in(split), "age": 50 + i, "points": [1.0, 2.0], "note": "long " * 50}
        for i, (image, split) in enumerate(zip(images, splits, strict=True))
    ]
    path = parquet_of(tmp_path / "set.parquet", made)
    said = pack(str(path), "1MB", tmp_path / "pack.parquet")
    assert said.startswith("3 of 3 faces of 2 persons, 0.0 MB")
    before = prepare(source(path), ("portrait", "recognise", "vector_a"))
    crops = {name: column(name).take(column(name).rows(before.keys)) for name in ("portrait", "recognise", "vector_a")}
    path.unlink()

    found = {row["key"]: row for row in packed(tmp_path / "pack.parquet")}
    assert found.keys() == {key_of(image).hex() for image in images[:3]}
    assert all(row.keys() == {"image", "person", "split", "key", "age"} for row in found.values())
    for row in found.values():
        picture = Image.open(io.BytesIO(row["image"]))
        assert picture.format == "WEBP" and max(picture.size) <= 1.3 * SIDE

    other = tmp_path / "other"
    (other / "cache").mkdir(parents=True)
    for name in ("weights", *(f"cache/{file.name}" for file in (tmp_path / "home" / "cache").glob("*.*"))):
        (other / name).symlink_to(tmp_path / "home" / name)
    monkeypatch.setenv("VISAVIS_HOME", str(other))
    after = prepare(source(tmp_path / "pack.parquet"), ("portrait", "recognise", "vector_a"))
    place = {labels["key"]: i for i, labels in enumerate(after.labels)}
    index = [place[key.hex()] for key in before.keys]
    assert after.persons[index].tolist() == before.persons.tolist()
    assert after.splits[index].tolist() == before.splits.tolist() == ["train", "train", "val"]
    assert [after.labels[i]["age"] for i in index] == [50, 51, 52]
    np.testing.assert_allclose(after.facts["pose"][index], before.facts["pose"], atol=3)
    for name in ("portrait", "recognise"):
        again = column(name).take(column(name).rows([after.keys[i] for i in index]))
        assert np.abs(again.astype(float) - crops[name]).mean() < 4, name
    vectors = column("vector_a").take(column("vector_a").rows([after.keys[i] for i in index]))
    assert (vectors * crops["vector_a"]).sum(1).min() > 0.985


def test_a_face_crop_is_packed_as_it_is(tmp_path: Path, small: dict[str, bytes]) -> None:
    crop = jpeg(Image.open(io.BytesIO(small["biden"])).crop((60, 0, 236, 176)))
    path = parquet_of(tmp_path / "set.parquet", [{"image": crop, "person": person_in("train")}])
    pack(str(path), "100kB", tmp_path / "pack.parquet")
    (row,) = rows(source(tmp_path / "pack.parquet"), Broken())
    assert row.image == crop and row.labels["key"] == key_of(crop).hex()


def test_a_budget_is_filled_by_hash_and_spread_over_persons(tmp_path: Path, photo: Photo) -> None:
    many, few = person_in("train"), person_in("val")
    made = [{"image": photo(number=i), "person": many} for i in range(9)]
    made += [{"image": photo("biden", i), "person": few} for i in range(2)]
    path = parquet_of(tmp_path / "set.parquet", made)
    pack(str(path), "1MB", tmp_path / "all.parquet")
    everything = packed(tmp_path / "all.parquet")
    assert len(everything) == 11 and [row["person"] for row in everything[:4]].count(few) == 2

    # Room for five: the two of one person, three of the other.
    budget = f"{(8192 + sum(len(row['image']) + 200 for row in everything[:5])) / 1000}kB"
    pack(str(path), budget, tmp_path / "some.parquet")
    assert (tmp_path / "some.parquet").stat().st_size <= size_of(budget)
    some = packed(tmp_path / "some.parquet")
    assert Counter(row["person"] for row in some) == {many: 3, few: 2}
    assert some == everything[:5]
    path = parquet_of(tmp_path / "set.parquet", made[::-1])
    pack(str(path), budget, tmp_path / "again.parquet")
    assert packed(tmp_path / "again.parquet") == some, "the order of the rows does not matter"


def test_a_budget_for_no_face(tmp_path: Path, photo: Photo, capsys: pytest.CaptureFixture[str]) -> None:
    path = parquet_of(tmp_path / "set.parquet", [{"image": photo(), "person": person_in("train")}])
    assert run(["data", "pack", str(path), "--budget", "9kB", "--out", str(tmp_path / "pack.parquet")]) == 2
    assert "9kB holds no face of set" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"A pack is a \.parquet file, not pack\.zip"):
        pack(str(path), "1MB", tmp_path / "pack.zip")
    assert [file.name for file in tmp_path.iterdir() if "pack" in file.name] == []


def test_the_terms_travel_with_the_pack(tmp_path: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"image": photo(), "age": "50-59", "gender": "Male", "race": "Black", "split": "train", "file": "a.jpg"}
    parquet_of(tmp_path / "sets" / "fairface" / "fairface_train_00.parquet", [row])
    monkeypatch.setenv("VISAVIS_DATA", str(tmp_path / "sets"))
    pack("fairface", "1MB", tmp_path / "pack.parquet")
    assert source(tmp_path / "pack.parquet").terms == "permissive"
    assert source(parquet_of(tmp_path / "own.parquet", [row])).terms == "unknown"


def test_a_pack_of_frames_is_trained_on_without_looking(
    tmp_path: Path, portraits: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has the pack alone, and no weights, gets the same frames and the same borders of photos."""
    from visavis.faces.align import to_template
    from visavis.faces.analyse import central, find_faces
    from visavis.media.photo import open_photo

    face = central(find_faces(open_photo(portraits["obama"])))
    assert face is not None
    tight = Image.open(portraits["obama"]).convert("RGB").crop(tuple(face.box))  # the frame goes beyond it
    images = [jpeg(tight), portraits["obama"].read_bytes(), portraits["biden"].read_bytes()]
    made = [
        {"image": image, "person": f"{split}{i}", "split": split, "age": 50 + i}
        for i, (image, split) in enumerate(zip(images, ("train", "train", "val"), strict=True))
    ]
    path = parquet_of(tmp_path / "set.parquet", made)
    before = prepare(source(path), ("portrait",))
    stored = before.column("portrait")
    frames = stored.take(stored.rows(before.keys))
    run(["data", "pack", str(path), "--frames", "--budget", "1MB", "--out", str(tmp_path / "frames.parquet")])
    with pytest.raises(InputError, match="a pack of frames already"):
        pack(str(tmp_path / "frames.parquet"), "1MB", tmp_path / "again.parquet", frames=True)
    with pytest.raises(InputError, match="give --budget more"):
        pack(str(path), "9kB", tmp_path / "none.parquet", frames=True)

    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "other"))
    (tmp_path / "other").mkdir(mode=0o700)
    data = source(tmp_path / "frames.parquet")
    with pytest.raises(InputError, match="gives no recognise"):
        prepare(data, ("portrait", "recognise"))
    after = prepare(data, ("portrait",))
    index = [after.keys.index(key) for key in before.keys]
    after = after.take(np.array(index))
    assert list(after.splits) == list(before.splits) and [row["age"] for row in after.labels] == [50, 51, 52]
    assert before.facts["padding"][0] > 0
    for name in before.facts.dtype.names:
        assert name == "mesh" or (after.facts[name] == before.facts[name]).all()
    for ours, theirs in zip(after.facts["mesh"], before.facts["mesh"], strict=True):
        assert np.allclose(to_template(ours, "portrait"), to_template(theirs, "portrait"), atol=1e-4)
    assert [row["double"] for row in after.labels] == [False, True, False]
    stored = after.column("portrait")
    off = stored.take(stored.rows(after.keys)).astype(float) - frames
    assert 0 < np.sqrt((off**2).mean()) < 6
    assert len(column("portrait")) == 0  # what photos give is kept apart

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "frames.parquet")
    spoilt = [row | {"key": "00"} if i == 0 else row for i, row in enumerate(table.to_pylist())]
    pq.write_table(pa.Table.from_pylist(spoilt, table.schema), tmp_path / "spoilt.parquet")
    assert len(prepare(source(tmp_path / "spoilt.parquet"), ("portrait",))) == 2
