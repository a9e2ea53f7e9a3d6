"""What each pixel of a face crop is, in the 19 classes and the order of CelebAMask-HQ.

`l_` and `r_` are the person's own left and right: `l_eye` lies at the right of the picture. Two parsers:

mesh: polygons of the face mesh over MediaPipe's person mask. It finds the face's parts where the mesh puts them, also
      behind glasses, hair or a hand. Around the face it knows only "person": between the jaw's corners that is called
      neck, else hair above the chin and cloth below it. It never says glasses, ears, hat, earring or necklace.
unet: a network that looks at the pixels (weight `parser_unet`, for research only); it says all classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visavis.core import weights
from visavis.core.devices import litert, onnx_session
from visavis.core.errors import InputError
from visavis.core.types import Affine, Face, Pixels, Template
from visavis.faces import align
from visavis.faces.geometry import Points, geometry

Parser = Literal["mesh", "unet"]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# fmt: off
CLASSES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)
NEVER = {"eye_g", "l_ear", "r_ear", "hat", "ear_r", "neck_l"}
COLOURS = (
    "#000000", "#e8a07a", "#c8553d", "#00d5ff", "#3a86ff", "#8338ec", "#6a4c1f", "#a97b35", "#ff5da2", "#ffa6c9",
    "#ffffff", "#ff1f4b", "#b3002d", "#2b9348", "#8ac926", "#ffd60a", "#ffee99", "#f4a259", "#5c677d",
)
# A brow: the upper edge from the temple inwards, then the lower edge back.
PARTS = {
    "nose": (
        168, 193, 245, 188, 174, 217, 198, 209, 129, 64, 98, 97, 2, 326, 327, 294, 358, 429, 420, 437, 399, 412, 465,
        417,
    ),
    "l_brow": (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
    "r_brow": (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    "l_eye": (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    "r_eye": (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    "u_lip": (
        61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78,
    ),
    "l_lip": (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78,
    ),
}
MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
# fmt: on
BROW_POINTS = 5  # of each edge
LIPS_APART = ((13, 14), (82, 87), (312, 317))
UNDER_LIP, CHIN, JAW, BROWS = 17, 152, (172, 397), (105, 334)
# Fixed on the train split of celebamask: by how much of its height a brow lies below the mesh's, the gap of the lips in
# eye distances from which on there is a mouth, the share of the person mask that counts as person, and by how much of
# its height above the brows a forehead is higher than the mesh's.
BROW_DROP, OPEN, PERSON, FOREHEAD = 0.25, 2 / align.EYE_DISTANCE, 0.7, 0.6
# The person mask looks at the portrait's frame and as much again around it; one of its pixels is one of the portrait's.
MASK_SIDE = 256
FINE = 4  # polygons are drawn this much larger: Pillow's are on whole pixels


@dataclass(frozen=True, eq=False)
class Parsed:
    """labels: uint8 [S, S], index into `names`, in the crop of the template; parser: which one said it"""

    labels: Labels
    parser: Parser
    template: Template
    names: tuple[str, ...] = CLASSES

    def mask(self, *names: str) -> Mask:
        """bool [S, S], True where a pixel is one of the named classes; InputError for a name there is not."""
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            raise InputError(f"There is no class {unknown[0]!r}; the classes are {', '.join(self.names)}.")
        return np.isin(self.labels, [self.names.index(name) for name in names])

    def overlay(self, pixels: Pixels, share: float = 0.5) -> Pixels:
        """uint8 [S, S, 3]: the crop with `share` (0..1) of each class's colour; background stays as it is.

        Raises InputError where the crop has another size than the labels.
        """
        if pixels.shape != (*self.labels.shape, 3):
            side = len(self.labels)
            raise InputError(f"These labels belong to a crop [{side}, {side}, 3], not {list(pixels.shape)}.")
        mixed = pixels + share * (colours()[self.labels].astype(np.float64) - pixels)
        return np.where(self.mask("background")[..., None], pixels, mixed.round()).astype(np.uint8)


def colours() -> NDArray[np.uint8]:
    """uint8 [19, 3] RGB, one colour for each of CLASSES."""
    return np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS], np.uint8)


def says(parser: Parser) -> tuple[str, ...]:
    """The classes that a parser can say."""
    return CLASSES if parser == "unet" else tuple(name for name in CLASSES if name not in NEVER)


def parse(face: Face, parser: Parser = "mesh", template: Template = "portrait") -> Parsed:
    """What each pixel of the face's crop is; what lies outside the photo is background.

    Raises InputError for another parser or template, and what `weights.path` raises where the weight cannot be had.
    """
    if parser not in ("mesh", "unet") or template not in align.SIZES:
        raise InputError(
            f"There is no parser {parser!r} of the crop {template!r}: parsers are mesh and unet, "
            f"crops {', '.join(align.SIZES)}."
        )
    size = align.SIZES[template]
    to_crop = align.to_template(face.mesh, template)
    on_photo = align.apply(align.invert(to_crop), centres(size))
    labels = _by_mesh(face, to_crop, on_photo) if parser == "mesh" else _by_network(face, on_photo)
    outside = ((on_photo < 0) | (on_photo >= (face.photo.width, face.photo.height))).any(-1)
    return Parsed(np.where(outside, np.uint8(0), labels), parser, template)


def _by_mesh(face: Face, to_crop: Affine, on_photo: Points) -> Labels:
    points = align.apply(to_crop, face.mesh[:, :2])
    size = len(on_photo)
    x, y = np.moveaxis(centres(size), -1, 0)
    left, right = sorted(points[list(JAW), 0])
    labels = np.full((size, size), _number("hair"), np.uint8)
    labels[y > points[CHIN, 1]] = _number("cloth")
    labels[(y > points[UNDER_LIP, 1]) & (x > left) & (x < right)] = _number("neck")
    labels[~_person(face, on_photo)] = _number("background")
    labels[filled(_to_hairline(points)[geometry().triangles], size)] = _number("skin")
    for name, polygon in _parts(points):
        labels[filled(polygon[None], size)] = _number(name)
    return labels


def _parts(points: Points) -> Iterator[tuple[str, Points]]:
    """Crop points [468, 2] -> polygons on the skin, later ones over earlier ones: a lowered brow hides no eye."""
    for name, part in PARTS.items():
        polygon = points[list(part)]
        yield name, _lowered(polygon) if "brow" in name else polygon
    gap = np.mean([np.hypot(*(points[a] - points[b])) for a, b in LIPS_APART])
    eyes = np.hypot(*(points[list(PARTS["l_eye"])].mean(0) - points[list(PARTS["r_eye"])].mean(0)))
    if gap > OPEN * eyes:
        yield "mouth", points[list(MOUTH)]


def _to_hairline(points: Points) -> Points:
    """The mesh ends in the middle of the forehead: what lies above the brows is stretched."""
    above = np.minimum(points[:, 1] - points[list(BROWS), 1].mean(), 0)
    return points + FOREHEAD * np.stack([np.zeros_like(above), above], 1)


def _lowered(brow: Points) -> Points:
    upper, lower = brow[:BROW_POINTS], brow[BROW_POINTS:]
    down = BROW_DROP * (lower[::-1] - upper)
    return np.concatenate([upper + down, lower + down[::-1]])


def filled(polygons: Points, size: int) -> Mask:
    """bool [size, size]: the pixels whose centre lies in one of the polygons [P, N, 2]."""
    picture = Image.new("1", (size * FINE, size * FINE))
    pen = ImageDraw.Draw(picture)
    for polygon in (polygons * FINE - 0.5).reshape(len(polygons), -1).tolist():
        pen.polygon(polygon, fill=1)
    return np.asarray(picture)[FINE // 2 :: FINE, FINE // 2 :: FINE]


def _person(face: Face, on_photo: Points) -> Mask:
    """bool [S, S]: which points of the photo [S, S, 2] show a person, this one or a neighbour."""
    edge = (MASK_SIDE - align.SIZES["portrait"]) / 2
    to_mask = align.to_template(face.mesh, "portrait") + np.array([[0, 0, edge], [0, 0, edge]])
    seen = align.warp(face.photo.pixels, to_mask, MASK_SIDE).astype(np.float32) / np.float32(255)
    (share,) = litert(weights.path("person_mask"))(seen[None])
    return np.asarray(sampled(share[0, ..., 0], align.apply(to_mask, on_photo)) > PERSON)


def _by_network(face: Face, on_photo: Points) -> Labels:
    """The network sees portraits; what a wider crop shows beyond one continues the label at the portrait's edge."""
    session = onnx_session(weights.path("parser_unet"))
    portrait = align.crop(face.photo.pixels, face.mesh, "portrait")
    (logits,) = session.run(["logits"], {"crops": portrait.pixels[None]})
    labels: Labels = logits[0].argmax(0).astype(np.uint8)
    return sampled(labels, align.apply(portrait.to_crop, on_photo))


def sampled(values: NDArray[Any], at: Points) -> NDArray[Any]:
    """values [H, W] under points [..., 2], the nearest; beyond the edge the edge's."""
    x, y = (np.clip(np.floor(at[..., i]).astype(np.int64), 0, values.shape[1 - i] - 1) for i in (0, 1))
    return np.asarray(values[y, x])


def centres(size: int) -> Points:
    """float64 [size, size, 2], x and y of the pixels' centres."""
    y, x = np.mgrid[:size, :size] + 0.5
    return np.stack([x, y], -1)


def _number(name: str) -> int:
    return CLASSES.index(name)
