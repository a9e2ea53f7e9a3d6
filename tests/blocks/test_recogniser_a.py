"""Recogniser A in torch: the vectors of its ONNX twin, and gradients that say what the numbers do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.blocks.identity.recogniser_a import FEATURES, RecogniserA, recogniser_a  # noqa: E402
from visavis.blocks.images import to_tensor  # noqa: E402
from visavis.core import weights  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.core.types import Pixels  # noqa: E402
from visavis.faces import align, embed  # noqa: E402
from visavis.faces.dlib_dat import read_network  # noqa: E402
from visavis.media.photo import open_photo  # noqa: E402

# dlib's five points on the portraits, as in tests/faces/test_embed.py.
POINTS = {
    "obama": [[572, 215], [526, 216], [419, 216], [467, 216], [497, 288]],
    "biden": [[674, 355], [625, 345], [508, 320], [561, 331], [587, 427]],
}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def network() -> RecogniserA:
    return recogniser_a()


@pytest.fixture(scope="module")
def chips(portraits: dict[str, Path]) -> Pixels:
    return np.stack(
        [align.crop(open_photo(portraits[name]).pixels, np.array(p), "dlib").pixels for name, p in POINTS.items()]
    )


@pytest.fixture(scope="module")
def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), np.uint8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mirror", [False, True])
def test_vectors_of_the_onnx_twin(
    network: RecogniserA, chips: Pixels, noise: Pixels, mirror: bool, device: str
) -> None:
    every = np.concatenate([chips, noise, np.zeros_like(noise[:1]), np.full_like(noise[:1], 255)])
    vectors = network.to(device)(to_tensor(every).to(device), mirror=mirror)
    network.to("cpu")
    assert vectors.shape == (6, 128) and vectors.dtype == torch.float32
    assert vectors.norm(dim=1).tolist() == pytest.approx([1] * 6, abs=1e-6)
    assert (vectors.cpu().numpy() * embed.embed_chips(every, mirror=mirror)).sum(1).min() >= 0.9999


def test_frozen_and_in_eval_mode(network: RecogniserA) -> None:
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_keeps_vectors_and_gradients(network: RecogniserA, chips: Pixels, device: str) -> None:
    images = to_tensor(chips).to(device).requires_grad_()
    network.to(device)
    exact = network(images).detach()
    with torch.autocast(device, dtype=torch.bfloat16):
        found = network.features(images)
        vectors = network(images)
    network.to("cpu")
    assert found["stage1"].dtype == torch.bfloat16
    assert vectors.dtype == found["pooled"].dtype == torch.float32
    assert (vectors * exact).sum(1).min() > 0.9995
    (gradient,) = torch.autograd.grad(vectors[0] @ vectors[1], images)
    assert torch.isfinite(gradient).all() and gradient.abs().amax((1, 2, 3)).min() > 0


@pytest.mark.parametrize("mirror", [False, True])
def test_gradient_is_the_slope(chips: Pixels, mirror: bool) -> None:
    network = recogniser_a().double()
    images = to_tensor(chips).double()
    generator = torch.Generator().manual_seed(0)
    target = torch.nn.functional.normalize(torch.randn(128, generator=generator, dtype=torch.float64), dim=0)
    way = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((network(leaf, mirror=mirror) @ target).sum(), leaf)
    step = 1e-7
    with torch.no_grad():
        up, down = (network(images + sign * step * way, mirror=mirror) @ target for sign in (1, -1))
    slope = float((up - down).sum()) / (2 * step)
    assert float((gradient * way).sum()) == pytest.approx(slope, rel=1e-3)


def test_features_and_their_gradients(network: RecogniserA, chips: Pixels) -> None:
    images = to_tensor(chips).requires_grad_()
    found = network.features(images)
    assert {name: tuple(part.shape) for name, part in found.items()} == {n: (2, *s) for n, s in FEATURES.items()}
    for name, part in found.items():
        assert float(part.detach().min()) >= 0, name
        (gradient,) = torch.autograd.grad(part.sum(), images, retain_graph=True)
        assert gradient.abs().amax((1, 2, 3)).min() > 0, name


def test_vectors_are_made_of_the_pooled_features(network: RecogniserA, chips: Pixels) -> None:
    images = to_tensor(chips)
    vectors = network.last(network.features(images)["pooled"])
    assert torch.equal(torch.nn.functional.normalize(vectors, dim=1), network(images))


@pytest.mark.parametrize("shape", [(3, 150, 150), (1, 3, 112, 112), (1, 150, 150, 3)])
@pytest.mark.parametrize("mirror", [False, True])
def test_other_shapes_are_refused(network: RecogniserA, shape: tuple[int, ...], mirror: bool) -> None:
    with pytest.raises(ValueError, match="Chips are float"):
        network(torch.zeros(shape), mirror=mirror)
    with pytest.raises(ValueError, match="Chips are float"):
        network.features(torch.zeros((1, 3, 150, 150), dtype=torch.uint8))


@pytest.mark.parametrize("part", [slice(1, None), slice(-1), slice(3), slice(0, 12), slice(0, -9)])
def test_other_networks_are_refused(part: slice) -> None:
    with pytest.raises(InputError, match="not the face recogniser"):
        RecogniserA(read_network(weights.path(embed.WEIGHT))[part])
