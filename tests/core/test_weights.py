"""The store itself: what is verified, refused, derived, taken by hand and listed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.core.local_index import Place, Served, sha256

from visavis.core import weights
from visavis.core.catalogue import ARCHIVES
from visavis.core.errors import InputError, RefusedError

BODY = os.urandom(50_000)
GET = "print(weights.path('tiny_model'))"
WIRE = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn", "os.fork"):
        raise SystemExit(f"tried {event}")
sys.addaudithook(hook)
"""
"""Ends the process at the first attempt to reach anything outside."""

BUILD = """
def build(raw):
    print("building", flush=True)
    return raw.read_bytes()[:1000] + b"{recipe}"
print(weights.derived("tiny_model", "{recipe}", build))
"""


def test_catalogue_is_complete() -> None:
    names = [m.name for a in ARCHIVES for m in a.members]
    assert len(set(names)) == len(names)
    assert {"yunet", "centerface", "face_mesh", "person_mask", "recogniser_a", "portrait_biden"} <= set(names)
    for archive in ARCHIVES:
        digests = [archive.sha256, *(m.sha256 for m in archive.members)]
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
        assert archive.terms in ("permissive", "research-only", "unknown")
        assert archive.trained_on
        assert archive.bytes > 0
    files = [m.file for a in ARCHIVES for m in a.members] + [a.file for a in ARCHIVES]
    assert len(set(files)) == len(files), "one folder holds them all"


def test_every_shipped_file_is_what_the_index_says() -> None:
    shipped = [e for e in weights.entries() if e.source == "shipped"]
    index = json.loads((weights.shipped_folder() / "index.json").read_text())
    assert [e.name for e in shipped] == list(index)
    for e in shipped:
        assert weights.path(e.name) == weights.shipped_folder() / e.file
        assert e.bytes <= 16_000_000
        assert e.terms in ("permissive", "research-only", "unknown")
        assert e.trained_on
        assert e.origin


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="no weight named 'nothing'"):
        weights.path("nothing")


def test_a_copied_folder_needs_no_connection(place: Place, served: Served) -> None:
    place.add("tiny", {"model.bin": BODY})
    code, out, _ = place.run(WIRE + GET)
    assert (code, out) == (1, ""), "the wire must notice a fetch"
    assert place.run(GET)[0] == 0
    other = Place(place.top / "other", place.archives, index=place.index)
    shutil.copytree(place.weights, other.weights)
    code, out, err = other.run(WIRE + GET + BUILD.format(recipe="1"))
    assert code == 0, (out, err)
    assert out.startswith(str(other.weights / "model.bin"))
    assert served.downloads == ["tiny-1.0-py3-none-any.whl"]


def test_a_file_put_by_hand(place: Place) -> None:
    archive = place.add("tiny", {"model.bin": BODY})
    shutil.rmtree(place.links)
    place.put("model.bin", BODY)
    assert place.run(WIRE + GET)[:2] == (0, str(place.weights / "model.bin"))
    place.put("model.bin", BODY[:-1])
    code, out, _ = place.run(GET)
    assert code == 2
    assert "model.bin is damaged" in out
    assert str(place.weights) in out
    assert archive.file in out


def test_an_archive_put_by_hand(place: Place) -> None:
    archive = place.add("tiny", {"model.bin": BODY})
    place.weights.mkdir(parents=True)
    shutil.move(place.links / archive.file, place.weights)
    assert place.run(WIRE + GET)[:2] == (0, str(place.weights / "model.bin"))


@pytest.mark.parametrize("damage", [BODY[:-1], BODY[:-1] + bytes([BODY[-1] ^ 1]), b""])
def test_a_damaged_file_is_fetched_again(place: Place, damage: bytes) -> None:
    place.add("tiny", {"model.bin": BODY})
    file = place.put("model.bin", BODY)
    before = file.stat()
    file.write_bytes(damage)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert place.run("print(weights.entry('tiny_model').state)")[1] == "damaged"
    assert place.run(GET)[0] == 0
    assert file.read_bytes() == BODY


def test_damage_is_noticed_while_the_process_runs(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    file = place.put("model.bin", BODY)
    code, _, err = place.run(f"{GET}\nweights.path('tiny_model').write_bytes(b'other')\n{GET}")
    assert code == 0
    assert err.count("fetching") == 1
    assert file.read_bytes() == BODY


@pytest.mark.parametrize("terms", ["research-only", "unknown"])
def test_commercial_refuses_before_loading(place: Place, terms: str) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.change(terms=terms)
    code, out, err = place.run(GET, env={"VISAVIS_LICENCE": "commercial"})
    assert (code, err) == (3, "")
    assert out.startswith("RefusedError model.bin is refused")
    assert terms in out
    assert place.files() == []
    place.put("model.bin", BODY)
    assert place.run(GET, env={"VISAVIS_LICENCE": "commercial"})[0] == 3, "present is not allowed"
    derive = BUILD.format(recipe="1")
    assert place.run(derive, env={"VISAVIS_LICENCE": "commercial"})[:2] == (3, out)


def test_commercial_takes_permissive_ones(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    assert place.run(GET, env={"VISAVIS_LICENCE": "commercial"})[0] == 0


def test_a_users_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.onnx"
    with pytest.raises(InputError, match=r"own\.onnx does not exist"):
        weights.user_file(own)
    own.write_bytes(b"x")
    assert weights.user_file(str(own)) == own
    monkeypatch.setenv("VISAVIS_LICENCE", "commercial")
    with pytest.raises(RefusedError, match="unknown"):
        weights.user_file(own)


def test_derived_is_built_once_for_each_recipe(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.put("model.bin", BODY)
    first = place.run(BUILD.format(recipe="1"))[1].splitlines()
    again = place.run(BUILD.format(recipe="1"))[1].splitlines()
    other = place.run(BUILD.format(recipe="2"))[1].splitlines()
    assert first[0] == other[0] == "building"
    assert again == first[1:]
    assert other[1] != first[1]
    assert Path(first[1]).read_bytes() == BODY[:1000] + b"1"
    assert Path(first[1]).parent == place.home / "cache"


@pytest.mark.parametrize("spoil", ["file", "sidecar", "no sidecar"])
def test_a_damaged_derived_file_is_built_again(place: Place, spoil: str) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.put("model.bin", BODY)
    file = Path(place.run(BUILD.format(recipe="1"))[1].splitlines()[1])
    if spoil == "file":
        file.write_bytes(b"half")
    elif spoil == "sidecar":
        file.with_suffix(".sha256").write_bytes(b"\xff")
    else:
        file.with_suffix(".sha256").unlink()
    assert place.run(BUILD.format(recipe="1"))[1].startswith("building")
    assert file.read_bytes() == BODY[:1000] + b"1"


def test_two_processes_build_once(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.put("model.bin", BODY)
    slow = BUILD.format(recipe="1").replace("    return", "    import time; time.sleep(1)\n    return")
    processes = [place.start(slow) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert sum(text.count("building") for text in outputs) == 1
    assert all(process.returncode == 0 for process in processes)


def test_a_cache_that_cannot_be_written(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.put("model.bin", BODY)
    (place.home / "cache").write_text("in the way")
    code, out, _ = place.run(BUILD.format(recipe="1"))
    assert code == 2
    assert str(place.home / "cache") in out


def test_register_refuses_a_name_that_exists(place: Place) -> None:
    place.add("tiny", {"model.bin": BODY})
    place.archives *= 2
    code, _, err = place.run(GET)
    assert code == 1
    assert "tiny_model" in err


def shipped(top: Path, terms: str = "permissive", body: bytes = b"cohort") -> dict[str, str]:
    """A visavis-weights distribution of our own, before the real one on the path."""
    package = top / "path" / "visavis_weights"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "cohort.npz").write_bytes(body)
    facts = {"file": "cohort.npz", "sha256": sha256(b"cohort"), "terms": terms, "trained_on": "x", "command": "make x"}
    (package / "index.json").write_text(json.dumps({"cohort": facts}))
    return {"FIRST": str(package.parent)}


def test_shipped_files(place: Place) -> None:
    get = "sys.path.insert(0, __import__('os').environ['FIRST'])\nprint(weights.path('cohort'))"
    env = shipped(place.top)
    assert place.run(get, env=env)[1] == str(place.top / "path/visavis_weights/cohort.npz")
    commercial = {**shipped(place.top, terms="research-only"), "VISAVIS_LICENCE": "commercial"}
    assert place.run(get, env=commercial)[0] == 3
    code, out, _ = place.run(get, env=shipped(place.top, body=b"other"))
    assert code == 2
    assert "cohort.npz is damaged" in out
    assert "force-reinstall ./weights" in out


def test_the_store_imports_nothing_heavy(place: Place) -> None:
    heavy = "{'onnx', 'onnxruntime', 'PIL', 'ai_edge_litert', 'pip', 'rich'}"
    code, out, _ = place.run(f"print(*sorted({heavy} & set(sys.modules)))")
    assert (code, out) == (0, "")


def test_python_without_pip(place: Place) -> None:
    """`-S` starts without site-packages, where pip lies; what visavis needs is put back by hand."""
    place.add("tiny", {"model.bin": BODY})
    import platformdirs

    site = place.top / "site"
    site.mkdir()
    shutil.copytree(Path(platformdirs.__file__).parent, site / "platformdirs")
    bare = place.top / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    code = f"sys.executable = {str(bare)!r}\n{GET}"
    code, out, _ = place.run(code)
    assert code == 2
    assert "has no pip" in out
