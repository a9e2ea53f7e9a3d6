"""Alignment with recogniser A's maps: what is compared is what tells people apart, wherever it enters the UNet."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.blocks.losses.align import Aligner, middle  # noqa: E402


@pytest.fixture
def aligner(nano: Any) -> Aligner:
    torch.manual_seed(0)
    made = Aligner(nano)
    made.fit(torch.randn(50, 256, 4, 4) * 0.1 + 5)
    return made


def test_what_all_faces_share_is_not_compared(aligner: Aligner) -> None:
    asked = torch.randn(2, 24, 4, 4)
    maps, inside = torch.randn(2, 256, 4, 4) * 0.1 + 5, torch.ones(2, 1, 16, 16)
    alike = torch.nn.functional.cosine_similarity(maps[0].flatten(), maps[1].flatten(), dim=0)
    assert alike > 0.99 and 0.8 < float(aligner(asked, maps, inside)) < 1.2
    optimizer = torch.optim.Adam(aligner.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        loss = aligner(asked, maps, inside)
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.2 and float(aligner(asked, maps.flip(0), inside)) > 0.6
    assert not any(value.requires_grad for value in aligner.apart.buffers())


def test_two_faces_side_by_side(aligner: Aligner) -> None:
    asked, maps = torch.randn(3, 24, 4, 8), torch.randn(3, 256, 4, 8) * 0.1 + 5
    inside = torch.ones(3, 1, 16, 32)
    halves = [aligner(a, m, inside[..., :16]) for a, m in zip(asked.split(4, 3), maps.split(4, 3), strict=True)]
    assert torch.allclose(aligner(asked, maps, inside), (halves[0] + halves[1]) / 2, atol=1e-5)


def test_the_middle_holds_what_a_control_net_adds(nano: Any) -> None:
    call = torch.randn(1, 8, 16, 16), torch.tensor([500.0]), torch.randn(1, 7, 24)
    added = torch.randn(1, 24, 4, 4)
    with torch.no_grad(), middle(nano) as kept:
        nano(*call)
        down = [torch.zeros(()) for _ in range(sum(len(block.resnets) + 1 for block in nano.down_blocks))]
        nano(*call, down_block_additional_residuals=down, mid_block_additional_residual=added)
    assert torch.allclose(kept[1] - kept[0], added, atol=1e-4)
    with torch.no_grad():
        nano(*call)
    assert len(kept) == 2
