"""Head pose and expression from the face mesh and a mean face of our own (weight `face_geometry`).

The mean face uses the axes of the mesh (x right, y down, z away from the camera), looks into the camera, has its origin
between the eyes and its eye centres 1 apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.core import weights
from visavis.core.types import Pose
from visavis.faces.mesh import MeshLike, points_of

Points = NDArray[np.float64]
# The network's z is compressed: heads rendered at 30 degrees read 28 (bench/geometry.py).
DEPTH = 1.06
LIDS = ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373))
INNER_LIPS = ((13, 14), (82, 87), (312, 317))
CORNERS = (61, 291)
MIDDLE_LIPS = (13, 14)


@dataclass(frozen=True, eq=False)
class Geometry:
    """The mean face.

    vertices:  float64 [468, 3]; triangles: int [M, 3]; mirror: int [468], the vertex on the other side
    stability: float64 [468], sums to 1: how little a vertex moves with expression and person
    ranges:    float64 [3, 2], the raw measures of eyes, mouth and smile that count as 0 and as 1
    """

    vertices: Points
    triangles: NDArray[np.int64]
    mirror: NDArray[np.int64]
    stability: Points
    ranges: Points


@dataclass(frozen=True, eq=False)
class Placement:
    """mesh = scale * rotation @ vertex + shift, the mesh's z stretched by DEPTH"""

    scale: float
    rotation: Points
    shift: Points


@cache
def geometry() -> Geometry:
    """The shipped mean face."""
    return read(weights.path("face_geometry"))


def place(points: NDArray[np.floating], face: Geometry | None = None) -> Placement:
    """Weighted rigid fit with scale of the mean face to mesh points [468, 3]."""
    face = face or geometry()
    return umeyama(face.vertices, points.astype(np.float64) * (1.0, 1.0, DEPTH), face.stability)


def pose(mesh: MeshLike) -> Pose:
    """Head pose in degrees; roll is the outermost turn, so that turning a photo changes roll alone."""
    return pose_of(place(points_of(mesh)).rotation)


def pose_of(rotation: Points) -> Pose:
    yaw = math.asin(max(-1.0, min(1.0, rotation[2, 0])))
    pitch = -math.atan2(rotation[2, 1], rotation[2, 2])
    roll = math.atan2(rotation[1, 0], rotation[0, 0])
    return Pose(math.degrees(yaw), math.degrees(pitch), math.degrees(roll))


def rotation_of(pose: Pose) -> Points:
    """The inverse of `pose_of`."""
    y, x, z = math.radians(-pose.yaw), math.radians(-pose.pitch), math.radians(pose.roll)
    about_z = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    turned: Points = about_z @ about_y @ about_x
    return turned


def expression(mesh: MeshLike) -> tuple[float, float, float]:
    """(eyes_open, mouth_open, smile), each 0..1: where the face lies between the rare extremes of many faces."""
    face = geometry()
    low, high = face.ranges.T
    share = np.clip((measures(points_of(mesh), face) - low) / (high - low), 0, 1)
    return float(share[0]), float(share[1]), float(share[2])


def measures(points: NDArray[np.floating], face: Geometry) -> Points:
    """Raw measures in units of the eye distance, of the face turned to the front: eye opening, mouth opening, smile."""
    front = to_front(points, face)
    # Each eye by its own width, which the pose compensation leaves least exact.
    widths = [np.linalg.norm(front[a] - front[b]) for a, b in ((33, 133), (362, 263))]
    gaps = [np.linalg.norm(front[a] - front[b]) for a, b in LIDS]
    eyes = (sum(gaps[:3]) / widths[0] + sum(gaps[3:]) / widths[1]) / 6
    mouth = np.mean([np.linalg.norm(front[a] - front[b]) for a, b in INNER_LIPS])
    left, right = front[CORNERS[0]], front[CORNERS[1]]
    lift = front[list(MIDDLE_LIPS), 1].mean() - (left[1] + right[1]) / 2
    return np.array([eyes, mouth, np.linalg.norm(right - left) + 2 * lift])


def to_front(points: NDArray[np.floating], face: Geometry) -> Points:
    """The mesh turned to look into the camera, in units and place of the mean face."""
    at = place(points, face)
    front: Points = (points.astype(np.float64) * (1.0, 1.0, DEPTH) - at.shift) @ at.rotation / at.scale
    return front


def umeyama(source: Points, target: Points, weight: Points) -> Placement:
    """The similarity that takes source to target with the least weighted squares; weights sum to 1."""
    middle, aim = weight @ source, weight @ target
    a, b = source - middle, target - aim
    u, values, vt = np.linalg.svd((b * weight[:, None]).T @ a)
    sign = np.array([1.0, 1.0, math.copysign(1.0, float(np.linalg.det(u @ vt)))])
    rotation: Points = (u * sign) @ vt
    scale = float((values * sign).sum() / (weight @ (a**2).sum(1)))
    return Placement(scale, rotation, aim - scale * rotation @ middle)


def read(path: Path) -> Geometry:
    from safetensors.numpy import load_file

    found = load_file(path)
    return Geometry(
        vertices=found["vertices"].astype(np.float64),
        triangles=found["triangles"].astype(np.int64),
        mirror=found["mirror"].astype(np.int64),
        stability=found["stability"].astype(np.float64) / float(found["stability"].astype(np.float64).sum()),
        ranges=found["ranges"].astype(np.float64),
    )
