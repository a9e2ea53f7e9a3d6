"""`look` from end to end: what users of other face libraries suffer from, line by line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

import visavis as vv
from visavis.faces import analyse
from visavis.faces.analyse import embed_faces, find_faces


def portrait(path: Path, height: int = 800) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    return np.asarray(image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS))


STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(2, 9))
def test_all_exif_orientations_give_the_same_boxes(
    orientation: int, portraits: dict[str, Path], tmp_path: Path
) -> None:
    upright = Image.fromarray(portrait(portraits["biden"]))
    stored = upright.transpose(STORED_AS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    assert np.array_equal(vv.open_photo(path).pixels, np.asarray(upright))
    (here,) = vv.look(path)
    (there,) = vv.look(np.asarray(upright))
    np.testing.assert_allclose(here.box, there.box, atol=3)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_scale_changes_neither_box_nor_points(scale: float, portraits: dict[str, Path]) -> None:
    pixels = portrait(portraits["obama"])
    height, width = pixels.shape[:2]
    other = np.asarray(
        Image.fromarray(pixels).resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    )
    (here,), (there,) = vv.look(pixels), vv.look(other)
    size = here.box[3] - here.box[1]
    np.testing.assert_allclose(np.array(there.box) / scale, here.box, atol=0.1 * size)
    for name in ("points5", "mesh"):
        moved = getattr(there, name)[:, :2] / scale - getattr(here, name)[:, :2]
        assert np.linalg.norm(moved, axis=1).max() < 0.04 * size


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_photos_are_found_and_say_the_turn(turn: int, portraits: dict[str, Path]) -> None:
    pixels = portrait(portraits["biden"])
    turned = np.rot90(pixels, turn // 90)  # counter-clockwise: the clockwise turn mends it
    (face,) = vv.look(turned)
    assert face.turn == turn
    x1, y1, x2, y2 = face.box
    assert 0 <= x1 < x2 <= turned.shape[1] and 0 <= y1 < y2 <= turned.shape[0]
    (upright,) = vv.look(pixels)
    assert float(face.embedding @ upright.embedding) > 0.98


def test_a_face_cut_by_the_border_has_a_box_inside_and_crops(portraits: dict[str, Path]) -> None:
    pixels = portrait(portraits["obama"])
    (whole,) = vv.look(pixels)
    x1, y1, x2, y2 = whole.box
    for cut in (
        pixels[:, int(x1 + 0.25 * (x2 - x1)) :],
        pixels[int(y1 + 0.15 * (y2 - y1)) :],
        pixels[int(y1) : int(y2), int(x1) : int(x2)],
    ):
        (face,) = vv.look(np.ascontiguousarray(cut))
        a, b, c, d = face.box
        assert 0 <= a < c <= cut.shape[1] and 0 <= b < d <= cut.shape[0]
        assert face.crop("portrait").pixels.shape == (128, 128, 3)
        crop = face.crop("recognise")
        both = np.vstack([crop.to_crop, [0, 0, 1]]) @ np.vstack([crop.to_photo, [0, 0, 1]])
        np.testing.assert_allclose(both, np.eye(3), atol=1e-9)


def test_faces_are_numbered_by_size_and_stable(portraits: dict[str, Path]) -> None:
    small, large = portrait(portraits["obama"], 400), portrait(portraits["biden"], 800)
    wide = np.full((800, small.shape[1] + large.shape[1], 3), 128, np.uint8)
    wide[:400, : small.shape[1]] = small
    wide[:, small.shape[1] :] = large
    first, second = vv.look(wide), vv.look(wide)
    assert [f.id for f in first] == [1, 2] and first[0].area > first[1].area
    assert [f.box for f in first] == [f.box for f in second]


def test_eight_threads_see_the_same(portraits: dict[str, Path]) -> None:
    names = list(portraits)[:4]
    alone = {name: (vv.look(portraits[name])[0].box, vv.look(portraits[name])[0].embedding) for name in names}
    with ThreadPoolExecutor(8) as pool:
        for name, face in zip(names * 4, pool.map(lambda n: vv.look(portraits[n])[0], names * 4), strict=True):
            assert face.box == alone[name][0]
            assert 1 - float(face.embedding @ alone[name][1]) < 1e-4


def test_one_detection_a_photo_whatever_is_asked(portraits: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = analyse.detect
    monkeypatch.setattr(analyse, "detect", lambda *a, **k: runs.append(1) or real(*a, **k))
    (face,) = vv.look(portraits["biden"])
    face.embedding, face.crop("portrait"), face.crop("dlib"), face.quality.words
    vv.compare(face, face)
    assert len(runs) == 1


def test_batch_and_single_vectors_agree(portraits: dict[str, Path]) -> None:
    batch = [find_faces(path)[0] for path in portraits.values()]
    single = [find_faces(path)[0].embedding for path in portraits.values()]
    together = embed_faces(batch)
    assert (1 - (together * np.stack(single)).sum(1)).max() < 1e-4


def test_looking_again_and_again_does_not_grow(portraits: dict[str, Path]) -> None:
    pixels = portrait(portraits["biden"], 240)
    process = psutil.Process()
    for _ in range(60):
        embed_faces(vv.look(pixels))
    before = process.memory_info().rss
    for _ in range(300):
        embed_faces(vv.look(pixels))
    assert process.memory_info().rss - before < 20 * 2**20


def test_odd_photos_have_no_face_and_no_error() -> None:
    random = np.random.default_rng(0)
    for shape in ((1, 1), (1, 6000), (6000, 1), (7, 3), (300, 400)):
        assert vv.look(random.integers(0, 256, (*shape, 3), dtype=np.uint8)) == []


def test_the_number_of_the_face_is_checked(portraits: dict[str, Path]) -> None:
    with pytest.raises(vv.InputError, match="there is no face 2"):
        vv.compare(portraits["biden"], portraits["obama"], face=[2])
    with pytest.raises(vv.InputError, match="No face was found"):
        vv.compare(np.zeros((200, 200, 3), np.uint8), portraits["obama"])
