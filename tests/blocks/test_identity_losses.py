"""Identity losses: conformance, gates, whose face counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.blocks.identity.encoder import VectorA, chips  # noqa: E402
from visavis.blocks.images import to_tensor  # noqa: E402
from visavis.blocks.losses.contrastive import info_nce  # noqa: E402
from visavis.blocks.losses.identity import identity_loss, made_vectors, rows_below, shaken  # noqa: E402
from visavis.faces import align  # noqa: E402
from visavis.media.photo import open_photo  # noqa: E402

POINTS = {
    "obama": [[572, 215], [526, 216], [419, 216], [467, 216], [497, 288]],
    "biden": [[674, 355], [625, 345], [508, 320], [561, 331], [587, 427]],
}


def test_losses_of_withanyone(golden: Any) -> None:
    file = golden("withanyone_losses")
    made, target, pool = (file.given[name] for name in ("generated", "target", "pool"))
    one, faces = made[:, :1], pool.flatten(0, 1)
    made = made.clone().requires_grad_()
    file.check(info_nce(made.flatten(0, 1), target.flatten(0, 1)), "contrastive")
    pooled = info_nce(made.flatten(0, 1), target.flatten(0, 1), faces, file.config["temperature"])
    file.check(pooled, "contrastive_pool")
    file.check(torch.autograd.grad(pooled, made)[0], "contrastive_pool.grad")
    swapped = made.detach().clone()
    swapped[1] = swapped[1].flip(0)
    file.check(identity_loss(made, target), "id_in_boxes")
    file.check(identity_loss(one, target[:, :1]), "id_one_face")
    file.check(identity_loss(swapped, target), "id_swapped_in_boxes")
    file.check(identity_loss(swapped, target, matched=True), "id_swapped_best")


def test_a_shared_gallery_is_one_for_each() -> None:
    made, target, gallery = torch.randn(4, 8), torch.randn(4, 8), torch.randn(6, 8)
    whole = info_nce(made, target, gallery)
    assert torch.allclose(whole, info_nce(made, target, gallery.expand(4, -1, -1)))
    assert float(whole) > float(info_nce(made, target))


def test_one_s_own_person_is_no_negative() -> None:
    made, target, gallery = torch.randn(3, 8), torch.randn(3, 8), torch.randn(4, 8)
    people, shown = torch.tensor([1, 2, 1]), torch.tensor([2, 5, 6, 1])
    loss = info_nce(made, target, gallery, 0.1, people, shown)
    q, t, g = (torch.nn.functional.normalize(x, dim=1) for x in (made, target, gallery))
    rows = [
        torch.cat([q[0] @ t[[0, 1]].T, q[0] @ g[[0, 1, 2]].T]),
        torch.cat([q[1] @ t[[1, 0, 2]].T, q[1] @ g[[1, 2, 3]].T]),
        torch.cat([q[2] @ t[[2, 1]].T, q[2] @ g[[0, 1, 2]].T]),
    ]
    wanted = sum(torch.logsumexp(row / 0.1, 0) - row[0] / 0.1 for row in rows) / 3
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)


def test_rows_below_a_level() -> None:
    level = torch.tensor([0.9, 0.1, 0.5, 0.51, 0.2, 0.3])
    assert rows_below(level, 0.5, 8).tolist() == [2, 5, 4, 1]
    assert rows_below(level, 0.5, 3).tolist() == [2, 5, 4]
    assert rows_below(level, 0.05, 3).tolist() == []


@pytest.fixture(scope="module")
def encoder() -> VectorA:
    return VectorA()


def test_the_chip_is_cut_by_the_target_s_points(encoder: VectorA, portraits: dict[str, Path]) -> None:
    """Two faces side by side in one picture, as a canvas of two people has them; the decoder here changes nothing."""
    whole, ways, wanted = [], [], []
    shift = 0
    for name, points in POINTS.items():
        image = to_tensor(open_photo(portraits[name]).pixels)[:, :, :600, :900]
        way = torch.tensor(align.to_template(np.array(points), "dlib"))
        wanted.append(encoder(chips(image, way)).vector)
        moved = way.clone()
        moved[:, 2] -= way[:, 0] * shift
        whole.append(image)
        ways.append(moved)
        shift += image.shape[-1]
    latents = torch.cat(whole, 3).requires_grad_()
    made = made_vectors(encoder, lambda x: x, latents, torch.stack(ways)[None])
    assert made.shape == (1, 2, 128)
    assert torch.allclose(made[0], torch.cat(wanted), atol=2e-2)
    target = torch.cat(wanted)[None]
    right, wrong = identity_loss(made, target), identity_loss(made, target.flip(1))
    assert right.item() < 1e-3 < 0.5 < wrong.item()
    wrong.backward()
    assert torch.isfinite(latents.grad).all() and latents.grad.abs().sum() > 0


def test_a_shaken_face_is_the_same_person(encoder: VectorA, portraits: dict[str, Path]) -> None:
    image = to_tensor(open_photo(portraits["obama"]).pixels)
    way = torch.tensor(align.to_template(np.array(POINTS["obama"]), "dlib"))
    torch.manual_seed(0)
    ways = shaken(way.float().expand(16, 1, 2, 3))[:, 0]
    mirrored = torch.linalg.det(ways[:, :, :2]) < 0
    assert 3 < int(mirrored.sum()) < 13
    corners = way.new_tensor([[526.0, 216, 1], [467, 216, 1]]).float() @ way.float().T
    seen = torch.stack([point @ ways.mT for point in torch.tensor([[526.0, 216, 1], [467, 216, 1]])], 1)
    seen[mirrored] = seen[mirrored] * torch.tensor([-1, 1]) + torch.tensor([150, 0])
    off = (seen - corners).norm(dim=-1)
    assert 0.5 < float(off.mean()) < float(off.max()) < 12  # of 150 pixels
    vectors = encoder(chips(image.expand(16, -1, -1, -1), ways)).vector
    cosine = torch.cosine_similarity(vectors, encoder(chips(image, way.float())).vector)
    assert 0.6 < float(cosine.min()) < 0.99


def test_without_rows_there_is_no_loss_and_no_decoding(encoder: VectorA) -> None:
    clean = torch.randn(4, 8, 16, 16, requires_grad=True)
    none = clean[rows_below(torch.ones(4), 0.5, 8)]
    made = made_vectors(encoder, pytest.fail, none, torch.zeros(0, 1, 2, 3))
    assert made.shape == (0, 1, 128)
    assert float(identity_loss(made, made)) == 0 == float(info_nce(made[:, 0], made[:, 0]))


def test_bad_input(encoder: VectorA) -> None:
    with pytest.raises(ValueError, match="Affines are \\[2, faces, 2, 3\\]"):
        made_vectors(encoder, pytest.fail, torch.zeros(2, 8, 4, 4), torch.zeros(2, 2, 3))
    with pytest.raises(ValueError, match="Vectors are"):
        identity_loss(torch.zeros(2, 8), torch.zeros(2, 8))
    with pytest.raises(ValueError, match="Vectors are"):
        info_nce(torch.zeros(2, 8), torch.zeros(3, 8))
