"""Both bases from photos to weights, on a set that the test makes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("datasets")

from visavis.bases.autoencoder import train as coder  # noqa: E402
from visavis.bases.autoencoder.latents import load  # noqa: E402
from visavis.bases.load import read  # noqa: E402
from visavis.blocks.images import to_pixels, to_tensor  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.training import launch  # noqa: E402
from visavis.training.packing import pack  # noqa: E402

QUICK = ["schedule.steps=3", "schedule.batch=2", "schedule.workers=0", "schedule.warmup=1"]


@pytest.fixture
def home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_THREADS", "1")
    return home


def picture_of(faces: Path) -> Any:
    from visavis.training.prepare import column, prepare
    from visavis.training.rows import source

    rows = prepare(source(faces), ["portrait"]).part("train")
    return to_tensor(column("portrait").take(column("portrait").rows(rows.keys[:8])))


def test_from_photos_to_both_bases(faces: Path, home: Path, ship_to: Path) -> None:
    result, folder = launch.start(
        "autoencoder", data=str(faces), settings=[*QUICK, "smooth=0.5", "late=0.7", "groups=4"]
    )
    assert result.finished and 3 < result.figures["psnr"] < 30
    module, _ = load(str(folder / "best.safetensors"))
    assert module.config.norm_num_groups == 4
    assert module.encode(torch.zeros(1, 3, 128, 128)).latent_dist.mean.shape == (1, 8, 16, 16)
    with pytest.raises(InputError, match=r"no best\.safetensors"):
        launch.start("nano", data=str(faces), settings=[*QUICK, f"autoencoder={faces}"])
    settings = [*QUICK, "each=1", f"autoencoder={folder / 'best.safetensors'}"]
    result, made = launch.start("nano", data=str(faces), settings=settings)
    assert result.finished and result.figures["score"] < 0
    assert {"sheet.png", "best.safetensors"} <= {path.name for path in made.iterdir()}
    shipped = launch.ship("autoencoder")
    latents = load(str(shipped))[0].encode(picture_of(faces)).latent_dist.mean
    assert abs(float(latents.mean())) < 0.7 and 0.3 < float(latents.std()) < 3
    assert launch.ship("nano") == ship_to / "nano"
    index = json.loads((ship_to / "index.json").read_text())
    assert {facts["terms"] for facts in index.values()} == {"unknown"} and {
        "autoencoder/config.json",
        "nano/vae/config.json",
    } <= index.keys()
    assert read(ship_to / "nano")("a man", num_inference_steps=2).images[0].size == (128, 128)
    said = (ship_to / "nano" / "README.md").read_text()
    assert "31 million parameters" in said and "smiling" in said and "Terms of the weights: unknown" in said
    again = [*QUICK, "each=1", "rate=0", "weight_decay=0", f"autoencoder={shipped}"]
    again.append(f"start={made / 'best.safetensors'}")
    second, _ = launch.start("nano", data=str(faces), settings=again, run="again")
    before, after = (one.modules["nano"].state_dict() for one in (result, second))
    assert not before["deviation"].eq(1).all() and after["deviation"].eq(1).all()  # each in its autoencoder's units
    assert torch.allclose(before["unet.conv_in.weight"], after["unet.conv_in.weight"], atol=1e-3)
    launch.ship("nano", "again")
    assert load(str(ship_to / "nano" / "vae"))[1] == load(str(shipped))[1]  # what was computed with it still holds
    index = json.loads((ship_to / "index.json").read_text())
    for name, facts in index.items():
        assert hashlib.sha256((ship_to / name).read_bytes()).hexdigest() == facts["sha256"]


def test_a_pack_of_frames_is_enough(faces: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has nothing else, not even weights."""
    said = pack(str(faces), "5MB", tmp_path / "pack.parquet", frames=True)
    (tmp_path / "other").mkdir(mode=0o700)
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "other"))
    data = str(tmp_path / "pack.parquet")
    result, folder = launch.start("autoencoder", data=data, settings=[*QUICK, "perceptual=0", "late=0.7"])
    assert result.finished and int(said.split()[0]) >= 50
    settings = [*QUICK, "each=1", "align=0", f"autoencoder={folder / 'best.safetensors'}"]
    result, _ = launch.start("nano", data=data, settings=settings)
    assert result.finished and result.figures["score"] < 0


def test_a_judge_sees_through_the_autoencoder(faces: Path, teacher: Path, home: Path) -> None:
    _, folder = launch.start("autoencoder", data=str(faces), settings=[*QUICK, "perceptual=0", "critic=0"])
    coder = str(folder / "best.safetensors")
    asked = [*QUICK, f"teachers={teacher}", "views=2", "plain=1"]
    _, first = launch.start("judge", data=str(faces), settings=asked)
    asked += [f"start={first / 'best.safetensors'}", "decoded=1", "frames=20"]
    result, last = launch.start("judge", data=str(faces), settings=[*asked, f"autoencoder={coder}"], run="last")
    assert result.finished and json.loads((last / "run.json").read_text())["config"]["autoencoder_digest"]

    config = launch.configured(launch.recipe("judge"), str(faces), [*asked, f"autoencoder={coder}"])
    learnt, random = launch.recipe("judge").plan(config).batches, np.random.default_rng(0)
    module, _ = load(coder)
    photo = picture_of(faces)[:1]
    with torch.no_grad():
        copied = to_pixels(module.decode(module.encode(photo).latent_dist.mean).sample)[0]
    seen = learnt.portrait(0, random)
    assert np.abs(seen.astype(int) - copied).max() <= 1 and np.abs(seen.astype(int) - to_pixels(photo)[0]).mean() > 5
    other = to_tensor(np.asarray(learnt.stored.array()[learnt.places[30]]))
    assert np.array_equal(learnt.portrait(30, random), to_pixels(other)[0])  # beyond the first 20
    with pytest.raises(InputError, match="goes with decoded"):
        launch.start("judge", data=str(faces), settings=["autoencoder=x"])


def test_squares_of_frames_are_learnt_from(faces: Path, home: Path) -> None:
    images = torch.arange(2 * 128 * 128).view(2, 1, 128, 128)
    cut = coder.squares(images, np.array([[0, 64], [5, 7]]), 64)
    assert (cut[0] == images[0, :, :64, 64:]).all() and (cut[1] == images[1, :, 5:69, 7:71]).all()
    result, _ = launch.start("autoencoder", data=str(faces), settings=[*QUICK, "crop=64", "late=0.7"])
    assert result.finished
    for wrong, said in (("crop=60", "multiple of 8"), ("groups=3", "1, 2, 4, 8 or 16")):
        with pytest.raises(InputError, match=said):
            launch.start("autoencoder", data=str(faces), settings=[wrong])


def test_pixels_outside_the_photo_cost_nothing() -> None:
    torch.manual_seed(0)
    real, made, inside = torch.rand(2, 3, 128, 128), torch.rand(2, 3, 128, 128), torch.ones(2, 1, 128, 128)
    assert float(coder.reconstruction(real, real, inside)) == 0
    inside[..., 64:] = 0
    made[..., :64] = real[..., :64]
    # The border itself counts as the edge of what is known.
    assert float(coder.reconstruction(made, real, inside)) == 0
    assert float(coder.psnr(made, real, inside).min()) > 90
    made[..., :64] = -made[..., :64]
    assert float(coder.reconstruction(made, real, inside)) > 0.5


def test_latents_moved_as_pictures_are() -> None:
    """A picture whose left half is dark, moved: a map eight times smaller, moved, is the same at its scale."""
    torch.manual_seed(0)
    picture = torch.ones(4, 1, 128, 128)
    picture[..., :64] = 0
    affine = coder.placement(4, torch.device("cpu"))
    large, small = coder.seen(picture, affine), coder.seen(torch.nn.functional.avg_pool2d(picture, 8), affine)
    assert float((torch.nn.functional.avg_pool2d(large, 8) - small).abs().mean()) < 0.03
    assert float((large - picture).abs().mean()) > 0.01


def test_a_critic_begins_late(faces: Path, home: Path) -> None:
    config = launch.configured(coder, str(faces), [*QUICK, "schedule.steps=4", "late=0.5", "smooth=0"])
    plan = coder.plan(config)
    torch.manual_seed(0)
    names = [[name for name, _ in plan.step(plan.modules, plan.batches(step, 0, 1))] for step in range(4)]
    assert names == [["autoencoder"], ["autoencoder"], ["autoencoder", "critic"], ["autoencoder", "critic"]]


def test_where_a_frame_leaves_its_photo(faces: Path, home: Path) -> None:
    from visavis.training.prepare import prepare
    from visavis.training.rows import source

    rows = prepare(source(faces), ["portrait"])
    facts = rows.facts[:1].copy()
    assert coder.inside_photo(facts[0]).all() == (facts[0]["padding"] == 0)
    facts["size"][0, 0], facts["padding"] = facts["mesh"][0, :, 0].mean(), 0.5
    inside = coder.inside_photo(facts[0])
    assert inside[:, :40].all() and not inside[:, 90:].any()
    assert 0.3 < inside.mean() < 0.7 and inside.dtype == np.bool_
