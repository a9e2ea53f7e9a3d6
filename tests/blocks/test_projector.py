"""Projectors: shapes, gradients, the published layouts."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from visavis.blocks.identity.projector import LinearProjector, MlpProjector, Resampler  # noqa: E402


def test_resampler_of_instantid(golden: Any) -> None:
    file = golden("instantid_resampler")
    c = file.config
    made = Resampler(
        c["embedding_dim"], c["output_dim"], c["dim"], c["depth"], c["heads"], c["dim_head"], c["num_queries"]
    )
    made.load_state_dict(file.weights)
    for name in ("vectors", "zero", "several"):
        file.check(made(file.given[name]), name)


def test_projections_of_withanyone(golden: Any) -> None:
    file = golden("withanyone_identity")
    width = file.config["hidden"]
    arc, sig_arc = (MlpProjector(512, 4 * width, width, 8) for _ in range(2))
    sig = MlpProjector(768, width, width)
    for module, name in ((arc, "arcface_in_arc"), (sig_arc, "arcface_in_sig"), (sig, "siglip_in_sig")):
        module.load_state_dict(file.part(f"withanyone.{name}."))
    vectors = file.given["arcface"].transpose(0, 1)
    file.check(arc(vectors), "tokens_arc")
    patches = file.given["siglip_left"] @ file.given["siglip_right"]
    faces = [torch.cat([sig(patches[:, i]), sig_arc(vectors[:, i])], 1) for i in range(2)]
    file.check(torch.cat(faces, 1)[:, file.config["tokens_sig_rows"]], "tokens_sig")


@pytest.mark.parametrize(
    ("made", "given", "wanted"),
    [
        (LinearProjector(12, 8), (2, 12), (2, 1, 8)),
        (LinearProjector(12, 8, 3), (2, 5, 12), (2, 15, 8)),
        (MlpProjector(12, 16, 8, 4), (2, 12), (2, 4, 8)),
        (MlpProjector(12, 16, 8), (2, 16, 12), (2, 16, 8)),
        (Resampler(12, 8, 16, 2, 2, 8, 4), (2, 1, 12), (2, 4, 8)),
        (Resampler(12, 8, 16, 2, 2, 8, 4), (2, 7, 12), (2, 4, 8)),
    ],
)
def test_shapes_and_gradients(made: Any, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    vectors = torch.randn(given, requires_grad=True)
    tokens = made(vectors)
    assert tokens.shape == wanted
    tokens.square().sum().backward()
    assert vectors.grad.abs().amax(-1).min() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_tokens_of_several_vectors_lie_one_after_the_other() -> None:
    made, vectors = MlpProjector(12, 16, 8, 4), torch.randn(2, 3, 12)
    assert torch.allclose(made(vectors)[:, 4:8], made(vectors[:, 1]), atol=1e-6)


def test_other_shapes_are_refused() -> None:
    for bad in (torch.zeros(2, 12), torch.zeros(2, 1, 11)):
        with pytest.raises(ValueError, match="Vectors are"):
            Resampler(12, 8, 16, 1, 2, 8)(bad)
