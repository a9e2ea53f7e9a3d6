"""What tests of blocks share: UNets of tiny width in the shapes of three bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


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
