"""The cache of what was computed: killed writers, other recipes, two writers at once, a full disk."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from visavis.core.errors import InputError
from visavis.training.cache import CHUNK, KEY, Column, forget, key_of, shuffled

SHAPE = (4, 3)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))


def column(recipe: str = "1") -> Column:
    return Column("crop", recipe, "<f4", SHAPE)


def keys(first: int, count: int) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(first, first + count)]


def records(first: int, count: int) -> np.ndarray:
    """[count, 4, 3]: each filled with its number."""
    return np.broadcast_to(np.arange(first, first + count, dtype="<f4")[:, None, None], (count, *SHAPE)).copy()


def holds(kept: Column, first: int, count: int) -> bool:
    """Whether these records are there, each under its own key."""
    rows = kept.rows(keys(first, count))
    return bool((rows >= 0).all()) and np.array_equal(kept.take(rows), records(first, count))


def test_what_was_added_is_there_for_the_next_process() -> None:
    column().add(keys(0, 5), records(0, 5))
    column().add(keys(5, 3), records(5, 3))
    kept = column()
    assert len(kept) == 8 and holds(kept, 0, 8)
    assert kept.rows([key_of(b"another")]).tolist() == [-1]
    assert kept.array().shape == (8, *SHAPE)


def test_an_empty_column() -> None:
    kept = column()
    kept.add([], records(0, 0))
    assert len(kept) == 0 and kept.array().shape == (0, *SHAPE) and kept.take(np.array([], int)).shape == (0, *SHAPE)


def test_a_photo_is_kept_once() -> None:
    kept = column()
    kept.add([*keys(0, 3), *keys(0, 3)], np.concatenate([records(0, 3)] * 2))
    kept.add(keys(2, 3), records(2, 3))
    assert len(kept) == len(column()) == 5 and holds(column(), 0, 5)


def test_another_recipe_is_another_column() -> None:
    column("1").add(keys(0, 2), records(0, 2))
    assert len(column("2")) == 0
    assert len(Column("crop", "1", "<f8", SHAPE)) == 0
    assert len(column("1")) == 2


def test_records_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="crop takes"):
        column().add(keys(0, 2), np.zeros((2, 3, 3), "<f4"))
    assert len(column()) == 0


@pytest.mark.parametrize(
    ("name", "change", "left"),
    [
        ("keys.bin", -1, 9),
        ("keys.bin", -KEY - 5, 8),
        ("keys.bin", KEY // 2, 10),
        ("records.bin", -1, 9),
        ("records.bin", 100, 10),  # records whose keys were never written
        ("records.bin", 17, 10),
    ],
)
def test_a_killed_writer_leaves_a_valid_column(name: str, change: int, left: int) -> None:
    first = column()
    first.add(keys(0, 10), records(0, 10))
    file = first.folder / name
    data = file.read_bytes()
    file.write_bytes(data[:change] if change < 0 else data + b"\xab" * change)
    kept = column()
    assert len(kept) == left and holds(kept, 0, left)
    kept.add(keys(0, 14), records(0, 14))
    assert len(column()) == 14 and holds(column(), 0, 14)


def _write(first: int) -> None:
    kept = column()
    for start in range(first, first + 60, 3):
        kept.add(keys(start, 3), records(start, 3))


def test_two_processes_at_once_lose_nothing() -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(first,)) for first in (0, 30)]  # half of it is the same
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(column()) == 90 and holds(column(), 0, 90)


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from test_cache import column, keys, records
from visavis.core.errors import InputError
kept = column()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    kept.add(keys(10, 50), records(10, 50))
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files here")
def test_a_full_disk_keeps_what_was_there() -> None:
    column().add(keys(0, 10), records(0, 10))
    assert said_when_full(FULL, 700) == 1, "in the middle of the new records"
    assert len(column()) == 10 and holds(column(), 0, 10)
    column().add(keys(10, 50), records(10, 50))
    assert len(column()) == 60 and holds(column(), 0, 60)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files here")
def test_a_disk_that_is_full_once_the_records_are_written() -> None:
    def flag() -> Column:
        return Column("flag", "1", "u1")

    flag().add(keys(0, 2), np.arange(2, dtype="u1"))
    code = FULL.replace("column, keys, records", "np, Column, keys").replace("column()", "Column('flag', '1', 'u1')")
    assert said_when_full(code.replace("records(10, 50)", "np.arange(10, 60, dtype='u1')"), 200) == 1
    # 200 bytes are six whole keys: their records are there, so they count.
    assert flag().keys() == [*keys(0, 2), *keys(10, 4)] and flag().array().tolist() == [0, 1, 10, 11, 12, 13]
    flag().add(keys(2, 3), np.arange(2, 5, dtype="u1"))
    assert flag().array().tolist() == [0, 1, 10, 11, 12, 13, 2, 3, 4]


def said_when_full(code: str, limit: int) -> int:
    """Lines of the message where a file may grow to `limit` bytes."""
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(limit)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "the disk is full" in said
    return len(said.splitlines())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be made"):
        column().add(keys(0, 1), records(0, 1))


@pytest.mark.parametrize("count", [1, 7, CHUNK + 1, 50_000])
def test_shuffled_is_a_permutation_that_follows_from_the_seed(count: int) -> None:
    order = shuffled(count, 3)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.array_equal(order, shuffled(count, 3))
    if count > 2:
        assert not np.array_equal(order, shuffled(count, 4))


def test_shuffled_reads_big_files_in_chunks() -> None:
    count, window = 192 * CHUNK, 16 * CHUNK
    order = shuffled(count, 0)
    for start in range(0, count, window):
        assert len(np.unique(order[start : start + window] // CHUNK)) == 16
    assert np.abs(np.diff(order[:1000])).mean() > CHUNK, "neighbours of the file are not neighbours of the order"


def test_a_column_goes_to_another_process_without_its_records() -> None:
    kept = column()
    kept.add(keys(0, 2000), records(0, 2000))
    kept.array()
    sent = pickle.dumps(kept)
    assert len(sent) < kept.array().nbytes + 2000 * 8  # the keys alone
    assert holds(pickle.loads(sent), 0, 2000)
    assert kept.array() is kept.array()
    kept.add(keys(2000, 1), records(2000, 1))
    assert len(kept.array()) == 2001


def test_forgetting_overwrites_what_a_killed_writer_left(tmp_path: Path) -> None:
    kept = column()
    kept.add(keys(0, 10), records(0, 10))
    with (kept.folder / "records.bin").open("ab") as file:
        file.write(records(5, 7).tobytes())  # without keys: the writer died
    assert forget([keys(5, 1)[0].hex()]) == 1
    assert column().rows(keys(5, 1))[0] == -1 and holds(column(), 0, 5) and holds(column(), 6, 4)
    assert records(5, 1).tobytes() not in (kept.folder / "records.bin").read_bytes()
    assert forget([keys(5, 1)[0].hex()]) == 0
