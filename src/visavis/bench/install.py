"""What a stranger waits for and what it takes: a clean clone of this checkout, `make demo`, then `make test`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from visavis.bench.figures import Figure, write
from visavis.core.errors import InputError

MB = 2**20


def run(tests: bool = True) -> None:
    """Writes results/install.json; needs git, make and the package index. tests: time `make test` too."""
    started = time.time()
    if not (Path("pyproject.toml").exists() and Path(".git").exists()):
        raise InputError("bench install clones the checkout that it runs in: change into it.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as top:
        clone, home = Path(top) / "clone", Path(top) / "home"
        _run(["git", "clone", "-q", "--no-hardlinks", ".", str(clone)], Path.cwd(), {})
        at = {"VISAVIS_HOME": str(home), "PIP_NO_CACHE_DIR": "1"}
        demo = _seconds(["make", "demo", f"PYTHON={sys.executable}"], clone, at)
        shipped = sum(map(_size, (clone / ".venv").glob("lib/*/site-packages/visavis_weights")))
        base, weights = _size(clone / ".venv") - shipped, _size(home / "weights") + shipped
        archives = Path(top) / "archives"
        download = [str(clone / ".venv/bin/python"), "-m", "pip", "download", "-q", "-d", str(archives)]
        _run([*download, "-c", "constraints.txt", "."], clone, at)
        fetched = _size(archives) + _downloads()
        suite = ["make", "test", f"PYTHON={sys.executable}", "VENV=.venv-test"]
        test = [_seconds(suite, clone, at)] if tests else []
    figures = [
        Figure("base.megabytes", base / MB, unit="MB", better="lower"),
        Figure("weights.megabytes", weights / MB, unit="MB", better="lower"),
        Figure("download.megabytes", fetched / MB, unit="MB", better="lower"),
        Figure("demo.seconds", demo, unit="s", better="lower"),
        *(Figure("test.seconds", seconds, unit="s", better="lower") for seconds in test),
    ]
    write(
        "install",
        figures,
        seed=0,
        started=started,
        notes=["demo.seconds includes making the environment and every download"],
    )


def _downloads() -> int:
    from visavis.core import weights

    archives = {entry.archive for entry in weights.entries()}
    return sum(archive.bytes for archive in archives if archive is not None)


def _seconds(command: list[str], folder: Path, at: dict[str, str]) -> float:
    start = time.perf_counter()
    _run(command, folder, at)
    return time.perf_counter() - start


def _run(command: list[str], folder: Path, at: dict[str, str]) -> None:
    # A variable of the running environment must not reach the clone.
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS")}
    done = subprocess.run(command, cwd=folder, env={**clean, **at}, capture_output=True, text=True)
    if done.returncode:
        # pip's warnings fill stderr; what failed in a test stands in stdout.
        raise InputError(f"{' '.join(command[:2])} failed: {done.stdout.strip()[-500:]} {done.stderr.strip()[-200:]}")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())
