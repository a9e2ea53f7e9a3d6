"""Settings from the environment, folders with their modes, cores of this process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from visavis.core.errors import InputError
from visavis.core.settings import MAX_PIXELS, private_folder, scratch, settings, usable_cores


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("VISAVIS_"):
            monkeypatch.delenv(name)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_folder_for_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    now = settings()
    assert (now.weights, now.cache, now.tmp, now.data) == (
        tmp_path / "home" / "weights",
        tmp_path / "home" / "cache",
        tmp_path / "home" / "tmp",
        tmp_path / "home",
    )
    assert not (tmp_path / "home").exists(), "asking for settings makes no folder"


def test_a_relative_home_and_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISAVIS_HOME", "here")
    assert settings().data == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VISAVIS_HOME", "~/mine")
    assert settings().data == tmp_path / "mine"
    monkeypatch.setenv("VISAVIS_HOME", "~nobody-of-this-name/mine")
    with pytest.raises(InputError, match="VISAVIS_HOME names no folder"):
        settings()


def test_without_home_the_platforms_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("the folders' names are Linux' own")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for empty in (None, ""):
        if empty is not None:
            monkeypatch.setenv("VISAVIS_HOME", empty)
        now = settings()
        assert now.weights == tmp_path / "cache/visavis/weights"
        assert now.tmp == tmp_path / "cache/visavis/tmp"
        assert now.data == tmp_path / "data/visavis"


def test_defaults() -> None:
    now = settings()
    assert (now.device, now.commercial, now.data_sets, now.max_pixels) == ("cpu", False, None, MAX_PIXELS)
    assert now.threads == usable_cores()


def test_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"THREADS": "3", "DEVICE": "cuda", "LICENCE": "commercial", "DATA": str(tmp_path), "MAX_PIXELS": "1000"}
    for name, value in values.items():
        monkeypatch.setenv(f"VISAVIS_{name}", value)
    now = settings()
    assert (now.threads, now.device, now.commercial, now.data_sets, now.max_pixels) == (
        3,
        "cuda",
        True,
        tmp_path,
        1000,
    )


@pytest.mark.parametrize("name", ["THREADS", "DEVICE", "LICENCE", "DATA", "MAX_PIXELS"])
def test_an_empty_variable_is_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = settings()
    monkeypatch.setenv(f"VISAVIS_{name}", "")
    assert settings() == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THREADS", "0"),
        ("THREADS", "-2"),
        ("THREADS", "two"),
        ("THREADS", "1.5"),
        ("MAX_PIXELS", "none"),
        ("DEVICE", "gpu"),
        ("LICENCE", "free"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"VISAVIS_{name}", value)
    with pytest.raises(InputError) as caught:
        settings()
    assert f"VISAVIS_{name}" in str(caught.value)
    assert repr(value) in str(caught.value)
    assert caught.value.exit_code == 2


def test_private_folders_all_the_way(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = private_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(old)
    assert made.is_dir()
    assert [mode(tmp_path / part) for part in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert private_folder(made) == made


def test_a_folder_of_the_users_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o755)
    private_folder(tmp_path / "mine" / "weights")
    assert mode(tmp_path / "mine") == 0o755


@pytest.mark.parametrize("below", ["", "home", "home/deeper"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="VISAVIS_HOME"):
        private_folder(tmp_path / "file" / below)


def test_scratch_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    with scratch("look-") as work:
        assert Path(work).parent == tmp_path / "home" / "tmp"
        assert mode(Path(work)) == 0o700
        (Path(work) / "file").write_text("x")
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "999900000 100000\n"}, None),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_control_groups_quota(tmp_path: Path, files: dict[str, str], cores: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == (cores or usable_cores(tmp_path / "absent"))


def test_cores_by_affinity() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity on this platform")
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from visavis.core.settings import settings; print(settings().threads)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "1"
