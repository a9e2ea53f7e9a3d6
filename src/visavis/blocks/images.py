"""Images in torch code, float32 [B, 3, H, W] RGB in [-1, 1]: from pixels, to pixels, and through an affine."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from visavis.core.types import Affine, Pixels


def to_tensor(pixels: Pixels) -> Tensor:
    """float32 [B, 3, H, W] in [-1, 1] on the CPU, of uint8 [B, H, W, 3] or [H, W, 3] (which makes B = 1).

    Raises ValueError for other arrays.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ValueError(f"Pixels are uint8 [B, H, W, 3] or [H, W, 3], not {pixels.dtype} {list(pixels.shape)}.")
    batch = pixels if pixels.ndim == 4 else pixels[None]
    # A copy: a Photo's pixels are not writable and mirrored arrays have negative strides, neither of which torch takes.
    whole = torch.tensor(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    return whole.float() / 127.5 - 1


def to_pixels(images: Tensor) -> Pixels:
    """uint8 [B, H, W, 3] of images [B, 3, H, W] in [-1, 1]: rounded, what lies outside is clamped; to_tensor's exact
    way back. Raises ValueError for other shapes."""
    _check(images)
    levels = ((images.detach().float() + 1) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def warp(images: Tensor, to_crop: Tensor | Affine, size: int) -> Tensor:
    """Crops [B, 3, size, size] of images [B, 3, H, W] seen through affines; differentiable, borders are replicated.

    to_crop: [B, 2, 3], or [2, 3] for all: image pixels -> crop pixels, counted from the top left corner (the first
             pixel's centre is (0.5, 0.5)). The torch twin of faces/align.py's warp, but it never averages (for scales
             above a half) and cuts no level down to a whole one, as Pillow does: half a level brighter on average.
    Raises ValueError for other shapes. The crops are float32 also under autocast.
    """
    _check(images)
    count, _, height, width = images.shape
    kind = torch.promote_types(images.dtype, torch.float32)
    affine = torch.as_tensor(to_crop, dtype=kind, device=images.device)
    if affine.shape not in ((2, 3), (count, 2, 3)):
        raise ValueError(f"Affines are [2, 3] or [{count}, 2, 3] for {count} images, not {list(affine.shape)}.")
    affine = affine.expand(count, 2, 3)
    steps = torch.arange(size, dtype=kind, device=images.device) + 0.5
    centres = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2)
    # Autocast would round coordinates to three digits.
    with torch.autocast(images.device.type, enabled=False):
        points = (centres - affine[:, None, :, 2]) @ torch.linalg.inv(affine[:, :, :2]).mT
        grid = 2 * points / points.new_tensor([width, height]) - 1
        grid = grid.reshape(count, size, size, 2)
        return F.grid_sample(images.to(kind), grid, mode="bilinear", padding_mode="border", align_corners=False)


def _check(images: Tensor) -> None:
    if not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"Images are float [B, 3, H, W], not {images.dtype} {list(images.shape)}.")
