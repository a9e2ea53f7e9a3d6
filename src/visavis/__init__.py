"""Faces whose identity matters: who is on this photo, and is it the same person?

    import visavis as vv
    faces = vv.look("party.jpg")
    match = vv.compare("a.jpg", "b.jpg")
    made = vv.create.portrait("me.jpg", "smiling, looking left")

Every verb takes a path, a uint8 RGB array [H, W, 3] or a Photo, and raises InputError for what is none.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from visavis.core.errors import InputError, RefusedError, VisavisError
from visavis.core.task import PhotoLike
from visavis.core.tasks import Detector
from visavis.core.types import Age, Crop, Face, Match, Photo, Pose, Quality

if TYPE_CHECKING:
    from visavis import create
    from visavis.app.library import Album
    from visavis.bench.claims import Finding

__version__ = "0.1.0"
__all__ = [
    "Age",
    "Album",
    "Crop",
    "Face",
    "InputError",
    "Match",
    "Photo",
    "Pose",
    "Quality",
    "RefusedError",
    "VisavisError",
    "claim",
    "compare",
    "create",
    "look",
    "open_photo",
    "train",
]


def __getattr__(name: str) -> Any:
    # The album's database library loads only for those who use it.
    if name == "Album":
        from visavis.app.library import Album

        return Album
    if name == "create":
        return importlib.import_module("visavis.create")
    raise AttributeError(f"module 'visavis' has no attribute {name!r}")


def open_photo(source: PhotoLike) -> Photo:
    """A photo, upright by its EXIF and in sRGB: `Photo.pixels` is uint8 [H, W, 3] RGB.

    source: a path; or an array [H, W], [H, W, 3] or [H, W, 4] of uint8, uint16 or float 0..1, in RGB order (an image
    read by OpenCV is BGR: `open_photo(cv2.imread(path)[:, :, ::-1])`); or a Photo, which is returned as it is.
    Raises InputError in one sentence for anything else.
    """
    from visavis.media.photo import open_photo as open_

    return open_(source)


def look(photo: PhotoLike, *, detector: Detector = "yunet") -> list[Face]:
    """All faces of a photo, largest first, with box, five points, mesh, head pose, expression and quality.

    Coordinates are pixels of the upright photo. No face is a result: an empty list. `Face.embedding` (float32 [128],
    unit length) and `Face.crop(template)` are computed when asked. Raises InputError for what is no photo.
    """
    from visavis.faces.analyse import find_faces

    return find_faces(photo, detector=detector)


def compare(
    a: PhotoLike | Face,
    b: PhotoLike | Face,
    *,
    face: Sequence[int] = (),
    max_false_match: float = 1e-3,
    detector: Detector = "yunet",
) -> Match:
    """Is it the same person, and how often would a stranger score this high?

    a, b: photos, or faces that `look` found. face: which face of the first and of the second photo (from 1; 0 or
    left out: the main one). max_false_match: `Match.same` is True only where at most this share of strangers scores
    as high (1e-7 to 0.5). Raises InputError where a photo has no face, or several and none clearly dominates.
    """
    from visavis.faces.analyse import choose
    from visavis.faces.score import match

    chosen = [*face, 0, 0][:2]
    return match(
        choose(a, chosen[0], detector=detector),
        choose(b, chosen[1], detector=detector),
        max_false_match=max_false_match,
    )


def train(
    name: str,
    *,
    data: str | None = None,
    minutes: float = 60,
    resume: bool = False,
    settings: Sequence[str] = (),
    run: str | None = None,
) -> dict[str, float]:
    """Trains one of the networks (extra [ml]); the figures of the last validation by name.

    The same call works on a laptop, on a GPU and in each process of `accelerate launch`. name: "judge", "attributes",
    "parser", "autoencoder", "nano" or a system's slug; data: a data set by name, a folder of photos, a .parquet or
    .tar; minutes: it stops after so long and goes on by resume=True; settings: "key=value" as after --set; run: its
    folder below VISAVIS_HOME/runs, else the name. Raises InputError for an unknown name or setting, and where the data
    is too little.
    """
    from visavis.training.launch import start

    result, _ = start(name, data=data, minutes=minutes, resume=resume, settings=settings, run=run)
    figures: dict[str, float] = result.figures
    return figures


def claim(slug: str, *, quick: bool = False, settings: Sequence[str] = ()) -> Finding:
    """Does a paper's one idea hold here? Two arms, with it and without, on people whom no training saw (extras [ml] and
    [bench]): `Finding.verdict` (holds, null, reversed), `.effect`, `.low`, `.high`.

    What is not trained yet is trained first; how long that takes is said before. The figures are written to
    results/claims of the current folder. quick: a few samples and people, whether it runs. Raises InputError for a
    system without a claim, and without the data set of the people.
    """
    from visavis.bench.claims import finding, run

    return finding(run(slug, quick, settings))
