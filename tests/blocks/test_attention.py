"""Identity in cross-attention: conformance, the base to the bit at scale 0, boxes, mixing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import UNet2DConditionModel  # noqa: E402
from diffusers.models.attention_processor import Attention  # noqa: E402

from visavis.blocks.identity.attention import (  # noqa: E402
    Boxes,
    DecoupledAttention,
    IdentityAttention,
    MaskedAttention,
    attach,
    box_mask,
    call_order,
    grid,
    identity,
    published_order,
)
from visavis.blocks.identity.projector import MlpProjector, Resampler  # noqa: E402


def test_attention_of_instantid(golden: Any) -> None:
    file = golden("instantid_attention")
    c = file.config
    attention = Attention(c["query_dim"], c["cross_attention_dim"], c["heads"], dim_head=c["dim_head"])
    attention.load_state_dict(file.part("attn."))
    part = DecoupledAttention(c["cross_attention_dim"], c["heads"] * c["dim_head"])
    part.load_state_dict({key: value for key, value in file.weights.items() if key.startswith("to_")})
    processor = IdentityAttention(part, attention.processor)
    attention.set_processor(processor)
    for scale in c["scales"]:
        processor.scale = scale
        made = attention(file.given["hidden"], file.given["text"], **identity(file.given["identity"]))
        file.check(made, f"scale_{float(scale)}")


def test_unet_of_instantid(golden: Any) -> None:
    file = golden("instantid_unet")
    r, given = file.config["resampler"], file.given
    unet = UNet2DConditionModel(**file.config["unet"]).eval()
    unet.load_state_dict(file.part("unet."))
    resampler = Resampler(
        r["embedding_dim"], r["output_dim"], r["dim"], r["depth"], r["heads"], r["dim_head"], r["num_queries"]
    )
    resampler.load_state_dict(file.part("image_proj."))
    tokens = resampler(given["vectors"])
    file.check(tokens, "tokens")
    known = {"text_embeds": given["text_embeds"], "time_ids": given["time_ids"]}

    def noise(**options: Any) -> Any:
        return unet(given["latent"], given["timestep"], given["text"], added_cond_kwargs=known, **options).sample

    file.check(noise(), "plain_text_only")
    assert [f"{name}.processor" for name in published_order(unet)] == file.config["attn_processors"]
    adapter = attach(unet, r["output_dim"])
    adapter.load_state_dict(file.part("ip_adapter."))
    for scale in (0.0, 0.8, 1.5):
        adapter.scale = scale
        file.check(noise(cross_attention_kwargs=identity(tokens)), f"noise_scale_{scale}")


def test_attention_and_boxes_of_withanyone(golden: Any) -> None:
    file = golden("withanyone_identity")
    c, given = file.config, file.given
    rows, columns = c["height"] // c["pixels_a_token"], c["width"] // c["pixels_a_token"]
    boxes = Boxes(given["boxes"], (c["height"], c["width"]))
    assert grid(rows * columns, boxes.size) == (rows, columns)
    inside = box_mask(boxes, rows, columns)
    seen = inside.repeat_interleave(c["arc_tokens"], -1)
    file.same(seen, "mask_arc")
    part = MaskedAttention(c["hidden"], c["hidden"], c["heads"], c["dim_head"])
    part.load_state_dict(file.part("withanyone.ipa_arc.0."))
    tokens = file.out["tokens_arc"]
    made = part(tokens, given["image_tokens"], seen)
    file.check(made, "ipa_arc_0")
    assert not inside.any(-1).all() and (made[~inside.any(-1)] == 0).all()
    file.check(part(tokens, given["image_tokens"]), "ipa_arc_0_no_mask")

    vectors, patches = given["arcface"].transpose(0, 1), given["siglip_left"] @ given["siglip_right"]
    width = c["hidden"]
    of_vector, of_patches = MlpProjector(512, 4 * width, width, 8), MlpProjector(768, width, width)
    of_vector.load_state_dict(file.part("withanyone.arcface_in_sig."))
    of_patches.load_state_dict(file.part("withanyone.siglip_in_sig."))
    tokens = torch.cat([x for i in range(2) for x in (of_patches(patches[:, i]), of_vector(vectors[:, i]))], 1)
    part.load_state_dict(file.part("withanyone.ipa_sig.1."))
    seen = inside.repeat_interleave(c["sig_tokens"], -1)
    file.check(part(tokens, given["image_tokens"], seen), "ipa_sig_1")


@pytest.mark.parametrize("form", ["decoupled", "masked"])
def test_scale_0_is_the_base_to_the_bit(unet: Any, call: Any, form: Any) -> None:
    before, keys = call(unet), set(unet.state_dict())
    adapter = attach(unet, 24, form)
    tokens = torch.randn(2, 4, 24)
    for layer in adapter.parameters():
        torch.nn.init.normal_(layer, std=0.3)
    assert torch.equal(call(unet), before)  # no tokens
    assert not torch.allclose(call(unet, cross_attention_kwargs=identity(tokens)), before, atol=1e-3)
    adapter.scale = 0.0
    assert torch.equal(call(unet, cross_attention_kwargs=identity(tokens)), before)
    assert set(unet.state_dict()) == keys


def test_shapes_keys_and_gradients(unet: Any, call: Any) -> None:
    adapter = attach(unet, 24)
    names = published_order(unet)
    assert set(adapter) == {str(i) for i, name in enumerate(names) if name.endswith("attn2")}
    assert all(int(key) % 2 for key in adapter)
    tokens = torch.randn(2, 4, 24, requires_grad=True)
    call(unet, cross_attention_kwargs=identity(tokens)).square().mean().backward()
    assert tokens.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())
    assert all(p.grad is None for p in unet.parameters())


def test_orders(unet: Any, call: Any) -> None:
    reached: list[str] = []
    for name in published_order(unet):
        unet.get_submodule(name).register_forward_hook(lambda *_, name=name: reached.append(name))
    call(unet)
    assert call_order(unet) == reached
    assert [name.split("_")[0] for name in published_order(unet)][-2:] == ["mid", "mid"]


def test_it_starts_as_the_text_s_attention(nano: Any) -> None:
    adapter = attach(nano, 24)
    place = published_order(nano)[1]
    assert torch.equal(adapter["1"].to_k_ip.weight, nano.get_submodule(place).to_k.weight)


def test_masked_starts_as_nothing_and_stacks(nano: Any, call: Any) -> None:
    before = call(nano)
    arc, sig = attach(nano, 24, "masked", name="arc"), attach(nano, 16, "masked", name="sig")
    tokens = {"arc": torch.randn(2, 4, 24), "sig": torch.randn(2, 6, 16)}
    assert torch.equal(call(nano, cross_attention_kwargs=identity(tokens)), before)
    for layer in (*arc.parameters(), *sig.parameters()):
        torch.nn.init.normal_(layer, std=0.3)
    both = call(nano, cross_attention_kwargs=identity(tokens))
    only = call(nano, cross_attention_kwargs=identity({"arc": tokens["arc"]}))
    sig.scale = 0.0
    assert torch.equal(call(nano, cross_attention_kwargs=identity(tokens)), only)
    assert not torch.allclose(both, only, atol=1e-3)
    arc.scale = 0.0
    assert torch.equal(call(nano, cross_attention_kwargs=identity(tokens)), before)


def test_a_place_outside_all_boxes_gets_exactly_zero() -> None:
    part = MaskedAttention(8, 12, 2, 4)
    torch.nn.init.normal_(part.to_out.weight)
    boxes = Boxes(torch.tensor([[[0, 0, 64, 128], [128, 32, 256, 96]]]), (128, 256))
    inside = box_mask(boxes, 16, 32)
    image = torch.randn(1, 512, 8, requires_grad=True)
    made = part(torch.randn(1, 8, 12), image, inside.repeat_interleave(4, -1))
    outside = ~inside.any(-1)
    assert int(outside.sum()) == 512 - 16 * 8 - 8 * 16
    assert (made[outside] == 0).all() and (made[~outside].abs().amax(-1) > 0).all()
    made.sum().backward()
    assert torch.isfinite(image.grad).all() and (image.grad[outside] == 0).all()


def test_a_face_acts_in_its_own_box_alone(nano: Any, call: Any) -> None:
    adapter = attach(nano, 24, "masked")
    for layer in adapter.parameters():
        torch.nn.init.normal_(layer, std=0.3)
    left = torch.tensor([[[0, 0, 128, 128], [128, 0, 256, 128]]] * 2)
    tokens = torch.randn(2, 8, 24)
    other = torch.cat([tokens[:, :4], torch.randn(2, 4, 24)], 1)
    seen: list[Any] = []
    first = nano.get_submodule(published_order(nano)[1])
    first.register_forward_hook(lambda *made: seen.append(made[2]))
    for chosen in (tokens, other):
        call(nano, size=(16, 32), cross_attention_kwargs=identity(chosen, Boxes(left, (128, 256))))
    apart = (seen[0] != seen[1]).any(-1).view(2, 16, 32)
    assert not apart[:, :, :16].any() and apart[:, :, 16:].all()


def test_text_scale_is_the_share_of_the_text(nano: Any, call: Any) -> None:
    adapter = attach(nano, 24)
    adapter.scale, adapter.text_scale = 1.0, 0.0
    tokens = identity(torch.randn(2, 4, 24))
    texts: list[Any] = []
    first = nano.get_submodule(published_order(nano)[1])
    first.register_forward_hook(lambda *made: texts.append(made[2]))
    image, text = torch.randn(2, 256, 8), torch.randn(2, 7, 24)
    first(image, text, **tokens), first(image, 2 * text, **tokens)
    assert torch.equal(texts[0], texts[1])
    adapter.scale, adapter.text_scale = 0.0, 1.0
    assert torch.equal(first(image, text, **tokens), first(image, text))


def test_branches_are_mixed_by_sample_and_in_training_only() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 12, 2, dim_head=4, bias=False, out_bias=False)
    part = DecoupledAttention(12, 8, mixing=True)
    processor = IdentityAttention(part, attention.processor)
    attention.set_processor(processor)
    count = 600
    image, text, tokens = (torch.randn(1, n, w).expand(count, -1, -1) for n, w in ((5, 8), (7, 12), (3, 12)))

    def branch(scale: float, text_scale: float) -> Any:
        processor.scale, processor.text_scale = scale, text_scale
        return attention(image, text, **identity(tokens))

    part.eval()
    whole, said, shown = branch(1, 1), branch(0, 1), branch(1, 0)
    part.train()
    mixed = branch(1, 1)
    found = [[bool(torch.allclose(row, one[0], atol=1e-5)) for one in (whole, 2 * said, 2 * shown)] for row in mixed]
    assert all(sum(row) == 1 for row in found)
    assert all(150 < sum(row[i] for row in found) < 250 for i in range(3))


def test_bad_input(nano: Any, call: Any) -> None:
    with pytest.raises(ValueError, match="decoupled form only"):
        attach(nano, 24, "masked", mixing=True)
    attach(nano, 24, "masked")
    with pytest.raises(ValueError, match="attached already: identity"):
        attach(nano, 24, "masked")
    with pytest.raises(ValueError, match="attached already"):
        attach(nano, 24)
    wrong = Boxes(torch.tensor([[[0, 0, 64, 128]] * 3] * 2), (128, 128))
    with pytest.raises(ValueError, match="4 tokens cannot be shared by 3"):
        call(nano, cross_attention_kwargs=identity(torch.randn(2, 4, 24), wrong))
    with pytest.raises(ValueError, match="Boxes are"):
        box_mask(Boxes(torch.tensor([[[64, 0, 64, 128]]]), (128, 128)), 16, 16)
    with pytest.raises(ValueError, match="do not lie on a grid"):
        grid(13, (128, 128))


def test_a_network_without_cross_attention_is_refused() -> None:
    plain = UNet2DConditionModel(
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        mid_block_type="UNetMidBlock2D",
        norm_num_groups=4,
    )
    with pytest.raises(ValueError, match="no cross-attention"):
        attach(plain, 24)


def test_a_copy_has_its_own_layers(nano: Any, call: Any) -> None:
    adapter = attach(nano, 24)
    tokens = identity(torch.randn(2, 4, 24))
    before = call(nano, cross_attention_kwargs=tokens)
    other, its = copy.deepcopy((nano, adapter))
    its.scale = 0.0
    torch.nn.init.zeros_(its["1"].to_k_ip.weight)
    assert adapter.scale == 1 and torch.equal(call(nano, cross_attention_kwargs=tokens), before)
    assert torch.equal(call(other, cross_attention_kwargs=tokens), call(nano))
