"""The autoencoder as a stock AutoencoderKL of diffusers, with its latents' mean and spread inside its own layers."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

CHANNELS, SIDE = 8, 16


def autoencoder(groups: int = 16) -> AutoencoderKL:
    """5.7 M parameters; pictures [B, 3, 128, 128] in [-1, 1] -> latents [B, 8, 16, 16] and back.

    groups: of every norm. With 16 the layers of 16 channels forget each channel's mean, and with it a picture's cast.
    """
    return AutoencoderKL(
        block_out_channels=(16, 32, 96, 192),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=groups,
        mid_block_add_attention=False,
        force_upcast=False,
        sample_size=128,
        scaling_factor=1.0,
    )


@torch.no_grad()
def fold(module: AutoencoderKL, mean: Tensor, deviation: Tensor) -> None:
    """Makes each latent channel of mean 0 and deviation 1, in place, where it had `mean` and `deviation` [8].

    Pipelines know one factor for all channels and no shift, so both go into the two 1x1 convolutions: what is decoded
    stays the same.
    """
    encode, decode = module.quant_conv, module.post_quant_conv
    count = len(mean)
    encode.weight[:count] /= deviation[:, None, None, None]
    encode.bias[:count] = (encode.bias[:count] - mean) / deviation
    encode.bias[count:] -= 2 * deviation.log()
    weight = decode.weight[:, :, 0, 0]
    decode.bias += weight @ mean
    decode.weight *= deviation[None, :, None, None]
