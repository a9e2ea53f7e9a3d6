"""`visavis look`: everything on each face of photos and folders."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from visavis.app import document, words
from visavis.app.draw import draw_faces
from visavis.app.say import say, table
from visavis.app.vectors import Vectors
from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.settings import settings
from visavis.core.task import Outcome
from visavis.core.tasks import Detector, Look
from visavis.core.types import Face, Photo
from visavis.faces.analyse import find_faces, needs
from visavis.faces.attributes import NETWORK, Labels, ages, bias_labels
from visavis.media.folder import walk
from visavis.media.formats import frames_said
from visavis.media.photo import open_photo
from visavis.media.write import unique_names, write_png


def use(inputs: Look, quiet: bool) -> Outcome:
    """Looks at every photo; the good ones are done whatever becomes of the others."""
    started = time.monotonic()
    vectors = Vectors(inputs.embedding) if inputs.embedding else None
    used = [*needs(inputs.detector, embedding=vectors is not None), NETWORK]
    sources = list(walk(str(photo) for photo in inputs.photos))
    drawings = unique_names([path for path, _ in sources], into=inputs.draw) if inputs.draw else []
    weights.fetch(used)
    rows: list[dict[str, Any]] = []
    try:
        looked = _look_together(sources, inputs.detector)
        for number, (path, found) in enumerate(track(looked, "looking", len(sources))):
            if isinstance(found, InputError):
                rows.append(document.failed_row(str(path), str(found)))
                if not quiet:
                    say(f"{path}  not read: {found}")
                continue
            photo, faces = found
            if vectors:
                vectors.add(str(path), faces)
            if inputs.draw:
                write_png(Path(inputs.draw) / drawings[number], draw_faces(photo, faces))
            labels = bias_labels(faces) if inputs.labels else []
            rows.append(document.photo_row(str(path), photo, faces, mesh=inputs.mesh, labels=labels))
            if not quiet:
                _say(path, photo, faces, labels)
    finally:
        if vectors:
            vectors.write()
    result = {
        "schema": "visavis.look/1",
        "photos": rows,
        **document.origin(used, time.monotonic() - started),
    }
    return Outcome(result, _failure(rows, {str(photo) for photo in inputs.photos}, inputs.strict))


Found = tuple[Photo, list[Face]] | InputError


def _look_together(sources: list[tuple[Path, str | None]], detector: Detector) -> Iterator[tuple[Path, Found]]:
    """Each source in order, as many at a time as there are threads; few lie waiting, whatever the folder's size."""
    workers = settings().threads
    if len(sources) == 1:  # a new thread would load its networks first
        yield sources[0][0], _look(*sources[0], detector)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(sources), 2 * workers):
            part = sources[start : start + 2 * workers]
            yield from zip(
                (path for path, _ in part), pool.map(lambda s: _look(s[0], s[1], detector), part), strict=True
            )


def _look(path: Path, problem: str | None, detector: Detector) -> Found:
    if problem:
        return InputError(f"{path.name} is {problem}.")
    try:
        photo = open_photo(path)
        faces = find_faces(photo, detector=detector)
        ages(faces)
        return photo, faces
    except InputError as error:
        return error


def _failure(rows: list[dict[str, Any]], named: set[str], strict: bool) -> str | None:
    """A photo that was named itself must be readable; of a folder's files one must, or all with --strict."""
    failed = [row for row in rows if row["error"]]
    failed_named = [row for row in failed if row["path"] in named]
    if not failed or not (failed_named or strict or len(failed) == len(rows)):
        return None
    first = (failed_named or failed)[0]["error"]
    return first if len(failed) == 1 else f"{len(failed)} of {len(rows)} files were not read. The first: {first}"


def _say(path: Path, photo: Photo, faces: list[Face], labels: list[Labels]) -> None:
    frames = photo.meta.get("frames", 1)
    note = f", the first of {frames_said(frames)}" if frames > 1 else ""
    say(f"{path}  {photo.width} x {photo.height}{note}: {words.counted(len(faces))}")
    if faces:
        columns = ["face", "box", "age", "turned", "expression", "for comparing"]
        rows = [
            [str(f.id), words.box(f), f.age.words, words.gaze(f), words.expression(f), words.condition(f)]
            for f in faces
        ]
        if labels:
            columns.append("FairFace's labels")
            rows = [[*row, known.words] for row, known in zip(rows, labels, strict=True)]
        table(columns, rows)
