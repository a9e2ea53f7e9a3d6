from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.faces.detect import detect
from visavis.faces.mesh import Square, cut, dlib_points, first_square, fit_mesh, five_points, to_68, to_crop

FULL = ("obama", "obama2", "biden")


@dataclass(frozen=True, eq=False)
class Framed:
    box: np.ndarray
    points5: np.ndarray
    turn: int = 0


@pytest.fixture(scope="module")
def photos(portraits: dict[str, Path]) -> dict[str, np.ndarray]:
    found = {}
    for name in FULL:
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((800, 800))
        found[name] = np.asarray(image)
    return found


@pytest.fixture(scope="module")
def faces(photos: dict[str, np.ndarray]) -> dict[str, Framed]:
    """The largest face of each portrait."""
    largest = {
        n: max(detect(p), key=lambda d: (d.box[2] - d.box[0]) * (d.box[3] - d.box[1])) for n, p in photos.items()
    }
    return {name: Framed(d.box, d.points5, d.turn) for name, d in largest.items()}


def size_of(points: np.ndarray) -> float:
    return float(np.ptp(points[:, :2], axis=0).max())


def off(a: np.ndarray, b: np.ndarray) -> float:
    """The largest distance of two meshes as a share of the face's size."""
    return float(np.hypot(*(a[:, :2] - b[:, :2]).T).max() / size_of(b))


@pytest.mark.parametrize("name", FULL)
def test_the_mesh_lies_on_the_face(name, photos, faces):
    mesh = fit_mesh(photos[name], faces[name])
    assert mesh.points.shape == (468, 3)
    assert mesh.points.dtype == np.float32
    assert mesh.presence > 0.99
    eyes = np.linalg.norm(faces[name].points5[1] - faces[name].points5[0])
    # The detector's own points are a second opinion on the five points.
    assert np.hypot(*(five_points(mesh) - faces[name].points5).T).max() < 0.25 * eyes


def test_five_points_are_in_arcface_order(photos, faces):
    left, right, nose, mouth_left, mouth_right = five_points(fit_mesh(photos["obama"], faces["obama"]))
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < nose[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_dlib_points_are_in_dlib_order(photos, faces):
    right_outer, right_inner, left_outer, left_inner, nose = dlib_points(fit_mesh(photos["obama"], faces["obama"]))
    assert left_outer[0] < left_inner[0] < nose[0] < right_inner[0] < right_outer[0]
    assert nose[1] > right_outer[1]


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("name", FULL)
def test_the_same_mesh_at_half_and_double_size(name, scale, photos, faces):
    pixels = photos[name]
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    other = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    factor = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]])
    face = faces[name]
    scaled = replace(face, box=face.box * np.tile(factor, 2), points5=(face.points5 * factor).astype(np.float32))
    first, second = fit_mesh(pixels, face), fit_mesh(other, scaled)
    back = second.points.copy()
    back[:, :2] /= factor
    assert off(back, first.points) < 0.04
    assert np.hypot(*(five_points(back) - five_points(first)).T).max() < 0.04 * size_of(first.points)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_photo_gives_the_turned_mesh(turn, photos, faces):
    pixels, face = photos["obama"], faces["obama"]
    height, width = pixels.shape[:2]
    turned = np.ascontiguousarray(np.rot90(pixels, turn // 90))  # counter-clockwise: clockwise makes it upright again

    def move(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        return {
            90: np.stack([y, width - x], 1),
            180: np.stack([width - x, height - y], 1),
            270: np.stack([height - y, x], 1),
        }[turn]

    corners = move(face.box.reshape(2, 2))
    detection = Framed(np.concatenate([corners.min(0), corners.max(0)]), move(face.points5).astype(np.float32), turn)
    straight, other = fit_mesh(pixels, face), fit_mesh(turned, detection)
    assert off(other.points, move(straight.points)) < 0.02
    # Some detectors name the eyes by their place on the photo as it lies: the turn alone decides what is up.
    swapped = replace(detection, points5=detection.points5[[1, 0, 2, 4, 3]])
    assert off(fit_mesh(turned, swapped).points, other.points) < 0.02


def test_a_face_that_the_detector_took_upside_down_is_tried_in_other_turns(portraits):
    image = Image.open(portraits["biden"]).convert("RGB")
    image.thumbnail((300, 300))
    pixels = np.asarray(image)
    end = np.array([pixels.shape[1], pixels.shape[0]])
    (face,) = detect(pixels)
    x1, y1, x2, y2 = np.tile(end, 2) - face.box
    unnoticed = Framed(np.array([x2, y2, x1, y1]), (end - face.points5).astype(np.float32))
    found = fit_mesh(np.ascontiguousarray(pixels[::-1, ::-1]), unnoticed)
    assert off(end - found.points[:, :2], fit_mesh(pixels, face).points) < 0.04


@pytest.mark.parametrize("angle", [-40, 25, 60])
def test_the_second_pass_stands_a_leaning_head_upright(angle, photos, faces):
    face, room = faces["biden"], 400
    pixels = np.pad(photos["biden"], ((room, room), (room, room), (0, 0)), mode="edge")
    face = replace(face, box=face.box + room, points5=face.points5 + np.float32(room))
    turned = np.asarray(Image.fromarray(pixels).rotate(-angle, Image.Resampling.BICUBIC))  # clockwise as seen
    middle = np.array([pixels.shape[1] / 2, pixels.shape[0] / 2])
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix = np.array([[c, -s], [s, c]])

    def move(points: np.ndarray) -> np.ndarray:
        return (points[:, :2] - middle) @ matrix.T + middle

    points5 = move(face.points5).astype(np.float32)
    around = points5.mean(0)
    up = np.array([s, -c]) * 0.1 * (face.box[3] - face.box[1])
    half = (face.box[3] - face.box[1]) / 2
    detection = Framed(np.array([*(around + up - half), *(around + up + half)]), points5)
    assert off(fit_mesh(turned, detection).points, move(fit_mesh(pixels, face).points)) < 0.03


def test_a_mirrored_photo_gives_the_mirrored_five_points(photos, faces):
    pixels, face = photos["obama2"], faces["obama2"]
    width = pixels.shape[1]
    x1, y1, x2, y2 = face.box
    points5 = face.points5[[1, 0, 2, 4, 3]] * np.float32([-1, 1]) + np.float32([width, 0])
    mirrored = fit_mesh(
        np.ascontiguousarray(pixels[:, ::-1]), Framed(np.array([width - x2, y1, width - x1, y2]), points5)
    )
    back = five_points(mirrored)[[1, 0, 2, 4, 3]] * np.float32([-1, 1]) + np.float32([width, 0])
    straight = fit_mesh(pixels, face)
    assert np.hypot(*(back - five_points(straight)).T).max() < 0.04 * size_of(straight.points)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_a_face_cut_by_the_border_keeps_its_place(share, photos, faces):
    pixels, face = photos["obama"], faces["obama"]
    whole = fit_mesh(pixels, face)
    low, high = whole.points[:, 0].min(), whole.points[:, 0].max()
    gone = int(low + share * (high - low))
    box = np.clip(face.box - [gone, 0, gone, 0], 0, None)
    rest = fit_mesh(np.ascontiguousarray(pixels[:, gone:]), Framed(box, face.points5 - np.float32([gone, 0])))
    moved = rest.points + np.float32([gone, 0, 0])
    seen = whole.points[:, 0] > gone
    assert rest.presence > 0.5
    assert np.hypot(*(moved - whole.points)[seen, :2].T).mean() < 0.03 * size_of(whole.points)


def test_the_second_pass_makes_up_for_a_poor_box(photos, faces):
    pixels, face = photos["biden"], faces["biden"]
    wide = (face.box[2] - face.box[0]) * 0.12
    poor = replace(face, box=face.box + np.array([-wide, wide, wide, 2 * wide]))
    best = fit_mesh(pixels, face, passes=3).points
    assert off(fit_mesh(pixels, poor, passes=2).points, best) < off(fit_mesh(pixels, poor, passes=1).points, best)


def test_where_nobody_is_the_presence_is_low():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    nowhere = Framed(
        np.array([60.0, 60.0, 140.0, 140.0]), np.float32([[80, 85], [120, 85], [100, 100], [85, 120], [115, 120]])
    )
    assert fit_mesh(noise, nowhere).presence < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (5, 5)])
def test_odd_photos_do_not_break_it(shape):
    pixels = np.full((*shape, 3), 90, np.uint8)
    tiny = Framed(np.array([0.0, 0.0, shape[1], shape[0]]), np.zeros((5, 2), np.float32))
    assert np.isfinite(fit_mesh(pixels, tiny).points).all()


def test_eight_threads_give_what_one_gives(photos, faces):
    jobs = [name for name in FULL for _ in range(8)]
    alone = {name: fit_mesh(photos[name], faces[name]).points for name in FULL}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: fit_mesh(photos[name], faces[name]).points, jobs))
    for name, points in zip(jobs, together, strict=True):
        np.testing.assert_array_equal(points, alone[name])


def test_cut_agrees_with_to_crop():
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[118:123, 208:213] = 255  # a dot whose middle is (210.5, 120.5)
    for square in (Square(200, 130, 100, 0.4), Square(205, 140, 61, -2.0), Square(210, 100, 280, 1.0)):
        crop = cut(pixels, square, 96)[..., 0].astype(float)
        y, x = np.mgrid[0:96, 0:96] + 0.5
        seen = np.array([(crop * x).sum(), (crop * y).sum()]) / crop.sum()
        np.testing.assert_allclose(seen, to_crop(np.array([[210.5, 120.5]]), square, 96)[0], atol=0.35)


def test_cut_averages_a_large_face_instead_of_picking_pixels():
    stripes = np.zeros((3000, 3000, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = cut(stripes, Square(1500, 1500, 2800, 0.3), 96)
    assert abs(float(crop.mean()) - 100) < 3
    assert crop.std() < 12


def test_cut_replicates_what_lies_beyond_the_border():
    pixels = np.full((50, 50, 3), 120, np.uint8)
    assert (cut(pixels, Square(0, 0, 90, 0.7), 64) == 120).all()
    assert (cut(pixels, Square(500, -300, 40, 0.0), 64) == 120).all()


def test_the_first_square_is_upright_for_every_turn():
    box = np.array([100.0, 100.0, 200.0, 220.0])
    for turn in (0, 90, 180, 270):
        angle = np.radians(-turn + 10)  # the face leans 10 degrees clockwise once the photo is turned
        eyes = np.array([[-20, 0], [20, 0]]) @ np.array(
            [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        )
        points5 = np.concatenate([eyes + 150, np.full((3, 2), 150)]).astype(np.float32)
        square = first_square(Framed(box, points5, turn))
        assert np.cos(square.angle - angle) > 0.9999
        # Its middle lies a little further down the face than the box's.
        down = np.array([square.x - 150, square.y - 160])
        assert 0 < np.hypot(*down) < 0.1 * 120
        assert np.cos(np.arctan2(-down[0], down[1]) - angle) > 0.99


def test_the_68_points_lie_where_people_set_them(data_sets: Path):
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(data_sets / "landmarks68" / "landmarks68.parquet")
    rows = [row for row in table.to_pylist() if row["split"] == "test"][:40]
    errors = []
    for row in rows:
        pixels, truth = np.asarray(Image.open(io.BytesIO(row["image"])).convert("RGB")), np.array(row["points"])
        low, high = truth.min(0), truth.max(0)
        low[1] -= 0.2 * (high[1] - low[1])  # the points end at the brows
        eyes = np.array([truth[36:42].mean(0), truth[42:48].mean(0), truth[30], truth[48], truth[54]], np.float32)
        mesh = fit_mesh(pixels, Framed(np.concatenate([low, high]), eyes))
        errors.append(np.hypot(*(to_68(mesh) - truth)[17:].T).mean() / np.hypot(*(truth[36] - truth[45])))
    assert np.mean(errors) < 0.04
