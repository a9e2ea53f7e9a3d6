"""A set of faces small enough to run every step of a base's training once."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

COUNT = 70


@pytest.fixture(scope="session")
def faces(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in many lights: one to train on, the other to validate."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for i in range(COUNT):
        split, person = ("val", "biden") if i % 7 == 0 else ("train", ("obama", "obama2", "obama3")[i % 3])
        image = Image.open(portraits[person]).convert("RGB")
        image.thumbnail((200, 200))
        file = io.BytesIO()
        ImageEnhance.Brightness(image).enhance(0.7 + i / COUNT).save(file, "JPEG")
        row = {"image": file.getvalue(), "person": person[:5], "split": split}
        rows.append(row | {"age": f"{i}-{i + 9}", "gender": "Male" if i % 2 else "Female"})
    path = tmp_path_factory.mktemp("set") / "faces.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano's folder, untrained."""
    import torch

    from visavis.bases.autoencoder.model import autoencoder
    from visavis.bases.nano import folder

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("nano") / "nano"
    folder.write(path, autoencoder(), folder.unet(), folder.text_encoder())
    return path


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classes of Stable Diffusion 1.5 at a tiny width, with a tokenizer of CLIP's kind."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    top = tmp_path_factory.mktemp("sd15")
    letters = [chr(c) for c in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters), "id</w>"]
    (top / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (top / "merges.txt").write_text("#version: 0.2\ni d</w>\n")
    tokenizer = CLIPTokenizer(str(top / "vocab.json"), str(top / "merges.txt"), model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
    )
    made = StableDiffusionPipeline(
        vae, CLIPTextModel(text), tokenizer, unet, DDIMScheduler(), None, None, requires_safety_checker=False
    )
    made.save_pretrained(top / "folder")
    return top / "folder"
