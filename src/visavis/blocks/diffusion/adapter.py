"""Low-rank changes of a frozen network (LoRA, arXiv 2106.09685, section 4.1), through peft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def add_lora(
    module: nn.Module,
    rank: int,
    targets: Sequence[str] | str = ATTENTION,
    alpha: float | None = None,
    dropout: float = 0.0,
    name: str = "default",
) -> list[nn.Parameter]:
    """Puts A and B beside the named layers, B zero, and gives them; everything else of the module is frozen.

    targets: ends of names of Linear and Conv2d layers, or one regular expression of whole names, such as
             r".*attn2\\.to_[kv]" for the text's keys and values alone
    alpha:   the change counts alpha / rank; without it 1
    Raises ValueError where no layer has such a name.
    """
    chosen = targets if isinstance(targets, str) else list(targets)
    config = LoraConfig(r=rank, lora_alpha=alpha or rank, target_modules=chosen, lora_dropout=dropout)  # type: ignore[arg-type]
    inject_adapter_in_model(config, module, name)
    for key, parameter in module.named_parameters():
        parameter.requires_grad_("lora_" in key)
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def lora_layers(module: nn.Module, name: str = "default") -> nn.ModuleDict:
    """A and B of each layer, `up_blocks-1-to_k` -> (A, B), to be held by a module that keeps what was learnt beside a
    frozen network: they are the network's own, none is copied."""
    pairs = {key: (layer.lora_A[name], layer.lora_B[name]) for key, layer in _layers(module).items()}
    return nn.ModuleDict({key.replace(".", "-"): nn.ModuleList(pair) for key, pair in pairs.items()})


def lora_state(module: nn.Module, name: str = "default") -> dict[str, Tensor]:
    """The tensors of A and B by peft's names, to be saved."""
    return dict(get_peft_model_state_dict(module, adapter_name=name))


def load_lora(module: nn.Module, state: Mapping[str, Tensor], name: str = "default") -> None:
    """What `lora_state` gave, into a module that had `add_lora` with the same rank and targets.

    Raises ValueError naming keys that are missing or unknown.
    """
    wanted = lora_state(module, name)
    wrong = sorted(wanted.keys() ^ state.keys())
    if wrong:
        raise ValueError(f"These are not the keys of this adapter: {', '.join(wrong[:3])} ({len(wrong)} in all).")
    set_peft_model_state_dict(module, dict(state), adapter_name=name)


def scale_lora(module: nn.Module, scale: float, name: str = "default") -> None:
    """How much the change counts, 0 or more; at 0 the base runs alone and equals itself to the bit."""
    for layer in _layers(module).values():
        layer.set_scale(name, scale)
        layer.enable_adapters(scale != 0)


def merge_lora(module: nn.Module) -> None:
    """Adds the change to the base's own weights and takes A and B away."""
    for name, layer in _layers(module).items():
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, layer.get_base_layer())


def _layers(module: nn.Module) -> dict[str, Any]:
    found = {name: layer for name, layer in module.named_modules() if isinstance(layer, BaseTunerLayer)}
    if not found:
        raise ValueError("This module has no low-rank layers.")
    return found
