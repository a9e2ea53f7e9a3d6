"""Whole or absent: writers that fail or are killed, and locks between processes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from visavis.core.files import intact, locked, sha256_of, sweep_parts, write_whole

KILLED = """
import sys, time
from pathlib import Path
from visavis.core.files import write_whole
def chunks():
    yield b"x" * 100_000
    print("half", flush=True)
    time.sleep(60)
write_whole(Path(sys.argv[1]), chunks())
"""


def test_write_whole(tmp_path: Path) -> None:
    target = tmp_path / "weight.bin"
    digest = write_whole(target, [b"one", b"two"])
    assert target.read_bytes() == b"onetwo"
    assert digest == sha256_of(target) == hashlib.sha256(b"onetwo").hexdigest()


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "weight.bin"
    target.write_bytes(b"old")

    def chunks() -> Iterator[bytes]:
        yield b"new"
        raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        write_whole(target, chunks())
    with pytest.raises(ValueError, match="sha256"):
        write_whole(target, [b"new"], "0" * 64)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["weight.bin"]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "weight.bin"
    target.write_bytes(b"old")
    with subprocess.Popen([sys.executable, "-c", KILLED, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    sweep_parts(tmp_path / "other.bin")
    assert len(list(tmp_path.iterdir())) == 2
    sweep_parts(target)
    assert [p.name for p in tmp_path.iterdir()] == ["weight.bin"]


def test_a_reader_sees_the_old_or_the_new_file(tmp_path: Path) -> None:
    target = tmp_path / "weight.bin"
    bodies = [b"a" * 4_000_000, b"b" * 3_000_000]
    write_whole(target, [bodies[0]])
    done = threading.Event()

    def write() -> None:
        for turn in range(30):
            write_whole(target, [bodies[turn % 2]])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while not done.is_set():
        seen.append(target.read_bytes() in bodies)
    thread.join()
    assert len(seen) > 10
    assert all(seen)


def test_intact_reads_again_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "weight.bin"
    good = hashlib.sha256(b"good").hexdigest()
    assert not intact(file, good)
    file.write_bytes(b"good")
    assert intact(file, good)
    file.write_bytes(b"changed")
    assert not intact(file, good)
    assert not intact(tmp_path, good)


def test_lock_between_threads(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []
    waited: list[bool] = []

    def work() -> None:
        with locked(tmp_path / "locks" / "one.lock", lambda: waited.append(True)) as held:
            assert held
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    assert 1 <= len(waited) <= 3


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    hold = "import sys, time; from pathlib import Path; from visavis.core.files import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "lock")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        waiting = threading.Event()
        got: list[bool] = []

        def take() -> None:
            with locked(tmp_path / "lock", waiting.set) as held:
                got.append(held)

        thread = threading.Thread(target=take)
        thread.start()
        assert waiting.wait(10)
        assert got == []
        process.kill()
        thread.join(10)
    assert got == [True]
