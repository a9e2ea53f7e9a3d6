"""Five points drawn, and the branch that reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.blocks.identity.spatial import SpatialBranch, key_points  # noqa: E402

POINTS = np.array([[40.7, 50.2], [86.1, 48.9], [63.0, 70.0], [46.2, 92.5], [82.4, 91.0]])


def test_pictures_of_instantid(golden: Any) -> None:
    file = golden("instantid_keypoints")
    given = file.given
    top, left, bottom, right = given["picture_1024_crop_yxyx"].tolist()
    whole = key_points(given["kps_1024"].numpy(), (1024, 1024))  # the paper's sizes are ours at 1024
    file.same(whole[top:bottom, left:right], "picture_1024_crop")
    whole[top:bottom, left:right] = 0
    assert not whole.any()
    small = key_points(given["kps_128"].numpy(), (128, 128), 10, 4)
    file.same(small, "picture_128")
    width, height = given["size_rect_wh"].tolist()
    rect = key_points(given["kps_rect"].numpy(), (height, width), 10, 4)
    file.same(rect, "picture_rect")


def test_sizes_follow_the_resolution() -> None:
    small, large = key_points(POINTS, (128, 128)), key_points(POINTS * 8, (1024, 1024))
    for picture, scale, radius in ((small, 1, 2), (large, 8, 10)):
        nose = (picture == (0, 0, 255)).all(-1)
        rows, columns = np.nonzero(nose)
        assert (rows.min(), rows.max()) == (70 * scale - radius, 70 * scale + radius)
        assert (columns.min(), columns.max()) == (63 * scale - radius, 63 * scale + radius)
    assert {tuple(c) for c in small.reshape(-1, 3).tolist()} == {
        (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255),
        (153, 0, 0), (0, 153, 0), (153, 153, 0), (153, 0, 153),
    }  # fmt: skip


def test_points_beside_the_picture_and_on_each_other() -> None:
    assert not key_points(POINTS + 1000, (128, 128)).any()
    assert key_points(POINTS - 60, (128, 128)).any()
    same = key_points(np.full((5, 2), 64.0), (128, 128))
    assert (same[64, 64] == (255, 0, 255)).all() and same[:, :, 0].astype(bool).sum() < 30


def test_other_points_are_refused() -> None:
    for bad in (POINTS[:4], POINTS[:, :1], np.where(POINTS > 90, np.nan, POINTS)):
        with pytest.raises(ValueError, match="Five points"):
            key_points(bad, (128, 128))


def test_the_branch_starts_as_the_base_and_learns(unet: Any, call: Any) -> None:
    branch = SpatialBranch.of(unet)
    before = call(unet)
    noisy, picture = torch.randn(2, unet.config.in_channels, 16, 16), torch.rand(2, 3, 128, 128)
    tokens = torch.randn(2, 4, 24, requires_grad=True)
    added = None
    if unet.config.addition_embed_type:
        added = {"text_embeds": torch.ones(2, 12), "time_ids": torch.ones(2, 6)}
    given = (noisy, torch.tensor(500), tokens, picture)
    assert branch(*given, scale=0.0, added=added) == {}
    start = call(unet, **branch(*given, added=added))
    assert torch.equal(start, before)
    start.square().sum().backward()
    zero = branch.network.controlnet_mid_block.weight
    assert zero.grad.abs().sum() > 0
    for layer in (branch.network.controlnet_mid_block, *branch.network.controlnet_down_blocks):
        torch.nn.init.normal_(layer.weight, std=0.3)
    half, whole = (call(unet, **branch(*given, scale=s, added=added)) for s in (0.5, 1.0))
    assert not torch.allclose(whole, before, atol=1e-3) and not torch.allclose(whole, half, atol=1e-3)
    whole.square().sum().backward()
    assert tokens.grad.abs().sum() > 0
