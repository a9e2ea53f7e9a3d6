from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.core.errors import InputError
from visavis.faces import detect as module
from visavis.faces import yunet
from visavis.faces.candidates import candidates, one_box_a_face
from visavis.faces.detect import DETECTORS, Detection, detect, keep
from visavis.faces.mesh import fit_mesh

FULL = ("obama", "obama2", "biden")
both = pytest.mark.parametrize("detector", sorted(DETECTORS))


@pytest.fixture(scope="module")
def photos(portraits: dict[str, Path]) -> dict[str, np.ndarray]:
    found = {}
    for name, path in portraits.items():
        image = Image.open(path).convert("RGB")
        image.thumbnail((800, 800))
        found[name] = np.asarray(image)
    return found


@pytest.fixture(scope="module")
def boxes(photos: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: only(detect(pixels)).box for name, pixels in photos.items()}


def only(found: list[Detection]) -> Detection:
    assert len(found) == 1, [(d.score, d.box) for d in found]
    return found[0]


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    size = [max(1, round(side * factor)) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def off(a: np.ndarray, b: np.ndarray) -> float:
    """The largest move of a side as a share of the box."""
    return float(np.abs(a - b).max() / (b[2:] - b[:2]).max())


def inside(detection: Detection, pixels: np.ndarray) -> bool:
    x1, y1, x2, y2 = detection.box
    return bool(0 <= x1 < x2 <= pixels.shape[1] and 0 <= y1 < y2 <= pixels.shape[0])


@both
def test_every_portrait_has_one_face_with_its_points_in_order(detector, photos):
    for pixels in photos.values():
        face = only(detect(pixels, detector))
        assert face.turn == 0
        assert face.detector == detector
        assert face.points5.shape == (5, 2)
        assert inside(face, pixels)
        left, right, nose, mouth_left, mouth_right = face.points5
        assert left[0] < right[0]
        assert mouth_left[0] < mouth_right[0]
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


@both
def test_both_detectors_mean_the_same_box(detector, photos, boxes):
    for name, pixels in photos.items():
        assert off(only(detect(pixels, detector)).box, boxes[name]) < 0.12


@pytest.mark.parametrize("factor", [0.5, 2])
def test_the_box_does_not_depend_on_the_size_of_the_photo(factor, photos, boxes):
    for name, pixels in photos.items():
        other = resized(pixels, factor)
        back = np.tile([pixels.shape[1] / other.shape[1], pixels.shape[0] / other.shape[0]], 2)
        assert off(only(detect(other)).box * back, boxes[name]) < 0.1


@both
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_portraits_are_found_and_carry_the_turn(detector, quarters, photos, boxes):
    for name in FULL:
        turned = np.rot90(photos[name], -quarters)  # clockwise
        face = only(detect(turned, detector))
        assert face.turn == (360 - 90 * quarters) % 360
        assert inside(face, turned)
        x1, y1, x2, y2 = face.box.round().astype(int)
        mask = np.zeros(turned.shape[:2], bool)
        mask[y1:y2, x1:x2] = True
        rows, columns = np.nonzero(np.rot90(mask, quarters))
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert off(box, boxes[name]) < (0.1 if detector == "yunet" else 0.15)
        assert fit_mesh(turned, face).presence > 0.9


def test_people_upright_and_upside_down_on_one_photo(photos):
    """As in a space station."""
    upright, other = (Image.fromarray(photos[name]).resize((400, 600)) for name in ("obama", "biden"))
    both_ways = np.concatenate([np.asarray(upright), np.rot90(np.asarray(other), 2)], 1)
    assert sorted((d.box[0] > 400, d.turn) for d in detect(both_ways)) == [(False, 0), (True, 180)]


@both
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_a_face_larger_than_the_photo_is_found(detector, share, photos, boxes):
    for name in FULL:
        x1, y1, x2, y2 = boxes[name]
        half_width, half_height = (x2 - x1) * share / 2, (y2 - y1) * share / 2
        left, top = int((x1 + x2) / 2 - half_width), int((y1 + y2) / 2 - half_height)
        cut = photos[name][top : int(top + 2 * half_height), left : int(left + 2 * half_width)]
        for factor in (1, 5):
            pixels = resized(cut, factor)
            face = only(detect(pixels, detector))
            assert inside(face, pixels)
            assert np.prod(face.box[2:] - face.box[:2]) > 0.6 * pixels.shape[0] * pixels.shape[1]


def test_a_face_cut_by_any_border_is_found_inside_the_photo(photos, boxes):
    for name in FULL:
        x1, y1, x2, y2 = boxes[name].astype(int)
        x, pixels = (x1 + x2) // 2, photos[name]
        for cut in (pixels[:, x:], pixels[:, :x], pixels[(2 * y1 + y2) // 3 :], pixels[: (y1 + 2 * y2) // 3]):
            assert inside(only(detect(cut)), cut)


def test_a_face_with_its_lower_half_covered_is_found_and_kept(photos, boxes):
    for name in FULL:
        x1, y1, x2, y2 = boxes[name].astype(int)
        covered = photos[name].copy()
        covered[(y1 + y2) // 2 : y2 + 5, x1:x2] = (90, 130, 190)
        face = only(detect(covered))
        assert off(face.box, boxes[name]) < 0.15
        assert keep(face, fit_mesh(covered, face).presence)


@both
def test_small_faces_from_eighteen_pixels_on(detector, photos, boxes):
    for size in (18, 24, 40):
        for name in FULL:
            small = resized(photos[name], size / (boxes[name][3] - boxes[name][1]))
            scene = np.full((400, 600, 3), 120, np.uint8)
            scene[150 : 150 + small.shape[0], 250 : 250 + small.shape[1]] = small
            face = only(detect(scene, detector))
            assert off(face.box, boxes[name] * size / (boxes[name][3] - boxes[name][1]) + [250, 150] * 2) < 0.25


@both
def test_twenty_faces(detector, photos):
    names = ("obama", "obama2", "obama3", "biden")
    tiles = [np.asarray(Image.fromarray(photos[name]).resize((160, 240))) for name in names]
    scene = np.concatenate([np.concatenate([tiles[(i + j) % 4] for i in range(5)], 1) for j in range(4)])
    found = detect(scene, detector)
    centres = np.array([(d.box[:2] + d.box[2:]) / 2 for d in found])
    assert sorted(map(tuple, (centres // (160, 240)).astype(int))) == [(i, j) for i in range(5) for j in range(4)]


def test_faces_on_the_borders_of_tiles_are_found_once(photos, boxes):
    """On a photo of 12 megapixels small faces are searched in tiles; big ones span them."""
    scene = np.full((3000, 4000, 3), 120, np.uint8)
    heads = {}
    for i, size in enumerate((40, 70, 120, 200)):
        x1, y1, x2, y2 = boxes["obama"]
        head = resized(photos["obama"][int(y1) - 20 : int(y2) + 20, int(x1) - 30 : int(x2) + 30], size / (y2 - y1))
        for j in range(12):
            left, top = 20 + 325 * j, 100 + 420 * i
            scene[top : top + head.shape[0], left : left + head.shape[1]] = head
            heads[left, top] = head.shape
    found = detect(scene)
    assert len(found) == len(heads)
    for (left, top), (height, width, _) in heads.items():
        middle = (left + width / 2, top + height / 2)
        assert sum(d.box[0] < middle[0] < d.box[2] and d.box[1] < middle[1] < d.box[3] for d in found) == 1


@both
@pytest.mark.parametrize("shape", [(1, 1), (1, 6000), (6000, 1), (2, 3), (30, 9000)])
def test_odd_shapes_are_neither_faces_nor_gigabytes(detector, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    started = time.monotonic()
    assert detect(pixels, detector) == []
    assert time.monotonic() - started < 20
    for picture in module._ladder(pixels):
        assert min(picture.shape[:2]) >= 1
        assert max(picture.shape[:2]) <= max(module.LARGEST, *shape)
        assert picture.size <= max(3 * 64 * 64, 2.5 * pixels.size)


def test_fifty_megapixels_are_searched_in_bounded_pieces():
    sizes = [picture.shape[:2] for picture in module._ladder(np.zeros((5000, 10000, 3), np.uint8))]
    assert sizes == [(2048, 4096), (320, 640), (160, 320), (96, 192)]
    for length in (1, 1536, 1537, 2048, 4096):
        spans = module._spans(length)
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(end - start <= module.TILE for start, end in spans)
        assert all(a[1] - b[0] >= module.OVERLAP - 1 for a, b in pairwise(spans))


@both
def test_no_face_in_noise_or_plain_colour(detector):
    noise = np.random.default_rng(1).integers(0, 256, (600, 800, 3), np.uint8)
    for pixels in (noise, np.zeros((300, 200, 3), np.uint8), np.full((200, 300, 3), 255, np.uint8)):
        assert detect(pixels, detector) == []


def test_known_pictures():
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    assert inside(only(detect(data.astronaut())), data.astronaut())
    assert detect(data.cat()) == []
    assert detect(data.coffee()) == []


def test_a_lower_threshold_only_adds_faces(photos):
    scene = np.concatenate([resized(photos[name], 0.3)[:180] for name in ("obama", "obama2")], 1)
    few, usual, many = (detect(scene, threshold=t) for t in (0.9, None, 0.3))
    assert {round(d.score, 6) for d in few} <= {round(d.score, 6) for d in usual} <= {round(d.score, 6) for d in many}
    assert [d.score for d in many] == sorted((d.score for d in many), reverse=True)
    assert detect(scene, threshold=0.999) == []


def test_an_unknown_detector_is_named():
    with pytest.raises(InputError, match="yunet or centerface, not 'haar'"):
        detect(np.zeros((10, 10, 3), np.uint8), "haar")


def test_the_mesh_drops_large_boxes_only():
    def sized(side: float) -> Detection:
        return Detection(np.array([0, 0, side * 0.8, side]), 0.95, np.zeros((5, 2), np.float32))

    assert keep(sized(200), 0.9)
    assert not keep(sized(200), 1e-4)
    assert keep(sized(40), 1e-4)


def test_one_box_a_face():
    left, right = [100, 100, 200, 220], [210, 100, 310, 220]
    shifted, part, around, between = (
        [104, 102, 204, 224],
        [120, 150, 180, 210],
        [90, 60, 320, 260],
        [150, 110, 260, 210],
    )
    boxes = np.array([between, around, shifted, left, right, part], float)
    scores = np.array([0.75, 0.76, 0.8, 0.9, 0.85, 0.78])
    kept = one_box_a_face(candidates(boxes, scores, np.zeros((6, 5, 2))))
    assert kept.scores.tolist() == [0.9, 0.85]
    assert np.abs(kept.boxes - [left, right]).max() < 4
    assert (kept.boxes[0] > left).all()  # the shifted box of the same face had its say


def test_eight_threads_find_the_same(photos):
    pictures = [photos[name] for name in FULL] * 4
    alone = [only(detect(pixels)).box for pixels in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda pixels: only(detect(pixels)).box, pictures))
    assert np.allclose(alone, together, atol=1e-3)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_the_graph_takes_any_size_and_number(name):
    session = DETECTORS[name].network.session()
    (entry,) = session.get_inputs()
    assert entry.shape == ["batch", 3, "height", "width"]
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 3, 96, 160)).astype(np.float32)
    at_once = session.run(None, {entry.name: pictures})
    for i in range(2):
        for batch, single in zip(at_once, session.run(None, {entry.name: pictures[i : i + 1]}), strict=True):
            assert np.allclose(batch[i], single[0], atol=1e-3)


def test_every_yunet_stride_reads_its_grid():
    """A box that the network sees at (x, y) must come out there, also on pictures that are not square."""
    found = yunet.find(yunet.session(), np.zeros((64, 160, 3), np.uint8), 0.0)
    assert len(found) == 64 * 160 * (1 / 64 + 1 / 256 + 1 / 1024)
    first = found.points[: 8 * 20].mean(1)
    assert np.corrcoef(first[:, 0], np.tile(np.arange(20), 8))[0, 1] > 0.9
    assert np.corrcoef(first[:, 1], np.repeat(np.arange(8), 20))[0, 1] > 0.9


def test_recall_and_false_boxes_on_labelled_photos(data_sets):
    """A quarter of the set by which the threshold was chosen; `visavis bench detect` measures all of it."""
    pytest.importorskip("pyarrow")
    from visavis.bench.detect import Labelled, judge, measures
    from visavis.bench.vectors import decode, parquet_rows

    rows = list(parquet_rows([data_sets / "detect" / "detect.parquet"], ["image", "boxes", "invalid"]))[::4]
    threshold = DETECTORS["yunet"].threshold
    photos = [Labelled.of(decode(row["image"]), row["boxes"], row["invalid"]) for row in rows]
    figures = {f.name: f.value for f in measures("yunet", [judge(p, "yunet", threshold) for p in photos], threshold)}
    assert figures["recall.yunet.40"] > 0.93
    assert figures["recall.yunet.half"] == 1
    assert figures["false_boxes_per_photo.yunet"] < 0.3
