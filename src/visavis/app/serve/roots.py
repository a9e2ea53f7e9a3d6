"""What of this machine's folders a client may name: nothing but what lies below the offered ones."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        path = (root / rest).resolve() if root is not None and "\0" not in rest else None
        if root is None or path is None or not path.is_relative_to(root) or not path.exists():
            offered = ", ".join(sorted(self.folders)) or "none (visavis serve --root DIR offers one)"
            raise InputError(f"{said[:100]!r} is not below the folders that are offered here: {offered}.")
        return path

    def told(self, answer: Any, workplace: Path | None = None) -> Any:
        """An answer (of dictionaries, lists, texts) with no path of this machine in it: what lies below a root is
        called as clients say it, what lies in the workplace or in a folder of visavis by what is below it, all else
        by its last name."""
        if isinstance(answer, dict):
            return {key: self.told(value, workplace) for key, value in answer.items()}
        if isinstance(answer, list | tuple):
            return [self.told(value, workplace) for value in answer]
        return self._said(answer, workplace) if isinstance(answer, str) else answer

    def _said(self, text: str, workplace: Path | None) -> str:
        if workplace is not None:
            text = re.sub(re.escape(f"{workplace}{os.sep}") + r"(?:uploads/[^/]+/|files/)?", "", text)
        for name, folder in self.folders.items():
            text = text.replace(f"{folder}{os.sep}", f"{name}/")
        here = settings()
        for place in (here.weights, here.cache, here.tmp, here.data, Path(here.album).parent):
            if place.is_absolute() and place.name:
                text = text.replace(f"{place}{os.sep}", "")
        return Path(text).name if text.startswith("/") and "\n" not in text else text
