"""What of this machine's folders a client may name: nothing but what lies below the offered ones."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.app.serve.leftovers import SCRATCH, UPLOADS, jobs_folder, page_folder
from visavis.core.errors import InputError
from visavis.core.settings import settings


@dataclass(frozen=True)
class Roots:
    """folders: by the name that clients say, each resolved."""

    folders: dict[str, Path]

    @classmethod
    def of(cls, folders: Sequence[str | os.PathLike[str]]) -> Roots:
        """Raises InputError for what is no folder, and for two of the same last name."""
        made: dict[str, Path] = {}
        for folder in folders:
            path = Path(folder).expanduser().resolve()
            if not path.is_dir():
                raise InputError(f"--root {folder} is no folder.")
            if path.name in made or not path.name:
                raise InputError(f"--root {folder}: clients would know it as {path.name!r}, and another one, too.")
            made[path.name] = path
        return cls(made)

    def resolve(self, said: str) -> Path:
        """The file or folder of such a name as "Photos/2019". Raises InputError for all that lies elsewhere, whether
        by `..`, by a link or because it is not there: which of the three is not told."""
        name, _, rest = said.strip("/").partition("/")
        root = self.folders.get(name)
        try:
            path = (root / rest).resolve(strict=True) if root is not None else None
        except (OSError, ValueError):  # not there, not to be read, too long, or no name at all
            path = None
        if root is None or path is None or not path.is_relative_to(root):
            offered = ", ".join(sorted(self.folders)) or "none (visavis serve --root DIR offers one)"
            raise InputError(f"{said[:100]!r} is not below the folders that are offered here: {offered}.")
        return path

    def whole(self, said: str) -> Path:
        """As `resolve`, for a folder whose files are opened without a look at where they lie. Raises InputError, too,
        for a link in it to another place or to a folder."""
        path = self.resolve(said)
        root = self.folders[said.strip("/").partition("/")[0]]
        for place, folders, files in os.walk(path):
            for one in (Path(place, name) for name in folders + files):
                # What lies in a folder behind a link is not walked here.
                if one.is_symlink() and (one.is_dir() or not one.resolve().is_relative_to(root)):
                    raise InputError(f"{said[:100]!r} holds a link that leads elsewhere ({one.name}); copy it there.")
        return path

    def told(self, answer: Any) -> Any:
        """An answer (of dictionaries, lists, texts) with no path of this machine in it: what lies below a root is
        called as clients say it, an upload or a job's file by its name there, what lies in a folder of visavis by what
        is below that, all else by its last name."""
        if isinstance(answer, dict):
            return {key: self.told(value) for key, value in answer.items()}
        if isinstance(answer, list | tuple):
            return [self.told(value) for value in answer]
        return self._said(answer) if isinstance(answer, str) and os.sep in answer else answer

    def _said(self, text: str) -> str:
        for name, folder in sorted(self.folders.items(), key=lambda item: -len(str(item[1]))):
            text = _replaced(text, re.escape(str(folder)), name)
        here = settings()
        for place, below in (
            (here.tmp, rf"{SCRATCH}[^/]+/(?:{UPLOADS}/[^/]+/)?"),
            (page_folder(), "(?:[0-9a-f]{64}/)?"),
            (jobs_folder(), rf"[^/]+/(?:{UPLOADS}/[^/]+/|files/)?"),
        ):
            text = _replaced(text, re.escape(f"{place}{os.sep}") + below.replace("/", re.escape(os.sep)), "")
        album = Path(here.album).expanduser().absolute().parent
        for place in (here.weights, here.cache, here.tmp, here.data, album):
            text = _replaced(text, re.escape(f"{place}{os.sep}"), "")
            text = _replaced(text, re.escape(str(place)), place.name)
        if os.path.isabs(text) and os.path.lexists(text):
            return Path(text).name
        return re.sub(r"(?<![\w./:])/(?:[^\s/'\"]+/)*([^\s/'\"]+)", r"\1", text)


def _replaced(text: str, path: str, by: str) -> str:
    """path: a regular expression, found where no longer path ends with it."""
    return re.sub(rf"(?<![\w.]){path}", lambda _: by, text)
