"""PhotoVerse: trained, shipped and used on a tiny set; what each branch does; switched off it is the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

import visavis as vv  # noqa: E402
from visavis.bases.load import read  # noqa: E402
from visavis.bases.nano import teach  # noqa: E402
from visavis.blocks.regions import region  # noqa: E402
from visavis.core.card import Spec  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.faces import align  # noqa: E402
from visavis.faces.analyse import find_faces  # noqa: E402
from visavis.faces.embed import CHIP, embed_chips  # noqa: E402
from visavis.faces.frame import frame_of  # noqa: E402
from visavis.systems.photoverse import train, use  # noqa: E402
from visavis.systems.photoverse.card import Options  # noqa: E402
from visavis.systems.photoverse.model import PhotoVerse, tokens  # noqa: E402
from visavis.training import launch  # noqa: E402


def test_from_photos_to_portraits(
    faces: Path, nano: Path, home: Path, own_weights: Path, portraits: dict[str, Path]
) -> None:
    settings = [f"base={nano}", "schedule.steps=2", "schedule.batch=4", "schedule.warmup=0", "schedule.workers=0"]
    result, folder = launch.start("photoverse", data=str(faces), settings=settings)
    assert result.finished
    assert launch.ship("photoverse").stat().st_size < 16e6

    options: dict[str, Any] = {"system": "photoverse", "base": str(nano), "steps": 2}
    first, second = vv.create.portrait(portraits["obama"], "smiling", n=2, seed=5, **options)
    (again,) = vv.create.portrait(portraits["obama"], "smiling", n=1, seed=6, **options)
    assert np.abs(second.pixels.astype(int) - again.pixels).max() <= 2  # follows from its seed alone
    assert first.facts["terms"] == "unknown" and "photoverse" in first.facts["weights"]
    for other in (
        vv.create.portrait(portraits["obama"], "old", n=1, seed=5, **options),
        vv.create.portrait(portraits["biden"], "smiling", n=1, seed=5, **options),
        vv.create.portrait(portraits["obama"], "smiling", n=1, seed=5, sigma=0.0, **options),
        vv.create.portrait(portraits["obama"], "smiling", n=1, seed=5, m=1, **options),
    ):
        assert (first.pixels != other[0].pixels).any()
    own = use.load(Spec(str(nano), Options(), run=str(folder / "best.safetensors"))).module.state_dict()
    shipped = use.load(Spec(str(nano), Options())).module.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in shipped.items())

    for wrong, said in (
        ({"prompt": "a dragon"}, "dragon"),
        ({"prompt": "x0, old, x0"}, "x0"),
        ({"beside": [portraits["biden"]]}, "one person"),
        ({"published": str(nano)}, "published no weights"),
        ({"m": 5}, "--m is a number from 1 to 4"),
    ):
        with pytest.raises(InputError, match=said):
            vv.create.portrait(portraits["obama"], n=1, **options | wrong)


@pytest.fixture
def module(nano: Path) -> PhotoVerse:
    """With numbers in what starts as zero."""
    torch.manual_seed(0)
    made = PhotoVerse(read(nano))
    for name, parameter in made.lora.named_parameters():
        if name.endswith("1.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def given(module: PhotoVerse, seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    words, seen = module.read(torch.rand(2, 3, 128, 128) * 2 - 1)
    return {"noisy": torch.randn(2, 8, 16, 16), "timestep": torch.tensor([300.0, 700.0])} | {
        "words": words,
        "tokens": seen,
    }


def test_switched_off_it_is_the_base(nano: Path) -> None:
    pipeline = read(nano)
    noisy, time = torch.randn(2, 8, 16, 16), torch.tensor([300.0, 700.0])
    ids = tokens(pipeline.tokenizer, ["a smiling person", ""])
    with torch.no_grad():
        text = pipeline.text_encoder(ids)[0]
        plain = pipeline.unet(noisy, time, text, return_dict=False)[0]
        module = PhotoVerse(pipeline).eval()
        for parameter in module.lora.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        seen = torch.randn(2, 4, 256)
        said = tokens(pipeline.tokenizer, ["a smiling x0", ""])
        assert torch.equal(module.without_identity(said), text)
        loud = module(noisy, time, text, seen)
        module.scale(1.0, 0.0, 1.0)
        without_image = module(noisy, time, text, seen)
        module.scale(1.0, 0.0, 0.0)
        silent = module(noisy, time, text, seen)
        module.scale(1.0, 1.0, 0.0)
        nobody = module(noisy, time, text, torch.zeros_like(seen))
    assert torch.equal(silent, plain) and torch.allclose(nobody, plain, atol=1e-4)
    assert not torch.allclose(loud, without_image, atol=1e-3)
    assert not torch.allclose(without_image, plain, atol=1e-3)


def test_every_part_learns_and_nothing_of_the_base(nano: Path, home: Path) -> None:
    pipeline = read(nano)
    before = {key: value.clone() for key, value in pipeline.unet.state_dict().items()}
    config = train.Config(dropped=0.0, below=1.0, schedule=train.Schedule(steps=1, batch=4))
    module: Any = teach.aligning(config, PhotoVerse(pipeline))
    module.eval()  # in training a branch may be left out of a small batch by chance
    assert not any(name in key for key in module.state_dict() for name in ("unet", "tower", "vae", "base_layer"))
    (_, total), *parts = train.Step(config)({"photoverse": module}, train.made_up(config))
    figures = {name: float(value) for name, value in parts}
    assert figures.keys() == {"diffusion", "align", "face", "words", "values"} and all(v > 0 for v in figures.values())
    total.backward()
    assert not [name for name, value in module.named_parameters() if value.grad is None]
    # A stands beside B, which starts as zero.
    silent = [name for name, value in module.named_parameters() if not value.grad.any()]
    assert all(name.startswith("lora.") and name.endswith(".0.weight") for name in silent)
    for part in (module.text, module.vae, module.tower):
        assert all(value.grad is None for value in part.parameters())
    kept = pipeline.unet.state_dict()
    changed = [key for key, value in before.items() if not torch.equal(kept.get(key, kept.get(_wrapped(key))), value)]
    assert not changed


def _wrapped(key: str) -> str:
    layer, _, kind = key.rpartition(".")
    return f"{layer}.base_layer.{kind}"


def test_the_face_loss_reaches_the_adapters_alone(nano: Path, home: Path) -> None:
    weights = {"face": 1.0, "words": 0.0, "values": 0.0, "dropped": 0.0, "below": 1.0, "align": 0.0}
    config = train.Config(**weights, schedule=train.Schedule(steps=1, batch=4))
    module, batch = PhotoVerse(read(nano)).eval(), train.made_up(config)
    (_, total), *parts = train.Step(config)({"photoverse": module}, batch | {"inside": torch.zeros(4, 1, 16, 16)})
    assert dict(parts)["diffusion"] == 0 < total
    total.backward()
    assert all(value.grad.abs().sum() > 0 for value in module.image_adapter.parameters())
    dropped = train.Config(**weights | {"dropped": 1.0}, schedule=config.schedule)
    assert dict(train.Step(dropped)({"photoverse": module}, batch))["face"] == 0  # nobody is said: nobody to be like


@torch.no_grad()
def test_branches_are_mixed_in_training_only_and_never_for_nobody(module: PhotoVerse) -> None:
    made = given(module)
    text = module.said(module.empty.expand(2, -1), made["words"])

    def call(seen: Any) -> Any:
        return module(made["noisy"], made["timestep"], text, seen)

    assert torch.equal(call(made["tokens"]), call(made["tokens"]))
    module.train()
    assert not torch.allclose(call(made["tokens"]), call(made["tokens"]), atol=1e-4)
    nobody = torch.zeros_like(made["tokens"])
    trained = call(nobody)
    assert torch.allclose(trained, module.eval()(made["noisy"], made["timestep"], text, nobody), atol=1e-4)


@torch.no_grad()
def test_pseudo_words_take_the_person_s_place_and_move_later_words(module: PhotoVerse, nano: Path) -> None:
    tokenizer, kept = read(nano).tokenizer, list[Any]()
    module.text.register_forward_pre_hook(lambda _, call: kept.append(call[0]))
    words = given(module)["words"][:1]
    for prompt, m in (("a smiling x0, grey", 4), ("a smiling x0, grey", 1), ("smiling", 2), ("smiling " * 40, 4)):
        module.said(tokens(tokenizer, [prompt]), words[:, -m:])
    said = [
        tokenizer.convert_ids_to_tokens([i for i in ids[0].tolist() if i != tokenizer.pad_token_id]) for ids in kept
    ]
    assert said[0] == ["<start>", "a", "smiling", *["x0"] * 4, ",", "grey", "<end>"]
    assert said[1] == ["<start>", "a", "smiling", "x0", ",", "grey", "<end>"]
    assert said[2] == ["<start>", "photo", "of", "x0", "x0", ",", "smiling", "<end>"]
    assert len(said[3]) == 32 and said[3][-1] == "<end>" and said[3].count("x0") == 4
    both = [module.said(tokens(tokenizer, ["a smiling x0, grey"]), value) for value in (words, -words)]
    same = (both[0] - both[1]).abs().amax(-1)[0] < 1e-5
    assert same[:3].all() and not same[3:9].any()


def test_without_the_visual_branch_there_are_words_alone(nano: Path, home: Path) -> None:
    config = train.Config(base=str(nano), visual=False, schedule=train.Schedule(steps=1, batch=2))
    module: Any = train.build(config)["photoverse"]
    assert {key.split(".")[0] for key in module.state_dict()} == {"aligner", "apart", "stages", "text_adapter", "lora"}
    batch = train.made_up(config)
    (_, total), *_ = train.Step(config)({"photoverse": module.train()}, batch)
    total.backward()
    assert all(value.grad is not None for value in module.parameters())
    with torch.no_grad():
        words, seen = module.read(batch["reference"])
        loud, silent = (module(batch["latents"], torch.tensor(500.0), words, s) for s in (seen + 1, seen))
    assert not seen.any() and torch.equal(loud, silent)
    with pytest.raises(InputError, match="does not ship"):
        train.ship(config, nano, "unknown")


def test_the_reference_is_the_face_alone(portraits: dict[str, Path]) -> None:
    frame = frame_of(find_faces(portraits["obama"])[0])
    inside = region(frame.mesh, ["face"])
    assert 0.35 < inside.mean() < 0.8 and inside[60:70, 60:70].all() and not inside[[0, -1]].any()
    shown = use.masked(frame.pixels, frame.mesh)
    assert (shown[~inside] == 0).all() and (shown[inside] == frame.pixels[inside]).all()


def test_the_chip_of_a_mirrored_view_shows_the_same_person(portraits: dict[str, Path]) -> None:
    frame = frame_of(find_faces(portraits["obama"])[0])
    to_chip = align.between(frame.mesh, "portrait", "dlib")
    mesh_in_frame = align.to_template(frame.mesh, "dlib")
    assert np.allclose(to_chip, mesh_in_frame, atol=1.5)
    turned = align.mirrored(to_chip, "portrait", "dlib")
    chips = [
        align.warp(view, affine, CHIP) for view, affine in ((frame.pixels, to_chip), (frame.pixels[:, ::-1], turned))
    ]
    assert np.abs(chips[0].astype(int) - chips[1][:, ::-1])[8:-8, 8:-8].mean() < 2
    vectors = embed_chips(np.stack(chips))
    assert float(vectors[0] @ vectors[1]) > 0.99


def test_a_base_without_the_free_word_is_refused(sd15: Path) -> None:
    with pytest.raises(InputError, match="x0"):
        PhotoVerse(read(sd15))


def test_what_all_faces_share_is_left_out_of_what_is_read(nano: Path) -> None:
    """A's maps are ReLU's: raw, what tells two faces apart is a fiftieth of them."""
    module = PhotoVerse(read(nano)).eval()
    faces = torch.rand(12, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def apart() -> float:
        with torch.no_grad():
            _, tokens = module.read(faces)
        return float(tokens.var(0).sum() / tokens.square().mean(0).sum())

    before = apart()
    module.fit([faces[:6], faces[6:]])
    assert apart() > 4 * before
    again = PhotoVerse(read(nano))
    again.load_state_dict(module.state_dict())
    assert torch.equal(again.apart["stage4"].mean, module.apart["stage4"].mean)
