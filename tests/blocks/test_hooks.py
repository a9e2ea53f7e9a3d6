"""Foundation-aware self-attention: conformance, both rules, what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers.models.attention_processor import Attention  # noqa: E402

from visavis.blocks.diffusion.hooks import Fasa, last_third, processed, self_attentions  # noqa: E402
from visavis.blocks.identity.attention import published_order  # noqa: E402


def test_fasa_of_freecure(golden: Any) -> None:
    file = golden("freecure_fasa")
    c, given = file.config, file.given
    attention = Attention(c["query_dim"], None, c["heads"], dim_head=c["dim_head"]).eval()
    attention.load_state_dict(file.part("attn."))
    file.check(attention(given["hidden"]), "plain_self_attention")
    for omega, fidelity, name in ((1.5, 1.0, ""), (0.5, 1.0, ""), (1.5, 0.0, "_style_fidelity_0")):
        attention.set_processor(Fasa(given["mask"], omega, style_fidelity=fidelity))
        file.check(attention(given["hidden"]), f"fasa_omega_{omega}{name}")


@pytest.fixture
def attention() -> Any:
    torch.manual_seed(0)
    return Attention(16, None, 2, dim_head=8).eval()


def places(inside: Any) -> Any:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., inside] = 1
    return mask


def test_multiplied_similarities_are_the_paper_s_equation(attention: Any) -> None:
    hidden, mask, omega = torch.randn(2, 64, 16), places(slice(2, 6)), 2.0
    attention.set_processor(Fasa(mask, omega, "multiply", sides=1))
    made = attention(hidden)
    q, k, v = (
        layer(hidden).view(2, 64, 2, 8).transpose(1, 2) for layer in (attention.to_q, attention.to_k, attention.to_v)
    )
    similar = torch.cat([q[:1] @ k[:1].mT, omega * mask.view(1, 1, 1, 64) * (q[:1] @ k[1:].mT)], -1) / 8**0.5
    wanted = (similar.softmax(-1) @ torch.cat([v[:1], v[1:]], -2)).transpose(1, 2).flatten(2)
    assert torch.allclose(made[:1], attention.to_out[0](wanted), atol=1e-5)


def test_what_is_masked_out_vanishes_under_add_and_leaks_under_multiply(attention: Any) -> None:
    hidden = torch.randn(4, 64, 16)
    other = hidden.clone()
    other[3, 32:] += 1  # a place of FD outside the mask: rows 4 to 7
    mask = torch.zeros(1, 1, 8, 8)
    mask[:, :, :4] = 1
    leaked = {}
    for rule in ("add", "multiply"):
        attention.set_processor(Fasa(mask, 1.5, rule))  # type: ignore[arg-type]
        leaked[rule] = float((attention(hidden)[2] - attention(other)[2]).abs().max().detach())
    assert leaked["add"] == 0 < leaked["multiply"]


def test_fd_and_the_unconditional_side_stay_plain(attention: Any) -> None:
    hidden = torch.randn(8, 64, 16)  # two sides of two pairs
    plain = attention(hidden)
    attention.set_processor(Fasa(places(slice(0, 4)).repeat(2, 1, 1, 1), 1.5))
    apart = (attention(hidden) - plain).abs().amax((1, 2)) > 1e-4
    assert apart.tolist() == [False] * 4 + [True, True, False, False]
    attention.set_processor(Fasa(places(slice(0, 0)), 1.5))
    assert torch.allclose(attention(hidden), plain, atol=1e-5)  # an empty mask changes nothing


def test_each_pair_has_its_own_mask(attention: Any) -> None:
    hidden = torch.randn(4, 64, 16)
    masks = torch.cat([places(slice(0, 4)), places(slice(5, 8))])
    attention.set_processor(Fasa(masks, 1.0, sides=1))
    both = attention(hidden)
    for i in range(2):
        attention.set_processor(Fasa(masks[i : i + 1], 1.0, sides=1))
        assert torch.allclose(attention(hidden[[i, 2 + i]])[0], both[i], atol=1e-5)


def test_layers_are_counted_in_the_order_of_calls(unet: Any, call: Any) -> None:
    reached: list[str] = []
    for name in published_order(unet):
        unet.get_submodule(name).register_forward_hook(lambda *_, name=name: reached.append(name))
    call(unet)
    names = [name for name in reached if name.endswith("attn1")]
    assert self_attentions(unet) == names
    chosen = last_third(unet)
    assert chosen == names[-len(chosen) :] and abs(len(chosen) - len(names) / 3) <= 0.5


def test_a_unet_s_own_processors_come_back(unet: Any, call: Any) -> None:
    before = call(unet, 4)
    with processed(unet, last_third(unet), Fasa(places(slice(0, 4)), 1.5)):
        cured = call(unet, 4)
    assert torch.equal(call(unet, 4), before)
    apart = (cured - before).abs().amax((1, 2, 3)) > 1e-4
    assert apart.tolist() == [False, False, True, False]
    with pytest.raises(KeyError), processed(unet, last_third(unet), Fasa(places(slice(0, 4)), 1.5)):
        raise KeyError
    assert torch.equal(call(unet, 4), before)


def test_bad_input(nano: Any, call: Any) -> None:
    for bad in (torch.zeros(8, 8), torch.full((1, 1, 8, 8), 0.5)):
        with pytest.raises(ValueError, match="of 0 and 1"):
            Fasa(bad, 1.5)
    with (
        pytest.raises(ValueError, match="3 samples are not 2 sides"),
        processed(nano, last_third(nano), Fasa(places(slice(0, 4)), 1.5)),
    ):
        call(nano, 3)
    with pytest.raises(ValueError, match="No layer"), processed(nano, [], None):
        pass
