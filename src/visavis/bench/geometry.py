"""Makes the shipped mean face (weight `face_geometry`) from the meshes of frontal FairFace train faces."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.errors import InputError, missing_extra
from visavis.core.progress import track
from visavis.core.settings import usable_cores
from visavis.core.ship import ship
from visavis.faces.geometry import DEPTH, Geometry, Placement, Points, measures, pose_of, umeyama
from visavis.faces.mesh import LEFT_EYE, OUTER, RIGHT_EYE, fit_mesh

COMMAND = "visavis calibrate-geometry"
FILES = ("fairface_train_00.parquet", "fairface_train_01.parquet", "fairface_train_02.parquet")
PRESENCE = 0.99
FRONTAL = 8.0
UPPER_LIP, LOWER_LIP = 13, 14
BROWS, CHIN = 9, 199
# Shares of faces that count as 0 and 1: eyes, mouth, smile.
EXTREMES = ((1.0, 60.0), (50.0, 99.0), (10.0, 97.0))


@dataclass(frozen=True)
class Framed:
    """A face whose place is known without a detector."""

    box: NDArray[np.float64]
    points5: NDArray[np.float32]
    turn: int = 0


# FairFace crops of 144 pixels are framed alike.
FAIRFACE = Framed(
    np.array([10.0, 4.0, 134.0, 128.0]),
    np.array([[46, 41], [98, 41], [72, 75], [52, 100], [92, 100]], np.float32),
)


def run(count: int = 6000, folder: Path | None = None) -> Path:
    """Writes face_geometry.safetensors (into the package's folder unless another is named) from `count` faces."""
    meshes = _meshes(count)
    vertices, mirror = _mean_face(meshes)
    stability = _stability(meshes, vertices, mirror)
    triangles = triangulate(vertices, mirror)
    face = Geometry(vertices, triangles, mirror, stability, np.array([[0.0, 1.0]] * 3))
    arrays: dict[str, NDArray[Any]] = {
        "vertices": vertices.astype(np.float32),
        "triangles": triangles.astype(np.uint16),
        "mirror": mirror.astype(np.uint16),
        "stability": stability.astype(np.float32),
        "ranges": _ranges(meshes, face).astype(np.float32),
    }
    return ship("face_geometry", arrays, terms="permissive", trained_on="fairface", command=COMMAND, folder=folder)


def compare_with(vertices: Points, others: Points) -> float:
    """Root mean square distance to another mean face after the best similarity, in eye distances of ours.

    others: float [468, 3], y up and z towards the camera as in MediaPipe's canonical face model.
    """
    even = np.full(len(vertices), 1 / len(vertices))
    flipped = others.astype(np.float64) * (1.0, -1.0, -1.0)
    at = umeyama(flipped, vertices, even)
    moved = at.scale * flipped @ at.rotation.T + at.shift
    return float(np.sqrt(((moved - vertices) ** 2).sum(1).mean()))


def triangulate(vertices: Points, mirror: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles int [M, 3], clockwise as seen: Delaunay of the face flattened as seen from inside the head.

    The half of one side is mirrored, so that the triangles are symmetric but for those across the middle.
    """
    try:
        from scipy.spatial import Delaunay
    except ModuleNotFoundError as error:
        raise missing_extra("bench", "Making the mean face") from error
    # From a point inside the head no part of the face hides another one (nose wings, lips).
    rays = vertices - np.array([0.0, vertices[:, 1].mean(), vertices[:, 2].max() + 0.3])
    flat = np.stack([np.arctan2(rays[:, 0], -rays[:, 2]), np.arctan2(rays[:, 1], np.hypot(rays[:, 0], rays[:, 2]))], 1)
    found = Delaunay(flat).simplices.astype(np.int64)
    middle = mirror == np.arange(len(mirror))
    left = (flat[:, 0] < 0) & ~middle
    right = (flat[:, 0] > 0) & ~middle
    one_side = found[left[found].any(1) & ~right[found].any(1)]
    across = found[left[found].any(1) & right[found].any(1)]
    every = np.concatenate([one_side, mirror[one_side], across])
    a, b, c = (flat[every[:, i]] for i in range(3))
    signed = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    every[signed < 0] = every[signed < 0][:, ::-1]
    return every[_round(a, b, c)]


def _round(a: Points, b: Points, c: Points) -> NDArray[np.bool_]:
    """False for the slivers that close the outline to its convex hull."""
    sides = np.sort(np.stack([np.hypot(*(p - q).T) for p, q in ((a, b), (b, c), (c, a))]), 0)
    return np.asarray(sides[0] + sides[1] > 1.01 * sides[2])


def _meshes(count: int) -> Points:
    """Meshes float64 [N, 468, 3], z stretched, of faces that the network is sure of."""

    def fit(image: bytes) -> NDArray[np.float32] | None:
        mesh = fit_mesh(decode(image), FAIRFACE, passes=3)
        return mesh.points if mesh.presence > PRESENCE else None

    with ThreadPoolExecutor(usable_cores()) as pool:
        found = [m for m in pool.map(fit, track(_images(count), "meshes of fairface", count)) if m is not None]
    if len(found) < 200:
        raise InputError(f"Only {len(found)} faces were usable for the mean face; at least 200 are needed.")
    return np.array(found, np.float64) * (1.0, 1.0, DEPTH)


def _images(count: int) -> Iterator[bytes]:
    rows = parquet_rows([data_folder("fairface") / file for file in FILES], ["image"])
    for row, _ in zip(rows, range(count), strict=False):
        yield row["image"]


def _mean_face(meshes: Points) -> tuple[Points, NDArray[np.int64]]:
    """Procrustes mean of the frontal faces with closed mouths, symmetric and normed; and who mirrors whom."""
    even = np.full(meshes.shape[1], 1 / meshes.shape[1])
    eyes = np.linalg.norm(meshes[:, OUTER[1]] - meshes[:, OUTER[0]], axis=1)
    shut = np.linalg.norm(meshes[:, UPPER_LIP] - meshes[:, LOWER_LIP], axis=1) / eyes < 0.03
    # First the faces whose eyes are equally far away; then those that look where the mean of these looks.
    across = meshes[:, OUTER[1]] - meshes[:, OUTER[0]]
    chosen = shut & (np.abs(across[:, 2]) < 0.1 * np.hypot(across[:, 0], across[:, 1]))
    mean = meshes[chosen][0]
    mirror: NDArray[np.int64] = np.arange(len(mean))
    for step in range(6):
        aligned = np.array([_undo(umeyama(mean, m, even), m) for m in meshes[chosen]])
        mean = np.median(aligned, 0)
        mean = _norm(mean)
        mirror = _mirror(mean) if step == 0 else mirror
        mean = _norm((mean + mean[mirror] * (-1.0, 1.0, 1.0)) / 2)
        poses = [pose_of(umeyama(mean, m, even).rotation) for m in meshes]
        chosen = shut & np.array([abs(p.yaw) < FRONTAL and abs(p.pitch) < FRONTAL for p in poses])
    return mean, mirror


def _undo(at: Placement, points: Points) -> Points:
    turned: Points = (points - at.shift) @ at.rotation / at.scale
    return turned


def _norm(points: Points) -> Points:
    """Origin between the eyes, eye centres level and 1 apart, the line from between the brows to the chin vertical.

    People on photos look a little down on average (6 degrees); that line makes zero pitch what the head models of
    others call frontal, within a degree.
    """
    left, right = points[list(LEFT_EYE)].mean(0), points[list(RIGHT_EYE)].mean(0)
    x = (right - left) / np.linalg.norm(right - left)
    z = np.cross(x, points[CHIN] - points[BROWS])
    z /= np.linalg.norm(z)
    axes = np.stack([x, np.cross(z, x), z])
    normed: Points = (points - (left + right) / 2) @ axes.T / np.linalg.norm(right - left)
    return normed


def _mirror(mean: Points) -> NDArray[np.int64]:
    from scipy.optimize import linear_sum_assignment

    apart = ((mean[:, None] - mean[None] * (-1.0, 1.0, 1.0)) ** 2).sum(2)
    mirror = np.asarray(linear_sum_assignment(apart)[1], np.int64)
    if (mirror[mirror] != np.arange(len(mirror))).any():
        raise InputError("The mean face is not symmetric enough to tell its sides; more faces are needed.")
    return mirror


def _stability(meshes: Points, vertices: Points, mirror: NDArray[np.int64]) -> Points:
    """Weights of the vertices: one over their variance once every face is put upon the mean face."""
    even = np.full(len(vertices), 1 / len(vertices))
    off = np.array([_undo(umeyama(vertices, m, even), m) for m in meshes]) - vertices
    spread = ((off - off.mean(0)) ** 2).sum(2).mean(0)
    spread = spread + spread[mirror]
    weight = 1 / (spread + 0.1 * np.median(spread))
    return np.asarray(weight / weight.sum())


def _ranges(meshes: Points, face: Geometry) -> Points:
    """float64 [3, 2]: the raw measures that count as 0 and as 1."""
    raw = np.array([measures(m / (1.0, 1.0, DEPTH), face) for m in meshes])
    return np.array([np.percentile(raw[:, i], EXTREMES[i]) for i in range(3)])
