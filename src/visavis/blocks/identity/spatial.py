"""Where a face lies, told to a UNet by a picture: five points drawn, and a branch that reads the drawing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from diffusers import ControlNetModel
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.core.types import Pixels

# Left eye, right eye, nose, left and right corner of the mouth, left and right as in the picture.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
NOSE, OUTER = 2, (0, 1, 3, 4)
CHANNELS = (16, 32, 96, 256)  # of the layers that bring a picture to an eighth of its size
# OpenCV's own sines: whole degrees, seven digits, single precision.
_SINES = np.round(np.sin(np.radians(np.arange(451))), 7).astype(np.float32).astype(np.float64)
_ONE = 1 << 16


def key_points(
    points: NDArray[Any], size: tuple[int, int], radius: int | None = None, half_width: int | None = None
) -> Pixels:
    """uint8 [H, W, 3] RGB, black: InstantID's picture of five points [5, 2] (x, y in pixels; arXiv 2401.07519).

    Four limbs to the nose as filled ellipses in the outer point's colour times 0.6, then a filled circle a point, with
    whole numbers everywhere, as OpenCV's ellipse2Poly, fillConvexPoly and circle draw them (a limb that leaves the
    picture may differ by a pixel at its border).
    size:               (height, width)
    radius, half_width: of circles and limbs in pixels; the paper's 10 and 4 at 1024 px, in proportion to the shorter
                        side and at least 2 and 1
    Raises ValueError for other points.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"Five points are numbers [5, 2], not {list(points.shape)}.")
    radius = max(2, round(10 * min(size) / 1024)) if radius is None else radius
    half_width = max(1, round(4 * min(size) / 1024)) if half_width is None else half_width
    made = np.zeros((*size, 3), np.uint8)
    for number in OUTER:
        (x, y), (nose_x, nose_y) = points[number], points[NOSE]
        length = math.hypot(x - nose_x, y - nose_y)
        angle = int(math.degrees(math.atan2(y - nose_y, x - nose_x)))
        centre = (int((x + nose_x) / 2), int((y + nose_y) / 2))
        outline = _ellipse(centre, (int(length / 2), half_width), angle)
        made[_filled(outline, size)] = np.array(COLOURS[number]) * 0.6
    for colour, (x, y) in zip(COLOURS, points, strict=True):
        made[_disc((int(x), int(y)), radius, size)] = colour
    return made


class SpatialBranch(nn.Module):
    """A copy of a UNet's encoder and middle that reads a picture and adds to the UNet's skips (ControlNet, arXiv
    2302.05543, section 3); InstantID's IdentityNet where its text is identity tokens.

    `unet(noisy, time, text, **branch(noisy, time, tokens, picture))`
    """

    def __init__(self, network: ControlNetModel) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def of(cls, unet: Any, channels: tuple[int, ...] = CHANNELS) -> SpatialBranch:
        """Starts as the UNet's copy whose layers towards the UNet are zero."""
        return cls(ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels))

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        tokens: Tensor,
        picture: Tensor,
        scale: float = 1.0,
        added: dict[str, Tensor] | None = None,
    ) -> dict[str, Any]:
        """What the UNet's call takes beside its own inputs; nothing at scale 0, so that it equals the base to the bit.

        noisy:   latents [B, C, h, w]
        tokens:  [B, K, width of the UNet's cross-attention]
        picture: [B, 3, 8 h, 8 w] in 0..1
        added:   SDXL's pooled text and time ids (`added_cond_kwargs`), which enter here too
        """
        if not scale:
            return {}
        down, middle = self.network(
            noisy,
            timestep,
            tokens,
            controlnet_cond=picture,
            conditioning_scale=scale,
            added_cond_kwargs=added,
            return_dict=False,
        )
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def _ellipse(centre: tuple[int, int], axes: tuple[int, int], angle: int) -> NDArray[np.int64]:
    """Outline [N, 2] by whole degrees, without repetitions."""
    cosine, sine = _SINES[450 - angle % 360], _SINES[angle % 360]
    degrees = np.arange(361)
    x, y = axes[0] * _SINES[450 - degrees], axes[1] * _SINES[degrees]
    points = np.column_stack([centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine])
    whole = np.rint(points).astype(np.int64)
    return np.asarray(whole[np.append(True, (whole[1:] != whole[:-1]).any(1))])


def _filled(outline: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool [H, W]: each row between the outermost pixels of the outline's edges, as lines and as scanned."""
    start, stop = np.roll(outline, 1, 0), outline
    edge = np.concatenate([_lines(start, stop), _scanned(start, stop)])
    low, high = np.full(size[0], size[1]), np.full(size[0], -1)
    edge = edge[(edge[:, 1] >= 0) & (edge[:, 1] < size[0])]
    np.minimum.at(low, edge[:, 1], edge[:, 0])
    np.maximum.at(high, edge[:, 1], edge[:, 0])
    return _between(low, high, size[1])


def _lines(start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bresenham's pixels [M, 2] of every line, from left to right; halves stay behind."""
    swapped = stop[:, :1] < start[:, :1]
    start, stop = np.where(swapped, stop, start), np.where(swapped, start, stop)
    way = (stop - start)[:, None]
    count = np.maximum(np.abs(way).max(2, keepdims=True), 1)
    step = np.minimum(np.arange(int(count.max()) + 1)[None, :, None], count)
    pixels = start[:, None] + np.sign(way) * ((2 * step * np.abs(way) + count - 1) // (2 * count))
    return np.asarray(pixels.reshape(-1, 2))


def _scanned(start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pixel [M, 2] of every edge in every row that it crosses but its last, in steps of 1 / 65536 pixel."""
    rising = stop[:, 1] != start[:, 1]
    start, stop = start[rising], stop[rising]
    if not len(start):
        return start
    swapped = stop[:, 1:] < start[:, 1:]
    start, stop = np.where(swapped, stop, start), np.where(swapped, start, stop)
    count = (stop[:, 1] - start[:, 1])[:, None]
    slope = np.fix((2 * _ONE * (stop[:, :1] - start[:, :1]) + count) / (2 * count)).astype(np.int64)
    step = np.minimum(np.arange(int(count.max()))[None], count - 1)
    x = (start[:, :1] * _ONE + step * slope + _ONE // 2) // _ONE
    return np.stack([x, start[:, 1:] + step], 2).reshape(-1, 2)


def _disc(centre: tuple[int, int], radius: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool [H, W]: Bresenham's circle, filled."""
    low, high = np.full(size[0], size[1]), np.full(size[0], -1)

    def row(y: int, half: int) -> None:
        if 0 <= y < size[0]:
            low[y], high[y] = min(low[y], centre[0] - half), max(high[y], centre[0] + half)

    error, wide, narrow, plus, minus = 0, radius, 0, 1, 2 * radius - 1
    while wide >= narrow:
        for up, half in ((narrow, wide), (wide, narrow)):
            row(centre[1] - up, half)
            row(centre[1] + up, half)
        narrow, error, plus = narrow + 1, error + plus, plus + 2
        if error > 0:
            error, wide, minus = error - minus, wide - 1, minus - 2
    return _between(low, high, size[1])


def _between(low: NDArray[np.int64], high: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    columns = np.arange(width)
    return np.asarray((columns >= low[:, None]) & (columns <= high[:, None]))
