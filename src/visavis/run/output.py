"""A made picture, marked as made by AI; how it is put into a file: signed, its facts beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.core.errors import InputError
from visavis.core.types import Photo, Pixels
from visavis.media import paths
from visavis.media.sheet import grid
from visavis.media.write import write_jpeg, write_png
from visavis.run import mark, provenance, sidecar
from visavis.run.likeness import Likeness

COLUMNS = 6  # of a sheet
WRITERS = {".png": write_png, ".jpg": write_jpeg, ".jpeg": write_jpeg}


def write(path: str | os.PathLike[str], pixels: Pixels, facts: Mapping[str, Any]) -> None:
    """A marked picture as a file, signed, with its facts beside it; raises as `Made.save`."""
    target = Path(path)
    if target.suffix.lower() not in WRITERS:
        raise InputError(f"{paths.shown(target)} is neither .png nor .jpg: a signed picture is one of the two.")
    provenance.ready()
    sidecar.check(target)
    WRITERS[target.suffix.lower()](target, pixels)
    try:
        provenance.sign(target, facts)
        sidecar.write(target, facts)
    except BaseException:
        target.unlink(missing_ok=True)  # no picture is left that does not say how it was made
        raise


def write_sheet(
    path: str | os.PathLike[str], pictures: Sequence[Pixels], facts: Mapping[str, Any], columns: int = COLUMNS
) -> None:
    """All pictures of a run, marked and signed as one."""
    write(path, mark.embed(grid(pictures, columns)), facts)


@dataclass(frozen=True, eq=False)
class Made:
    """A picture that was made. pixels: uint8 [H, W, 3]; measured: of the (first) person who was shown, None where no
    face was found on it, or not one a person; notes: sentences for people; facts: what is recorded beside it."""

    pixels: Pixels
    seed: int
    measured: Likeness | None
    notes: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def likeness(self) -> float | None:
        """By the judge: 0 = as alike as strangers, 1 = as two photos of one person usually are."""
        return None if self.measured is None else self.measured.likeness

    @property
    def copy_paste(self) -> float | None:
        """1 = pose, expression and light of the photo that was shown."""
        return None if self.measured is None else self.measured.copy_paste

    @property
    def words(self) -> str:
        return self.measured.words if self.measured else "not judged: no face was found on it, or not one a person"

    def save(self, path: str | os.PathLike[str]) -> None:
        """As PNG or JPEG with a C2PA manifest and the invisible mark, its facts in a JSON beside it.

        Raises InputError for another kind of file, where it cannot be written, and where c2pa-python is missing.
        """
        write(path, self.pixels, self.facts)

    def _repr_png_(self) -> bytes:
        return Photo(self.pixels)._repr_png_()
