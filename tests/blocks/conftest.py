"""What tests of blocks share: the conformance vectors, and UNets of tiny width in the shapes of three bases."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Golden:
    """One file of conformance vectors; fp16 weights are cast up."""

    name: str
    config: dict[str, Any]
    weights: dict[str, Any]
    given: dict[str, Any]
    out: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Any]:
        """Weights whose keys start so, without it."""
        return {key.removeprefix(prefix): value for key, value in self.weights.items() if key.startswith(prefix)}

    def check(self, ours: Any, name: str) -> float:
        """The largest difference to an output, which the tolerance must allow."""
        wanted = self.out[name]
        assert ours.shape == wanted.shape
        apart = float((ours.detach() - wanted).abs().max())
        assert apart <= 1e-4 * max(1.0, float(wanted.abs().max())), f"{self.name} {name}: {apart}"
        print(f"{self.name} {name}: {apart:.1e}")  # noqa: T201
        return apart


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """Reads a file of VISAVIS_GOLDEN by name; the test is skipped where there is none."""

    def read(name: str) -> Golden:
        path = Path(os.environ.get("VISAVIS_GOLDEN", "")) / f"{name}.safetensors"
        if not os.environ.get("VISAVIS_GOLDEN") or not path.is_file():
            pytest.skip(f"VISAVIS_GOLDEN has no {name}")
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            config = json.loads(file.metadata()["config"])
            kept: dict[str, dict[str, Any]] = {"weights": {}, "in": {}, "out": {}}
            for key in file.keys():  # noqa: SIM118
                kind, inner = key.split("/", 1)
                value = file.get_tensor(key)
                kept[kind][inner] = value.float() if kind == "weights" and value.is_floating_point() else value
        return Golden(name, config, kept["weights"], kept["in"], kept["out"])

    return read


def tiny_nano() -> Any:
    """nano's shape: 8 channels, cross-attention at every size."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=8,
        block_out_channels=(8, 16, 24),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        attention_head_dim=(1, 2, 3),
        cross_attention_dim=24,
        norm_num_groups=4,
    )


def tiny_sd15() -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16, 24, 24),
        attention_head_dim=2,
        cross_attention_dim=24,
        norm_num_groups=4,
    )


def tiny_sdxl() -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16, 24),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 3),
        attention_head_dim=(2, 4, 6),
        use_linear_projection=True,
        cross_attention_dim=24,
        norm_num_groups=4,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=60,
    )


TINY = {"nano": tiny_nano, "sd15": tiny_sd15, "sdxl": tiny_sdxl}


@pytest.fixture(params=sorted(TINY))
def unet(request: pytest.FixtureRequest) -> Any:
    """An untrained UNet of each shape, frozen, in eval mode."""
    import torch

    torch.manual_seed(0)
    return TINY[request.param]().eval().requires_grad_(False)


@pytest.fixture
def nano() -> Any:
    import torch

    torch.manual_seed(0)
    return tiny_nano().eval().requires_grad_(False)


@pytest.fixture
def call() -> Callable[..., Any]:
    """Calls a UNet on the same noise and text each time."""
    import torch

    def run(unet: Any, count: int = 2, size: tuple[int, int] = (16, 16), **options: Any) -> Any:
        generator = torch.Generator().manual_seed(1)
        noisy = torch.randn(count, unet.config.in_channels, *size, generator=generator)
        text = torch.randn(count, 7, unet.config.cross_attention_dim, generator=generator)
        if unet.config.addition_embed_type:
            options["added_cond_kwargs"] = {"text_embeds": torch.ones(count, 12), "time_ids": torch.ones(count, 6)}
        return unet(noisy, torch.tensor(500), text, return_dict=False, **options)[0]

    return run
