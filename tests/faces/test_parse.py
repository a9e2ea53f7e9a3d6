from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.types import Face, Template
from visavis.faces import align
from visavis.faces.analyse import find_faces
from visavis.faces.parse import CLASSES, MOUTH, PARTS, Parsed, colours, filled, parse, says

FULL = ("obama", "obama2", "biden")
TEMPLATES: tuple[Template, ...] = ("recognise", "portrait", "dlib")
SWAP = np.arange(len(CLASSES))
SWAP[[4, 5, 6, 7, 8, 9]] = [5, 4, 7, 6, 9, 8]


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Path]) -> dict[str, Face]:
    """The largest face of each portrait."""
    found = {}
    for name in FULL:
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((800, 800))
        found[name] = find_faces(np.asarray(image))[0]
    return found


def middle(parsed: Parsed, *names: str) -> np.ndarray:
    """x and y of the middle of some classes."""
    return np.argwhere(parsed.mask(*names)).mean(0)[::-1] + 0.5


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", FULL)
def test_the_parts_lie_where_the_mesh_has_them(name, template, faces):
    face = faces[name]
    parsed = parse(face, template=template)
    size = align.SIZES[template]
    assert parsed.labels.shape == (size, size)
    assert parsed.labels.dtype == np.uint8
    left, right, nose, *mouth = align.apply(align.to_template(face.mesh, template), face.points5)
    near = 0.12 * np.hypot(*(right - left))
    assert np.hypot(*(middle(parsed, "r_eye") - left)) < near
    assert np.hypot(*(middle(parsed, "l_eye") - right)) < near
    assert np.hypot(*(middle(parsed, "u_lip", "l_lip", "mouth") - np.mean(mouth, 0))) < near
    # The nose's tip lies in its lower half.
    assert parsed.mask("nose")[int(nose[1]), int(nose[0])]
    assert abs(middle(parsed, "nose")[0] - nose[0]) < near


@pytest.mark.parametrize("name", FULL)
def test_left_is_the_persons_own(name, faces):
    parsed = parse(faces[name])
    assert middle(parsed, "l_eye")[0] > middle(parsed, "nose")[0] > middle(parsed, "r_eye")[0]
    assert middle(parsed, "l_brow")[0] > middle(parsed, "r_brow")[0]
    assert middle(parsed, "u_lip")[1] < middle(parsed, "l_lip")[1]
    assert middle(parsed, "l_brow")[1] < middle(parsed, "l_eye")[1]


@pytest.mark.parametrize("name", FULL)
def test_a_mirrored_photo_swaps_left_and_right(name, faces):
    face = faces[name]
    (mirrored, *_) = find_faces(np.ascontiguousarray(face.photo.pixels[:, ::-1]))
    straight, back = parse(face).labels, SWAP[parse(mirrored).labels[:, ::-1]]
    assert iou(straight == 1, back == 1) > 0.9
    for eye in (4, 5):
        assert iou(straight == eye, back == eye) > 0.5
        assert not ((straight == eye) & (back == 9 - eye)).any()


def with_lips(face: Face, apart: float) -> Face:
    """The face with its inner lips `apart` (in eye distances) at the middle."""
    mesh = face.mesh.copy()
    eyes = np.hypot(*(face.points5[1] - face.points5[0]))
    seam = mesh[[78, 308], 1].mean()
    lower = np.isin(np.arange(468), MOUTH[1:9])
    upper = np.isin(np.arange(468), MOUTH[11:])
    mesh[lower, 1], mesh[upper, 1] = seam + apart * eyes / 2, seam - apart * eyes / 2
    return replace(face, mesh=mesh)


def test_a_mouth_is_said_where_the_lips_are_apart(faces):
    shut = parse(with_lips(faces["obama"], 0.0))
    assert not shut.mask("mouth").any()
    assert shut.mask("u_lip").any()
    assert shut.mask("l_lip").any()
    ajar, wide = (parse(with_lips(faces["obama"], gap)).mask("mouth") for gap in (0.1, 0.2))
    assert 0 < ajar.sum() < wide.sum()


@pytest.mark.parametrize("name", ["obama", "biden"])
def test_around_the_person_is_background(name, faces):
    labels = parse(faces[name], template="recognise").labels
    assert (labels[:2, :2] == 0).all()
    assert (labels[:2, -2:] == 0).all()


def test_hair_lies_above_the_chin_and_cloth_below(faces):
    face = faces["obama"]
    parsed = parse(face, template="dlib")
    chin = align.apply(align.to_template(face.mesh, "dlib"), face.mesh[[152], :2])[0, 1]
    assert (np.argwhere(parsed.mask("hair"))[:, 0] <= chin).all()
    assert (np.argwhere(parsed.mask("cloth"))[:, 0] >= chin - 1).all()
    assert parsed.mask("neck").any()


def test_skin_reaches_above_the_mesh(faces):
    face = faces["biden"]  # half bald
    parsed = parse(face, template="recognise")
    top = align.apply(align.to_template(face.mesh, "recognise"), face.mesh[[10], :2])[0]
    assert parsed.mask("skin")[int(top[1]) - 6, int(top[0])]


def test_the_mesh_says_only_what_it_can_know(faces):
    said = {CLASSES[number] for name in FULL for number in np.unique(parse(faces[name], template="dlib").labels)}
    assert said <= set(says("mesh"))
    assert not said & {"eye_g", "hat", "l_ear", "r_ear", "ear_r", "neck_l"}
    assert says("unet") == CLASSES


@pytest.mark.parametrize("template", TEMPLATES)
def test_outside_the_photo_is_background(template, faces):
    whole = faces["biden"]
    gone = int(whole.mesh[4, 0])  # half of the face lies left of the nose's tip
    rest = replace(whole.photo, pixels=np.ascontiguousarray(whole.photo.pixels[:, gone:]))
    half = replace(whole, photo=rest, mesh=whole.mesh - np.float32([gone, 0, 0]))
    parsed = parse(half, template=template)
    size = align.SIZES[template]
    y, x = np.mgrid[:size, :size] + 0.5
    to_photo = align.invert(align.to_template(half.mesh, template))
    outside = align.apply(to_photo, np.stack([x, y], -1))[..., 0] < 0
    assert 0.2 < outside.mean() < 0.8
    assert (parsed.labels[outside] == 0).all()
    assert not parsed.mask("r_eye").any()
    assert parsed.mask("l_eye").any()
    both = parse(whole, template=template).labels
    assert iou(parsed.labels == 1, (both == 1) & ~outside) > 0.99


def test_a_polygon_is_filled_where_pixel_centres_lie_in_it():
    square = np.array([[2.0, 3.0], [7.0, 3.0], [7.0, 6.0], [2.0, 6.0]])
    expected = np.zeros((10, 10), bool)
    expected[3:6, 2:7] = True
    np.testing.assert_array_equal(filled(square[None], 10), expected)
    assert not filled(square[None] + 20, 10).any()
    both = filled(square + np.array([[[0.0, 0.0]], [[0.0, 3.0]]]), 10)
    assert both.sum() == 30


def test_the_parts_are_vertices_of_the_mesh_and_mirror_images():
    from visavis.faces.geometry import geometry

    mirror = geometry().mirror
    for left, right in (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("nose", "nose"), ("u_lip", "u_lip")):
        assert {int(mirror[v]) for v in PARTS[left]} == set(PARTS[right])


def test_the_overlay_colours_what_is_not_background(faces):
    face = faces["obama2"]
    parsed, crop = parse(face), face.crop("portrait")
    shown = parsed.overlay(crop.pixels)
    background = parsed.mask("background")
    assert shown.shape == crop.pixels.shape
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[background], crop.pixels[background])
    np.testing.assert_array_equal(parsed.overlay(crop.pixels, 1.0)[~background], colours()[parsed.labels[~background]])
    assert len({tuple(colour) for colour in colours()}) == len(CLASSES) == len(parsed.names)
    with pytest.raises(InputError, match="128"):
        parsed.overlay(face.crop("dlib").pixels)


def test_wrong_names_are_refused_in_a_sentence(faces):
    with pytest.raises(InputError, match="mesh and unet"):
        parse(faces["obama"], "bisenet")
    with pytest.raises(InputError, match="portrait"):
        parse(faces["obama"], template="passport")
    with pytest.raises(InputError, match="beard"):
        parse(faces["obama"]).mask("skin", "beard")


def network(folder: Path) -> Path:
    """A parser that calls a pixel hair (13) where it is redder than 127.5, else skin (1)."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    weight, bias = np.zeros((19, 3, 1, 1), np.float32), np.zeros(19, np.float32)
    weight[13, 0], bias[13], bias[1] = 1.0, -27.5, 100.0
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["crops"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "weight", "bias"], ["logits"]),
        ],
        "parser",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 128, 128, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 19, 128, 128])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    path = folder / "parser.onnx"
    save(model, str(path))
    return path


def instead(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Path]) -> None:
    real = weights.path
    monkeypatch.setattr(weights, "path", lambda name: answer() if name == "parser_unet" else real(name))


def test_the_network_reads_the_portrait_of_the_pixels(faces, tmp_path, monkeypatch):
    file = network(tmp_path)
    instead(monkeypatch, lambda: file)
    face = faces["biden"]
    expected = np.where(face.crop("portrait").pixels[..., 0] > 127, 13, 1)
    parsed = parse(face, "unet")
    np.testing.assert_array_equal(parsed.labels, expected)
    assert parsed.parser == "unet"
    wide = parse(face, "unet", "recognise")
    assert wide.labels.shape == (112, 112)
    red = face.crop("recognise").pixels[..., 0] > 127
    assert (wide.mask("hair") == red)[56:].mean() > 0.9


def test_without_its_weight_the_network_is_refused(faces, monkeypatch):
    def absent() -> Path:
        raise InputError("There is no weight named 'parser_unet'.")

    instead(monkeypatch, absent)
    with pytest.raises(InputError, match="parser_unet"):
        parse(faces["obama"], "unet")
