"""nano as a folder of stock classes that diffusers loads without visavis: how it is made and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from visavis.bases.nano.words import END, LENGTH, PAD, SPECIAL, START, WORDS
from visavis.bases.quiet import quiet

SHARD = "15MB"
SCHEDULER: dict[str, Any] = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "flow_shift": 1.0,
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "final_sigmas_type": "zero",
    "steps_offset": 1,
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Words by number, white space and punctuation apart, lower case; prompts are padded and cut to LENGTH."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token=SPECIAL[1]))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[START]} $A {SPECIAL[END]}",
        special_tokens=[(SPECIAL[START], START), (SPECIAL[END], END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=SPECIAL[PAD],
        unk_token=SPECIAL[1],
        bos_token=SPECIAL[START],
        eos_token=SPECIAL[END],
        model_max_length=LENGTH,
    )


def text_encoder() -> CLIPTextModel:
    """3.2 M parameters; tokens [B, 32] -> [B, 32, 256]."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(WORDS),
            hidden_size=256,
            intermediate_size=1024,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            hidden_act="quick_gelu",
            projection_dim=256,
            pad_token_id=PAD,
            bos_token_id=START,
            eos_token_id=END,  # 2 would switch on an old way of pooling
        )
    )


def unet() -> UNet2DConditionModel:
    """22.2 M parameters; latents [B, 8, 16, 16], timesteps 0..1000, text [B, 32, 256] -> velocity [B, 8, 16, 16].

    Cross-attention at 16, 8 and 4: masks by region and attention shared between pictures need all three.
    """
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=8,
        block_out_channels=(64, 160, 288),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        attention_head_dim=(2, 5, 9),
        cross_attention_dim=256,
        norm_num_groups=32,
    )


def pipeline_of(vae: AutoencoderKL, unet: UNet2DConditionModel, text: CLIPTextModel) -> StableDiffusionPipeline:
    """The stock pipeline around three networks."""
    made = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def write(folder: Path, vae: AutoencoderKL, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
    """Writes the pipeline folder: UNet and VAE as float16; the text encoder as float32, because transformers 5 keeps a
    file's numbers and a half text encoder stops the pipeline."""
    with quiet():
        pipeline_of(vae.half(), unet.half(), text.float()).save_pretrained(folder, max_shard_size=SHARD)
    for path in folder.glob("*/config.json"):  # diffusers writes where a part was read from: a place of one machine
        told = json.loads(path.read_text("utf-8"))
        if told.pop("_name_or_path", None):
            path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", "utf-8")
    # transformers 5 writes a name that version 4 does not know.
    known = "PreTrainedTokenizerFast"
    _change(folder / "tokenizer" / "tokenizer_config.json", {"tokenizer_class": known})
    _change(folder / "model_index.json", {"tokenizer": ["transformers", known]})


def _change(path: Path, entries: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | entries, indent=2), "utf-8")
