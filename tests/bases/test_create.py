"""`visavis create faces` and `visavis bases`, on pipelines that the test makes: nano untrained, tiny foreign ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.app.cli import run  # noqa: E402
from visavis.bases.load import base, hub  # noqa: E402
from visavis.bench.figures import Figure, write  # noqa: E402
from visavis.core.errors import InputError, RefusedError  # noqa: E402


@pytest.fixture(scope="module")
def sdxl(sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classes of Stable Diffusion XL at a tiny width: two text encoders, pooled text, time ids."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    small = StableDiffusionPipeline.from_pretrained(sd15)
    shape = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = CLIPTextConfig(vocab_size=len(small.tokenizer), projection_dim=32, **shape)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=(2, 4),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
    )
    made = StableDiffusionXLPipeline(
        small.vae,
        CLIPTextModel(text),
        CLIPTextModelWithProjection(text),
        small.tokenizer,
        small.tokenizer,
        unet,
        small.scheduler,
    )
    folder = tmp_path_factory.mktemp("sdxl") / "folder"
    made.save_pretrained(folder)
    return folder


def create(*arguments: Any) -> int:
    return run(["create", "faces", *map(str, arguments)])


def test_pictures_a_sheet_and_a_document(nano: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--base", nano, "--n", 3, "--steps", 2, "--seed", 7, "--out", tmp_path / "out", "--json"]
    assert create("a smiling Woman of 40, looking left", *options) == 0
    made = json.loads(capsys.readouterr().out)
    assert [row["seed"] for row in made["pictures"]] == [7, 8, 9] and made["terms"] == "unknown"
    assert Image.open(tmp_path / "out" / "sheet.png").size == (3 * 128, 128)
    # A picture follows from its own seed, whatever is made beside it.
    assert (
        create(
            "a smiling woman of 40, looking left",
            *options[:2],
            *options[4:6],
            "--n",
            1,
            "--seed",
            8,
            "--out",
            tmp_path / "b",
        )
        == 0
    )
    one, again = (np.asarray(Image.open(tmp_path / place / "00008.png"), int) for place in ("out", "b"))
    assert np.abs(one - again).max() <= 2 and one.std() > 1


def test_words_that_the_base_lacks_are_named(nano: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create("a womam with glasses", "--base", nano, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "'womam', 'glasses'" in said and "did you mean 'woman'" in said
    assert create("man " * 31, "--base", nano, "--out", tmp_path / "out") == 2
    assert "31 words" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--n", "0"], ["--n", "10000"], ["--steps", "0"], ["--guidance", "0.5"]])
def test_numbers_outside_their_range(nano: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert create("", "--base", nano, *options) == 2
    assert "is a number from 1 to" in capsys.readouterr().err


def test_a_full_disk_is_said(nano: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert create("", "--base", nano, "--n", 1, "--steps", 1, "--out", tmp_path / "file" / "out") == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise on Windows")
def test_what_is_done_stays_after_ctrl_c(nano: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["create", "faces", "", "--base", str(nano), "--n", "400", "--steps", "2", "--out", str(out)]
    running = subprocess.Popen([sys.executable, "-m", "visavis", *command], stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    # The one that is being written when the signal comes is not signed yet, and goes.
    while not (out / "00002.png").exists() and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode in (130, -signal.SIGINT)
    count = len(list(out.glob("0*.png")))
    assert 1 < count < 400
    assert Image.open(out / "sheet.png").size == (min(6, count) * 128, -(-count // 6) * 128)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_a_stable_diffusion_folder_takes_nano_s_place(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    assert create("zebras on the moon", "--base", folder, "--n", 2, "--steps", 2, "--out", tmp_path) == 0
    assert Image.open(tmp_path / "00001.png").size == (32, 32)


def test_folders_of_another_layout_name_what_is_missing(sd15: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no readable model_index\.json"):
        base(str(tmp_path))
    (tmp_path / "model_index.json").write_text((sd15 / "model_index.json").read_text())
    (tmp_path / "unet").mkdir()
    with pytest.raises(InputError, match="lacks scheduler, text_encoder, tokenizer, vae"):
        base(str(tmp_path))
    with pytest.raises(InputError, match="There is no base 'nanoo'"):
        base("nanoo")


def test_only_permissive_bases_where_that_is_asked(nano: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_LICENCE", "commercial")
    with pytest.raises(RefusedError, match="terms are unknown"):
        base(str(nano))


def test_a_repository_in_the_cache_of_the_hub_needs_no_connection(
    sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout of huggingface_hub's cache: refs, snapshots, blobs."""
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    top, revision = tmp_path / "cache" / "hub" / "models--someone--tiny", "0123456789abcdef0123456789abcdef01234567"
    (top / "snapshots").mkdir(parents=True)
    (top / "refs").mkdir()
    (top / "refs" / "v1").write_text(revision)
    (top / "snapshots" / revision).symlink_to(sd15, target_is_directory=True)
    assert hub("someone/tiny@v1") == top / "snapshots" / revision
    assert next(base("someone/tiny@v1").pictures("a", 1, steps=1)).shape == (32, 32, 3)
    with pytest.raises(InputError, match="someone/other@v1 cannot be fetched"):
        hub("someone/other@v1")


def test_bases_and_their_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("nano", [Figure("face_found", 0.75)], seed=0, started=0)
    (tmp_path / "results" / "autoencoder.json").write_text('["of another program"]')
    assert run(["bases"]) == 0
    said = capsys.readouterr().out
    assert "face_found 0.75" in said and "autoencoder" in said and "psnr" not in said
    assert run(["bases", "nano", "--words"]) == 0
    said = capsys.readouterr().out
    assert "smiling" in said and "<pad>" not in said and "x0 to x63" in said
    assert run(["bases", "nanoo"]) == 2
