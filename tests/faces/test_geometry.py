from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.core.types import Pose
from visavis.faces.detect import detect
from visavis.faces.geometry import (
    DEPTH,
    expression,
    geometry,
    pose,
    rotation_of,
    to_front,
    umeyama,
)
from visavis.faces.mesh import Mesh, fit_mesh, five_points


@pytest.fixture(scope="module")
def meshes(portraits: dict[str, Path]) -> dict[str, Mesh]:
    found = {}
    for name in ("obama", "obama2", "obama3", "biden"):
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((700, 700))
        pixels = np.asarray(image)
        largest = max(detect(pixels), key=lambda d: (d.box[2] - d.box[0]) * (d.box[3] - d.box[1]))
        found[name] = fit_mesh(pixels, largest)
    return found


def turned(yaw: float, pitch: float, roll: float) -> Mesh:
    """The mean face seen in a known pose, as the network would give it (z compressed)."""
    points = geometry().vertices @ rotation_of(Pose(yaw, pitch, roll)).T * 80 / (1, 1, DEPTH) + (200, 150, 0)
    return Mesh(points.astype(np.float32), 1.0)


def test_the_mean_face_is_a_face():
    face = geometry()
    left, right, nose, mouth_left, mouth_right = five_points(face.vertices)
    np.testing.assert_allclose(right - left, [1, 0], atol=1e-5)
    np.testing.assert_allclose((left + right) / 2, [0, 0], atol=1e-5)
    assert abs(nose[0]) < 1e-5
    assert 0.4 < nose[1] < mouth_left[1] < 1.3
    assert face.vertices[4, 2] < face.vertices[:, 2].mean()  # the nose is near
    assert mouth_left[0] == pytest.approx(-mouth_right[0], abs=1e-5)


def test_the_mean_face_is_symmetric_and_whole():
    face = geometry()
    np.testing.assert_array_equal(face.mirror[face.mirror], np.arange(468))
    np.testing.assert_allclose(face.vertices[face.mirror] * (-1, 1, 1), face.vertices, atol=1e-5)
    assert face.stability.sum() == pytest.approx(1)
    edges: dict[frozenset[int], int] = {}
    for a, b, c in face.triangles.tolist():
        for edge in (frozenset((a, b)), frozenset((b, c)), frozenset((c, a))):
            edges[edge] = edges.get(edge, 0) + 1
    assert set(np.unique(face.triangles)) == set(range(468))
    assert set(edges.values()) == {1, 2}
    assert 468 - len(edges) + len(face.triangles) == 1  # one sheet without a hole
    flat = face.vertices[face.triangles][:, :, :2]
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    assert (area > 0).mean() > 0.95  # clockwise as seen; nostrils and lips turn away


def test_the_mean_face_agrees_with_another_one(data_sets: Path):
    from visavis.bench.geometry import compare_with

    other = np.load(data_sets / "head3d" / "mediapipe_face.npz")["vertices"]
    assert compare_with(geometry().vertices, other) < 0.08
    assert compare_with(geometry().vertices, other[::-1]) > 0.3


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (35, 0, 0), (-50, 10, 0), (0, 25, 0), (5, -30, 20), (-20, 15, 170), (10, 5, -95)]
)
def test_a_known_pose_is_read_back(angles):
    found = pose(turned(*angles))
    np.testing.assert_allclose((found.yaw, found.pitch, found.roll), angles, atol=1e-3)
    np.testing.assert_allclose(rotation_of(found), rotation_of(Pose(*angles)), atol=1e-5)


def test_the_signs_of_a_pose():
    nose, between = 4, 168

    def nose_moves(mesh: Mesh) -> np.ndarray:
        return (mesh.points[nose] - mesh.points[between])[:2]

    straight = nose_moves(turned(0, 0, 0))
    assert nose_moves(turned(30, 0, 0))[0] > straight[0] + 5  # to the right edge
    assert nose_moves(turned(0, 30, 0))[1] < straight[1] - 5  # up
    assert nose_moves(turned(0, 0, 30))[0] < straight[0] - 5  # clockwise as seen: the chin goes left


@pytest.mark.parametrize("name", ["obama", "obama2", "obama3", "biden"])
def test_portraits_look_into_the_camera(name, meshes):
    found = pose(meshes[name])
    assert abs(found.yaw) < 25
    assert abs(found.pitch) < 20
    assert abs(found.roll) < 20


@pytest.mark.parametrize("name", ["obama2", "biden"])
def test_a_mirrored_mesh_has_the_mirrored_pose(name, meshes):
    points = meshes[name].points
    mirrored = points[geometry().mirror] * np.float32([-1, 1, 1])
    straight, other = pose(points), pose(mirrored)
    np.testing.assert_allclose(
        (other.yaw, other.pitch, other.roll), (-straight.yaw, straight.pitch, -straight.roll), atol=0.01
    )


def test_turning_the_photo_changes_roll_alone(meshes):
    points = meshes["obama2"].points.astype(np.float64)
    straight = pose(points)
    for angle in (-120, -30, 15, 75):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        found = pose(points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))
        assert found.yaw == pytest.approx(straight.yaw, abs=0.01)
        assert found.pitch == pytest.approx(straight.pitch, abs=0.01)
        assert (found.roll - straight.roll - angle + 180) % 360 - 180 == pytest.approx(0, abs=0.01)


def test_umeyama_finds_a_similarity_and_never_a_reflection():
    random = np.random.default_rng(0)
    source = random.normal(0, 1, (20, 3))
    rotation = rotation_of(Pose(40, -20, 130))
    weight = random.uniform(0.1, 1, 20)
    at = umeyama(source, 3.5 * source @ rotation.T + (1, 2, 3), weight / weight.sum())
    np.testing.assert_allclose(at.rotation, rotation, atol=1e-9)
    assert at.scale == pytest.approx(3.5)
    np.testing.assert_allclose(at.shift, (1, 2, 3), atol=1e-9)
    assert np.linalg.det(umeyama(source, source * (-1, 1, 1), np.full(20, 0.05)).rotation) == pytest.approx(1)


def test_expression_is_0_to_1_and_the_portraits_smile(meshes):
    for mesh in meshes.values():
        assert all(0 <= share <= 1 for share in expression(mesh))
    assert expression(meshes["obama"])[2] > 0.3
    assert expression(meshes["obama"])[0] > 0.3


def change(points: np.ndarray, vertices: tuple[int, ...], move: tuple[float, float, float]) -> np.ndarray:
    """Moves vertices of the mean face, in eye distances."""
    changed = points.copy()
    changed[list(vertices)] += move
    return changed


def test_expression_follows_lids_lips_and_corners():
    rest = geometry().vertices
    eyes, mouth, smile = expression(rest)
    upper_lids = (159, 158, 160, 386, 385, 387)
    closed = rest.copy()
    for upper, lower in ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)):
        closed[upper] = closed[lower]
    assert expression(closed)[0] == 0 < expression(change(rest, upper_lids, (0, 0.02, 0)))[0] < eyes
    assert expression(change(rest, (14, 87, 317), (0, 0.4, 0)))[1] == 1 > 0.2 > mouth
    smiling = change(change(rest, (61,), (-0.12, -0.1, 0)), (291,), (0.12, -0.1, 0))
    assert expression(smiling)[2] > smile + 0.3


def test_expression_does_not_depend_on_pose_or_size():
    straight = expression(turned(0, 0, 0))
    for angles in ((30, 0, 0), (0, 20, 0), (-25, -10, 140)):
        np.testing.assert_allclose(expression(turned(*angles)), straight, atol=0.01)
    np.testing.assert_allclose(expression(turned(0, 0, 0).points * 3), straight, atol=1e-4)


def test_to_front_undoes_the_pose():
    front = to_front(turned(35, -15, 60).points, geometry())
    np.testing.assert_allclose(front, geometry().vertices, atol=1e-4)
