"""Low-rank layers: nothing at first, nothing at scale 0, the same after saving and merging."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from visavis.blocks.diffusion.adapter import add_lora, load_lora, lora_state, merge_lora, scale_lora  # noqa: E402
from visavis.blocks.identity.attention import attach, identity  # noqa: E402


def filled(unet: Any, **options: Any) -> list[Any]:
    layers = add_lora(unet, 4, **options)
    for layer in layers:
        torch.nn.init.normal_(layer, std=0.3)
    return layers


def test_it_starts_as_nothing_and_is_the_base_to_the_bit_at_scale_0(unet: Any, call: Any) -> None:
    before = call(unet)
    add_lora(unet, 4)
    assert torch.allclose(call(unet), before, atol=1e-6)
    for key, layer in unet.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(layer, std=0.3)
    changed = call(unet)
    assert not torch.allclose(changed, before, atol=1e-3)
    scale_lora(unet, 0.0)
    assert torch.equal(call(unet), before)
    scale_lora(unet, 1.0)
    assert torch.equal(call(unet), changed)
    scale_lora(unet, 0.5)
    assert not torch.allclose(call(unet), changed, atol=1e-3)


def test_only_its_own_layers_learn(nano: Any, call: Any) -> None:
    layers = filled(nano, targets=r".*attn2\.to_[kv]")
    names = [key for key, p in nano.named_parameters() if p.requires_grad]
    assert len(names) == len(layers) == 2 * 2 * 10 and all("attn2.to_" in name for name in names)
    call(nano).square().sum().backward()
    assert all(layer.grad.abs().sum() > 0 for layer in layers)


def test_convolutions_too(nano: Any, call: Any) -> None:
    filled(nano, targets=("conv1",))
    state = lora_state(nano)
    assert state and all(value.ndim == 4 for value in state.values())
    merged = call(nano)
    merge_lora(nano)
    assert torch.allclose(call(nano), merged, atol=1e-4)


def test_saved_and_loaded(nano: Any, call: Any) -> None:
    other = copy.deepcopy(nano)
    filled(nano)
    wanted, state = call(nano), {key: value.clone() for key, value in lora_state(nano).items()}
    add_lora(other, 4)
    load_lora(other, state)
    assert torch.equal(call(other), wanted)
    state.pop(sorted(state)[0])
    with pytest.raises(ValueError, match=r"not the keys of this adapter: .*1 in all"):
        load_lora(other, state)


def test_merged_it_is_a_plain_unet(nano: Any, call: Any) -> None:
    keys = set(nano.state_dict())
    filled(nano, alpha=2.0)
    changed = call(nano)
    merge_lora(nano)
    assert set(nano.state_dict()) == keys
    assert torch.allclose(call(nano), changed, atol=1e-4)


def test_it_works_under_identity(nano: Any, call: Any) -> None:
    """PhotoVerse: low-rank keys and values of the text beside the image's own."""
    add_lora(nano, 4, r".*attn2\.to_[kv]")
    adapter = attach(nano, 24, mixing=True).requires_grad_()
    call(nano, cross_attention_kwargs=identity(torch.randn(2, 4, 24))).square().sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())
    assert all(p.grad is not None for k, p in nano.named_parameters() if "lora_B" in k)


def test_bad_input(nano: Any) -> None:
    with pytest.raises(ValueError, match="no low-rank layers"):
        scale_lora(nano, 1.0)
    with pytest.raises(ValueError, match="arget modules"):
        add_lora(nano, 4, ("to_nothing",))
