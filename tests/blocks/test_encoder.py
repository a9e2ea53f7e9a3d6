"""A's vector as generators and losses read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.blocks.identity.encoder import FeaturesA, VectorA, chips  # noqa: E402
from visavis.blocks.identity.recogniser_a import RecogniserA, recogniser_a  # noqa: E402
from visavis.blocks.images import to_tensor  # noqa: E402
from visavis.faces import align  # noqa: E402
from visavis.faces.score import standardised  # noqa: E402
from visavis.media.photo import open_photo  # noqa: E402

# dlib's five points on two portraits, as in test_recogniser_a.py.
POINTS = {
    "obama": [[572, 215], [526, 216], [419, 216], [467, 216], [497, 288]],
    "biden": [[674, 355], [625, 345], [508, 320], [561, 331], [587, 427]],
}


@pytest.fixture(scope="module")
def network() -> RecogniserA:
    return recogniser_a()


@pytest.fixture(scope="module")
def photos(portraits: dict[str, Path]) -> list[tuple[Any, Any]]:
    """Images [1, 3, H, W] and their way to the chip."""
    return [
        (to_tensor(open_photo(portraits[name]).pixels), torch.tensor(align.to_template(np.array(points), "dlib")))
        for name, points in POINTS.items()
    ]


def test_the_vector_is_that_of_the_room_of_faces(network: RecogniserA, photos: list[tuple[Any, Any]]) -> None:
    faces = torch.cat([chips(image, way) for image, way in photos])
    unit, raw = VectorA("unit", network)(faces).vector, VectorA("raw", network)(faces).vector
    wanted = standardised(network(faces).numpy())
    assert np.allclose(unit.numpy(), wanted, atol=1e-4)
    assert torch.allclose(torch.nn.functional.normalize(raw, dim=1), unit, atol=1e-6)
    assert unit.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert raw.norm(dim=1).min() > 6
    # Two men: alike as they come, not once what all share is gone.
    plain = network(faces)
    assert float(plain[0] @ plain[1]) > 0.6 and abs(float(unit[0] @ unit[1])) < 0.4


def test_stored_vectors_become_the_same(network: RecogniserA, photos: list[tuple[Any, Any]]) -> None:
    faces = chips(*photos[0])
    encoder = VectorA("raw", network)
    assert torch.allclose(encoder.standardised(network(faces)), encoder(faces).vector)


def test_a_crop_is_the_chip_and_a_frame_fills_it(photos: list[tuple[Any, Any]]) -> None:
    image, way = photos[0]
    cut = align.warp(np.uint8(((image[0].permute(1, 2, 0) + 1) * 127.5).round().numpy()), way.numpy(), 150)
    assert (chips(image, way) - to_tensor(cut)).abs().mean() < 0.02
    frame = torch.rand(1, 3, 128, 128) * 2 - 1
    whole = chips(frame)
    assert whole.shape == (1, 3, 150, 150)
    assert torch.allclose(whole.mean((2, 3)), frame.mean((2, 3)), atol=0.01)


def test_maps_and_tokens(network: RecogniserA) -> None:
    faces = torch.rand(2, 3, 150, 150) * 2 - 1
    encoder = FeaturesA(network=network)
    found = encoder(faces)
    assert found.maps is not None and found.tokens is not None
    assert {k: tuple(v.shape) for k, v in found.maps.items()} == {
        "stage2": (2, 64, 4, 4), "stage3": (2, 128, 4, 4), "stage4": (2, 256, 4, 4), "stage5": (2, 256, 4, 4),
    }  # fmt: skip
    assert found.tokens.shape == (2, 16, 256)
    assert torch.equal(found.tokens[:, 5], found.maps["stage4"][:, :, 1, 1])
    assert torch.equal(found.maps["stage4"], network.features(faces)["stage4"])
    assert torch.allclose(found.vector, VectorA("raw", network)(faces).vector, atol=1e-5)
    assert set(FeaturesA((), "stage5", network=network)(faces).maps or {}) == set()


def test_gradients_reach_the_picture_and_not_a(network: RecogniserA, photos: list[tuple[Any, Any]]) -> None:
    image, way = photos[0]
    image = image.clone().requires_grad_()
    encoder = FeaturesA(network=network)
    found = encoder(chips(image, way))
    (found.vector.square().sum() + found.tokens.sum()).backward()
    assert image.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in encoder.parameters())
    assert encoder.state_dict()["mean"].shape == (128,)


def test_bad_input(network: RecogniserA) -> None:
    with pytest.raises(ValueError, match="raw or unit"):
        VectorA("long", network)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no stage 'stage6'"):
        FeaturesA(("stage6",), network=network)
    with pytest.raises(ValueError, match="no stage 'pooled'"):
        FeaturesA(("stage2",), "pooled", network=network)
    with pytest.raises(ValueError, match="Chips are float"):
        VectorA("raw", network)(torch.zeros(1, 3, 128, 128))
