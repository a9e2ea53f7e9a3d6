"""Recogniser A: the graph computes what dlib's layers say, and vectors behave as its users need."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.types import Pixels
from visavis.faces import align, embed
from visavis.faces.dlib_dat import Layer, read_network
from visavis.media.photo import open_photo

# dlib's five points on the portraits, read once from the mesh: the tests below do not move when a detector does.
POINTS = {
    "obama": [[572, 215], [526, 216], [419, 216], [467, 216], [497, 288]],
    "obama2": [[400, 387], [343, 382], [230, 366], [278, 374], [288, 466]],
    "obama3": [[878, 403], [830, 397], [709, 387], [764, 390], [804, 465]],
    "biden": [[674, 355], [625, 345], [508, 320], [561, 331], [587, 427]],
}
# Cosines between the four, in that order, with and without the mirror image.
MIRRORED = [[1, 0.9648, 0.9743, 0.8133], [0, 1, 0.9555, 0.8269], [0, 0, 1, 0.8086], [0, 0, 0, 1]]
PLAIN = [[1, 0.9586, 0.9710, 0.8197], [0, 1, 0.9459, 0.8388], [0, 0, 1, 0.8096], [0, 0, 0, 1]]


@pytest.fixture(scope="module")
def chips(portraits: dict[str, Path]) -> Pixels:
    return np.stack(
        [align.crop(open_photo(portraits[name]).pixels, np.array(p), "dlib").pixels for name, p in POINTS.items()]
    )


@pytest.fixture(scope="module")
def many(chips: Pixels) -> Pixels:
    """Different chips: more than two batches, the last one short."""
    moved = [np.roll(chip, (dy, 3 * dy), (0, 1)) for chip in chips for dy in range(-4, 6)]
    return np.stack(moved)[: 2 * embed.BATCH + 5]


def test_unit_length_and_shape(chips: Pixels) -> None:
    vectors = embed.embed_chips(chips)
    assert vectors.shape == (4, 128)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert embed.embed_chips(chips[:0]).shape == (0, 128)
    assert np.isfinite(embed.embed_chips(np.zeros((1, 150, 150, 3), np.uint8))).all()


@pytest.mark.parametrize(("mirror", "wanted"), [(True, MIRRORED), (False, PLAIN)])
def test_golden_relations(chips: Pixels, mirror: bool, wanted: list[list[float]]) -> None:
    vectors = embed.embed_chips(chips, mirror=mirror)
    assert np.triu(vectors @ vectors.T) == pytest.approx(np.array(wanted), abs=1e-3)


def test_batch_is_single(many: Pixels) -> None:
    batch = embed.embed_chips(many)
    single = np.concatenate([embed.embed_chips(chip[None]) for chip in many])
    assert (1 - (batch * single).sum(1)).max() < 1e-4


def test_mirror_image_has_the_same_vector(chips: Pixels) -> None:
    a, b = embed.embed_chips(chips), embed.embed_chips(chips[:, :, ::-1])
    assert (a * b).sum(1).min() > 1 - 1e-6
    plain = embed.embed_chips(chips, mirror=False)
    assert (plain * embed.embed_chips(chips[:, :, ::-1], mirror=False)).sum(1).max() < 0.9999


def test_eight_threads_agree(many: Pixels) -> None:
    some = many[: embed.BATCH + 3]
    expected = embed.embed_chips(some)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: embed.embed_chips(some), range(8)):
            assert (1 - (vectors * expected).sum(1)).max() < 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((150, 150, 3), np.uint8),
        np.zeros((1, 150, 150, 3), np.float32),
        np.zeros((1, 112, 112, 3), np.uint8),
        np.zeros((1, 3, 150, 150), np.uint8),
    ],
)
def test_other_arrays_are_refused(wrong: NDArray[np.generic]) -> None:
    with pytest.raises(InputError, match="Chips are uint8"):
        embed.embed_chips(wrong)


def test_graph_computes_dlibs_layers(chips: Pixels) -> None:
    layers = read_network(weights.path(embed.WEIGHT))
    for chip in chips[[0, 3]]:
        expected = _forward(layers, chip)
        assert float(embed.embed_chips(chip[None], mirror=False)[0] @ expected) > 0.99999


def test_half_precision_only_on_disk() -> None:
    import onnx

    model = onnx.load(embed.onnx_file())
    kinds = [constant.data_type for constant in model.graph.initializer]
    assert kinds.count(onnx.TensorProto.FLOAT16) == 29  # all but the first convolution, and the last layer
    assert embed.onnx_file().stat().st_size < 12_000_000
    onnx.checker.check_model(model, full_check=True)


def test_recipe_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = embed.onnx_file()
    assert embed.onnx_file() == file
    monkeypatch.setattr(embed, "RECIPE", embed.RECIPE + "-test")
    other = embed.onnx_file()
    assert other != file
    other.unlink()
    other.with_suffix(".sha256").unlink()


def test_other_networks_are_refused() -> None:
    layers = read_network(weights.path(embed.WEIGHT))
    with pytest.raises(InputError, match="does not begin"):
        embed.onnx_a(layers[1:])
    with pytest.raises(InputError, match="256 numbers"):
        embed.onnx_a(layers[:-1])


def test_dlib_gives_the_same(peer: object, many: Pixels) -> None:
    from visavis.bench.peer import Peer

    assert isinstance(peer, Peer)
    theirs, _, _ = peer.embed(many)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    assert (theirs * embed.embed_chips(many, mirror=False)).sum(1).min() >= 0.9995


def _forward(layers: list[Layer], chip: Pixels) -> NDArray[np.float64]:
    """dlib's layers one by one in float64, as its source describes them: nothing folded, sums zero-padded."""
    x = block = ((chip - layers[0].arrays["mean"].astype(np.float64)) / 256).transpose(2, 0, 1)
    for below, layer in itertools.pairwise(layers):
        arrays = layer.arrays
        if layer.kind == "con":
            windows = _windows(x, layer)
            x = np.einsum("crwhv,ochv->orw", windows, arrays["weight"], optimize=True) + arrays["bias"][:, None, None]
        elif layer.kind == "affine":
            x = x * arrays["gamma"][:, None, None] + arrays["beta"][:, None, None]
        elif layer.kind == "relu":
            x = np.maximum(x, 0)
            block = x if below.kind == "add_prev" else block
        elif layer.kind == "max_pool":
            x = block = _windows(x, layer).max((3, 4))
        elif layer.kind == "avg_pool" and layer.window == (0, 0):
            x = x.mean((1, 2))
        elif layer.kind == "avg_pool":
            block = _windows(block, layer).mean((3, 4))
        elif layer.kind == "add_prev":
            total = np.zeros(np.maximum(x.shape, block.shape))
            for part in (x, block):
                total[: part.shape[0], : part.shape[1], : part.shape[2]] += part
            x = total
        elif layer.kind == "fc":
            x = x @ arrays["weight"]
    return np.asarray(x / np.linalg.norm(x))


def _windows(x: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    (top, left), (rows, columns) = layer.padding, layer.stride
    padded = np.pad(x, ((0, 0), (top, top), (left, left)))
    return np.lib.stride_tricks.sliding_window_view(padded, layer.window, axis=(1, 2))[:, ::rows, ::columns]
