"""The walk of one photo: detect, mesh, second opinion, pose, expression, quality; vectors and crops when asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.task import PhotoLike
from visavis.core.tasks import Detector
from visavis.core.types import Age, Crop, Face, Floats, Photo, Template
from visavis.faces import align, embed, geometry
from visavis.faces.attributes import ages
from visavis.faces.detect import Detection, detect, keep
from visavis.faces.mesh import Mesh, fit_mesh, five_points
from visavis.faces.quality import quality
from visavis.media.photo import open_photo


class _Perception:
    """What a Face asks for later; holds nothing, so that faces can be pickled and shared between threads."""

    def crop(self, face: Face, template: Template) -> Crop:
        return align.crop(face.photo.pixels, face.mesh, template)

    def embedding(self, face: Face) -> Floats:
        vector: Floats = embed_faces([face])[0]
        return vector

    def age(self, face: Face) -> Age:
        return ages([face])[0]


PERCEPTION = _Perception()


def needs(detector: Detector, *, embedding: bool = False) -> list[str]:
    """The weights that looking at a photo loads: fetched before long work, so that nothing stops in the middle."""
    return [detector, "face_mesh", "face_geometry", "face_cover", *(["recogniser_a"] if embedding else [])]


DOMINATES = 2.5  # times the area of the next face


def find_faces(source: PhotoLike, *, detector: Detector = "yunet") -> list[Face]:
    """All faces of a photo, largest first; an empty list when there is none.

    Raises InputError for a source that is no photo. One detection a photo, whatever is asked of its faces later.
    """
    photo = open_photo(source)
    found = []
    for detection in detect(photo.pixels, detector):
        mesh = fit_mesh(photo.pixels, detection)
        if keep(detection, mesh.presence):
            found.append((detection, mesh))
    found.sort(key=lambda pair: (-_area(pair[0].box), *pair[0].box))
    return [_face(number, photo, *pair) for number, pair in enumerate(found, 1)]


def embed_faces(faces: Sequence[Face]) -> Floats:
    """float32 [N, 128] of recogniser A, unit length, in batches; each face remembers its own."""
    if not faces:
        return np.zeros((0, 128), np.float32)
    missing = [face for face in faces if "embedding" not in face.__dict__]
    if missing:
        chips = np.stack([align.crop(face.photo.pixels, face.mesh, "dlib").pixels for face in missing])
        for face, vector in zip(missing, embed.embed_chips(chips), strict=True):
            face.__dict__["embedding"] = vector
    return np.stack([face.embedding for face in faces])


def choose(source: PhotoLike | Face, number: int = 0, *, detector: Detector = "yunet") -> Face:
    """The face to compare: number N of `find_faces`, or for 0 the only or clearly largest one; else InputError."""
    if isinstance(source, Face):
        return source
    photo = open_photo(source)
    return pick(find_faces(photo, detector=detector), number, photo.name)


def pick(faces: Sequence[Face], number: int, name: str) -> Face:
    """`choose` for faces that were found already; name: the photo's, for the message."""
    if not faces:
        raise InputError(f"No face was found on {name}.")
    if number:
        if not 0 < number <= len(faces):
            raise InputError(f"{name} has {len(faces)} face{'s' if len(faces) > 1 else ''}, there is no face {number}.")
        return faces[number - 1]
    if len(faces) > 1 and faces[0].area < DOMINATES * faces[1].area:
        raise InputError(
            f"{name} shows {len(faces)} faces and none clearly dominates. "
            "Choose one with --face N (visavis look --draw OUT numbers them); compare takes --all, too."
        )
    return faces[0]


def central(faces: Sequence[Face]) -> Face | None:
    """The face nearest the middle of its photo: who a face crop shows."""
    if not faces:
        return None
    height, width = faces[0].photo.pixels.shape[:2]

    def off_centre(face: Face) -> float:
        x1, y1, x2, y2 = face.box
        return float(np.hypot((x1 + x2 - width) / 2, (y1 + y2 - height) / 2))

    return min(faces, key=off_centre)


def _face(number: int, photo: Photo, detection: Detection, mesh: Mesh) -> Face:
    pose = geometry.pose(mesh.points)
    eyes_open, mouth_open, smile = geometry.expression(mesh.points)
    x1, y1, x2, y2 = (float(v) for v in detection.box)
    return Face(
        id=number,
        box=(x1, y1, x2, y2),
        score=float(detection.score),
        turn=detection.turn,
        points5=five_points(mesh),
        mesh=mesh.points,
        pose=pose,
        eyes_open=eyes_open,
        mouth_open=mouth_open,
        smile=smile,
        quality=quality(photo.pixels, mesh.points, pose, mesh.presence),
        photo=photo,
        perception=PERCEPTION,
    )


def _area(box: NDArray[np.float64]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
