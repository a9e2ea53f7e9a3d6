"""The authors' layout, in which ours ships too: `ControlNetModel/` (a folder of diffusers) and `ip-adapter.bin`, or the
same as safetensors: dicts `image_proj` (Resampler) and `ip_adapter` (keys and values by their number)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from visavis.bases.load import whole
from visavis.bases.quiet import quiet
from visavis.core.errors import InputError
from visavis.systems.instantid.model import InstantID

NET, ADAPTER = "ControlNetModel", "ip-adapter"
SHARD = "15MB"
HEAD = 64  # width of a head of the Resampler, the one number that the file does not tell


def load(folder: Path, unet: Any, text: Any) -> InstantID:
    """Beside a base of the same width. A pickle is read as tensors only. Raises InputError naming what is missing."""
    if not (folder / NET / "config.json").is_file():
        raise InputError(f"{folder} lacks {NET}/config.json: is it the authors' folder?")
    state = _adapter(folder)
    projector, adapter = ({k.removeprefix(p): v for k, v in state.items() if k.startswith(p)} for p in _PARTS)
    try:
        tokens, dim = projector["latents"].shape[1:]
        length = projector["proj_in.weight"].shape[1]
        depth = 1 + max(int(key.split(".")[1]) for key in projector if key.startswith("layers."))
        heads = projector["layers.0.0.to_q.weight"].shape[0] // HEAD
        made = InstantID(unet, text, length, tokens, dim, depth, heads)
        made.projector.load_state_dict(projector)
        made.adapter.load_state_dict(adapter)
        made.identity_net.network = whole(ControlNetModel, folder / NET).float()
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{folder}/{ADAPTER} lacks {error}: is it the authors' file?") from error
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{folder} does not fit this base: {said}") from error
    return made


def write(module: InstantID, folder: Path) -> None:
    """As float16."""
    state = {f"{_PARTS[0]}{k}": v for k, v in module.projector.state_dict().items()}
    state |= {f"{_PARTS[1]}{k}": v for k, v in module.adapter.state_dict().items()}
    folder.mkdir(parents=True)
    save_file({key: value.half().contiguous() for key, value in state.items()}, folder / f"{ADAPTER}.safetensors")
    with quiet():
        module.identity_net.network.half().save_pretrained(folder / NET, max_shard_size=SHARD)
    module.identity_net.network.float()


_PARTS = ("image_proj.", "ip_adapter.")


def _adapter(folder: Path) -> dict[str, Tensor]:
    if (folder / f"{ADAPTER}.safetensors").is_file():
        try:
            return {key: value.float() for key, value in load_file(folder / f"{ADAPTER}.safetensors").items()}
        except SafetensorError as error:
            raise InputError(f"{folder}/{ADAPTER}.safetensors is no safetensors file: {error}.") from error
    path = folder / f"{ADAPTER}.bin"
    if not path.is_file():
        raise InputError(f"{folder} lacks {ADAPTER}.safetensors or {ADAPTER}.bin: is it the authors' folder?")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return {f"{part}{key}": value.float() for part in _PARTS for key, value in found[part[:-1]].items()}
    except Exception as error:  # whatever a file that is none may raise
        raise InputError(f"{path} is no file of tensors under image_proj and ip_adapter.") from error
