"""Made pictures of a folder, whoever made them, judged like MultiID-Bench's: beside the photo that was shown and beside
another photo of the same people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visavis.core.errors import InputError
from visavis.core.types import Face, Photo
from visavis.faces.align import SIZES
from visavis.faces.analyse import find_faces, pick
from visavis.faces.frame import Frame, all_in, frame_of
from visavis.faces.judge import judge_portraits
from visavis.media.formats import SUFFIXES
from visavis.media.photo import open_photo
from visavis.run.multiid import Scores, Vectors, group_scores

PARTS = ("made", "reference", "truth")
SHEET = "sheet.png"  # beside the pictures of a run


@dataclass(frozen=True, eq=False)
class Measured:
    """people: on the photos; faces: on the picture; scores: None where these are not as many."""

    picture: Path
    people: int
    faces: int
    scores: Scores | None


def measured(folder: Path) -> Iterator[Measured]:
    """Each picture of FOLDER/made, in the order of names.

    made/NAME.png, or all pictures of made/NAME/, are held against reference/NAME.jpg, the photo that was shown, and
    truth/NAME.jpg, another photo: everybody on it, or the main face of each photo of a folder NAME. Raises InputError
    for a folder without these, a photo without its counterpart, without a face, or with others on it.
    """
    lacking = [part for part in PARTS if not (folder / part).is_dir()]
    if lacking:
        raise InputError(f"{folder} lacks the folder {lacking[0]}: made/, reference/ and truth/ belong there.")
    cases = _inside(folder / "made")
    if not cases:
        raise InputError(f"{folder / 'made'} holds no picture.")
    pairs = [(case, *(_partner(folder / part, case) for part in PARTS[1:])) for case in cases]
    for case, *both in pairs:
        reference, truth = (_people(path) for path in both)
        if len(reference) != len(truth):
            raise InputError(f"{both[0]} shows {len(reference)} people and {both[1]} shows {len(truth)}.")
        for picture in _inside(case) if case.is_dir() else [case]:
            found = _found(open_photo(picture))
            scores = group_scores(_judged(found), truth, reference)
            yield Measured(picture, len(truth), len(found), scores)


def _inside(folder: Path) -> list[Path]:
    found = (path for path in sorted(folder.iterdir()) if path.name != SHEET and not path.name.startswith("."))
    return [path for path in found if path.is_dir() or path.suffix.lower() in SUFFIXES]


def _partner(folder: Path, case: Path) -> Path:
    name = case.name if case.is_dir() else case.stem
    found = [path for path in _inside(folder) if name == (path.name if path.is_dir() else path.stem)]
    if not found:
        raise InputError(f"{case} has no counterpart {name} in {folder}.")
    return found[0]


def _people(path: Path) -> Vectors:
    faces = [_main(photo) for photo in _inside(path)] if path.is_dir() else find_faces(open_photo(path))
    if not faces:
        raise InputError(f"No face was found on {path}.")
    return _judged([frame_of(face) for face in faces])


def _found(photo: Photo) -> list[Frame]:
    """Of portrait frames, one or several side by side, with a border: their faces reach to the edge."""
    framed = photo.height == SIZES["portrait"]
    return all_in(photo.pixels) if framed else [frame_of(face) for face in find_faces(photo)]


def _main(path: Path) -> Face:
    return pick(find_faces(open_photo(path)), 0, str(path))


def _judged(frames: list[Frame]) -> Vectors:
    return judge_portraits(np.stack([frame.pixels for frame in frames])) if frames else np.zeros((0, 128))
