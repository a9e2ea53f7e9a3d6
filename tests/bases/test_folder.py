"""nano's folder is anybody's: stock classes only, read by diffusers in a process without visavis."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.bases.autoencoder.model import autoencoder, fold  # noqa: E402
from visavis.bases.load import read  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402

STRANGER = """
import sys
sys.modules["visavis"] = None
import torch
from diffusers import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1])
made = pipeline("a smiling woman of 40", num_inference_steps=2, guidance_scale=3.0, generator=torch.manual_seed(0))
print(made.images[0].size, type(pipeline).__name__)
"""


def test_a_process_without_visavis_loads_and_samples_it(nano: Path) -> None:
    found = subprocess.run([sys.executable, "-c", STRANGER, str(nano)], capture_output=True, text=True, timeout=240)
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.split("\n")[-2] == "(128, 128) StableDiffusionPipeline"


def test_its_files_are_small_and_its_numbers_half(nano: Path) -> None:
    from safetensors import safe_open

    sizes = [path.stat().st_size for path in nano.rglob("*.safetensors")]
    assert max(sizes) < 16e6 and sum(sizes) < 70e6
    kinds = {}
    for path in nano.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names = file.keys()
            kinds.setdefault(path.parent.name, set()).update(file.get_slice(name).get_dtype() for name in names)
    assert kinds == {"unet": {"F16"}, "vae": {"F16"}, "text_encoder": {"F32"}}


@pytest.mark.parametrize(("part", "gone"), [("unet", "conv_in.weight"), ("text_encoder", "final_layer_norm.bias")])
def test_weights_that_a_file_lacks_are_named_not_made_up(part: str, gone: str, sd15: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    top = tmp_path / "base"
    shutil.copytree(sd15, top)
    (path,) = (top / part).glob("*.safetensors")
    save_file({k: v for k, v in load_file(path).items() if not k.endswith(gone)}, path, {"format": "pt"})
    with pytest.raises(InputError, match=rf"{part} lacks the weights \S*{gone}, which"):
        read(top)


def test_no_file_tells_where_a_part_came_from(nano: Path, tmp_path: Path) -> None:
    from visavis.bases.nano import folder

    pipeline = read(nano)
    vae = type(pipeline.vae).from_pretrained(nano / "vae")
    folder.write(tmp_path / "nano", vae, pipeline.unet, pipeline.text_encoder)
    for path in (tmp_path / "nano").rglob("*.json"):
        assert str(tmp_path.parent) not in path.read_text() and str(nano) not in path.read_text(), path


def test_the_tokenizer_s_class_is_one_that_older_versions_know(nano: Path) -> None:
    named = json.loads((nano / "tokenizer" / "tokenizer_config.json").read_text())["tokenizer_class"]
    index = json.loads((nano / "model_index.json").read_text())
    assert named == index["tokenizer"][1] == "PreTrainedTokenizerFast"
    assert index["safety_checker"] == index["image_encoder"] == [None, None]


def test_prompts_become_numbers_and_are_cut(nano: Path) -> None:
    tokenizer = read(nano).tokenizer
    ids = tokenizer("A Smiling woman, 40 zebras", padding="max_length", max_length=32, truncation=True).input_ids
    words = tokenizer.convert_ids_to_tokens(ids)
    assert words[:9] == ["<start>", "a", "smiling", "woman", ",", "40", "<unk>", "<end>", "<pad>"]
    assert len(tokenizer("man " * 50, truncation=True).input_ids) == 32


def test_folding_changes_latents_and_nothing_else() -> None:
    torch.manual_seed(1)
    coder = autoencoder().eval()
    mean, deviation, images = torch.randn(8), torch.rand(8) + 0.5, torch.rand(2, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        before = coder.encode(images).latent_dist
        picture = coder.decode(before.mean).sample
        fold(coder, mean, deviation)
        after = coder.encode(images).latent_dist
        assert torch.allclose(coder.decode(after.mean).sample, picture, atol=1e-3)
    by = deviation[:, None, None]
    assert torch.allclose(after.mean, (before.mean - mean[:, None, None]) / by, atol=1e-5)
    assert torch.allclose(after.std, before.std / by, rtol=1e-4)


def test_torch_takes_the_threads_that_were_asked_for(nano: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            monkeypatch.setenv("VISAVIS_THREADS", str(threads))
            read(nano)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
