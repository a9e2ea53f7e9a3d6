"""The authors' files: `encoder/` (a CLIPTextModel) and `arc2face/` (a UNet of diffusers), beside any SD 1.5 folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from visavis.bases.load import whole
from visavis.core import weights
from visavis.core.errors import InputError
from visavis.systems.arc2face.model import Arc2Face

PARTS = {"encoder": ("pytorch_model.bin", "model.safetensors"), "arc2face": ("diffusion_pytorch_model.safetensors",)}


def load(folder: str, pipeline: Any) -> Arc2Face:
    """A pickle is read as tensors only. Raises InputError naming what is missing or does not fit the base."""
    top = Path(folder).expanduser()
    for name, files in PARTS.items():
        if not (top / name / "config.json").is_file() or not any((top / name / file).is_file() for file in files):
            raise InputError(f"{top / name} lacks config.json or {' or '.join(files)}: is {top} the authors' folder?")
        weights.allow_folder(top / name)
    text = whole(CLIPTextModel, top / "encoder", weights_only=True)
    unet = whole(UNet2DConditionModel, top / "arc2face")
    if unet.config.in_channels != pipeline.unet.config.in_channels:
        raise InputError(f"{top} was made for another base than this one: other latents.")
    return Arc2Face(text.float(), unet.float(), pipeline.tokenizer, padded=True)
