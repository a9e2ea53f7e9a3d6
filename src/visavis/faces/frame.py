"""Faces as a made picture holds them: the `portrait` frame and nothing around it.

Photos and made pictures are cut alike before anything compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Face, Floats, Photo, Pixels
from visavis.faces import align, geometry
from visavis.faces.analyse import central, find_faces
from visavis.faces.embed import embed_chips
from visavis.faces.score import standardised

BORDER = 40  # around a frame, so that a detector and the mesh see a face with something around it
BROWS, LIDS = ((105, 334), ((159, 145), (386, 374)))
BEARING = ("eyes", "mouth", "smile", "brows", "yaw", "pitch", "light")


@dataclass(frozen=True, eq=False)
class Frame:
    """pixels: uint8 [128, 128, 3]; mesh: float32 [468, 3] in its pixels."""

    pixels: Pixels
    mesh: Floats


def canvas(frame: Pixels) -> Pixels:
    """uint8 [H + 80, W + 80, 3]: a frame, or a picture made of frames, [H, W, 3] with its border replicated."""
    return np.pad(frame, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), mode="edge")


def frame_of(face: Face) -> Frame:
    """The portrait frame of a face on a photo."""
    crop = face.crop("portrait")
    mesh = face.mesh.copy()
    mesh[:, :2] = align.apply(crop.to_crop, face.mesh[:, :2])
    mesh[:, 2] *= float(np.sqrt(abs(np.linalg.det(crop.to_crop[:, :2]))))
    return Frame(crop.pixels, mesh)


def points_in(frame: Pixels) -> NDArray[np.float64] | None:
    """The five points [5, 2] of the face in a made portrait frame, in its own pixels; None where no face is found."""
    face = central(find_faces(Photo(canvas(frame), "made picture")))
    return None if face is None else face.points5.astype(np.float64) - BORDER


def found_in(picture: Pixels, framed: bool = True) -> Frame | None:
    """The frame of the middle face of a made picture uint8 [H, W, 3]; None where no face is found. framed: the picture
    is a portrait frame [128, 128, 3] itself."""
    face = central(find_faces(Photo(canvas(picture) if framed else picture, "made picture")))
    return None if face is None else frame_of(face)


def all_in(picture: Pixels, framed: bool = True) -> list[Frame]:
    """The frames of all faces of a made picture uint8 [H, W, 3], the middle one first. framed: as for `found_in`, or of
    several frames side by side."""
    faces = find_faces(Photo(canvas(picture) if framed else picture, "made picture"))
    middle = central(faces)
    return [frame_of(face) for face in sorted(faces, key=lambda face: face is not middle)]


def vectors_a(frames: Sequence[Frame]) -> Floats:
    """Recogniser A's vectors of frames, standardised: float32 [N, 128] of unit length."""
    chips = [align.crop(frame.pixels, frame.mesh, "dlib").pixels for frame in frames]
    return standardised(embed_chips(np.stack(chips))) if chips else np.zeros((0, 128), np.float32)


def bearing(frame: Frame) -> NDArray[np.float64]:
    """BEARING of a face, float64 [7]: opening of eyes and mouth, smile, height of the brows (eye distances, turned to
    the front), yaw and pitch (degrees), and by how many stops the right half of the picture is lighter."""
    mean = geometry.geometry()
    front = geometry.to_front(frame.mesh, mean)
    brows = np.mean([np.linalg.norm(front[b] - front[list(lids)].mean(0)) for b, lids in zip(BROWS, LIDS, strict=True)])
    pose = geometry.pose(frame.mesh)
    bright = (frame.pixels[20:110].astype(np.float64).mean(2) / 255) ** 2.2
    light = np.log2((bright[:, 64:108].mean() + 0.002) / (bright[:, 20:64].mean() + 0.002))
    return np.array([*geometry.measures(frame.mesh, mean), brows, pose.yaw, pose.pitch, light])
