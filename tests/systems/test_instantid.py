"""InstantID: trained, shipped and used on a tiny set; the authors' layout on foreign bases; scale 0 is the base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402
from tests.systems.conftest import QUICK  # noqa: E402

import visavis as vv  # noqa: E402
from visavis.bases.load import read  # noqa: E402
from visavis.bases.nano import teach  # noqa: E402
from visavis.core.card import Asked, Spec  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.faces.analyse import find_faces  # noqa: E402
from visavis.faces.frame import frame_of, points_in  # noqa: E402
from visavis.systems.instantid import published, train, use  # noqa: E402
from visavis.systems.instantid.card import Options  # noqa: E402
from visavis.systems.instantid.model import InstantID  # noqa: E402
from visavis.training import launch  # noqa: E402


def test_from_photos_to_portraits(
    faces: Path, nano: Path, home: Path, own_weights: Path, portraits: dict[str, Path]
) -> None:
    settings = [f"base={nano}", *QUICK]
    result, folder = launch.start("instantid", data=str(faces), settings=settings)
    assert result.finished
    shipped = launch.ship("instantid")
    assert max(path.stat().st_size for path in shipped.rglob("*.safetensors")) < 16e6
    assert sum(path.stat().st_size for path in shipped.rglob("*.safetensors")) < 40e6

    options = {"system": "instantid", "base": str(nano), "steps": 2}
    first, second = vv.create.portrait(portraits["obama"], "smiling", n=2, seed=5, points="reference", **options)
    (again,) = vv.create.portrait(portraits["obama"], "smiling", n=1, seed=6, points="reference", **options)
    assert np.abs(second.pixels.astype(int) - again.pixels).max() <= 2
    (other,) = vv.create.portrait(portraits["obama"], "old", n=1, seed=5, points="reference", **options)
    assert (first.pixels != other.pixels).any()  # words are heard
    assert first.facts["options"]["points"] == "reference" and len(first.facts["weights"]) >= 3
    (blind,) = vv.create.portrait(portraits["obama"], n=1, seed=5, **options)
    assert blind.notes == ("the prompt alone gave no face: points of a frontal one",)
    ready = use.load(Spec(str(nano), Options(), run=str(folder / "best.safetensors")))
    for name in ("obama", "biden"):
        told = Asked(((find_faces(portraits[name])[0],),), "smiling", 1, steps=2)
        assert len(list(ready(told, 5, lambda share: None))) == 1
    assert ready._of_prompt.cache_info().hits == 1  # the prompt's own points are looked for once
    own = ready.module.state_dict()
    again = read(nano)
    module = published.load(shipped, again.unet, again.text_encoder)
    assert all(torch.allclose(value, own[key], atol=2e-3) for key, value in module.state_dict().items())
    with pytest.raises(InputError, match="dragon"):
        vv.create.portrait(portraits["obama"], "a dragon", n=1, **options)


def test_nothing_of_the_base_is_learnt_or_kept(nano: Path) -> None:
    pipeline = read(nano)
    before = {key: value.clone() for key, value in pipeline.unet.state_dict().items()}
    module = teach.aligning(train.CONFIG, InstantID(pipeline.unet, pipeline.text_encoder))
    assert not any("unet" in key or "text" in key for key in module.state_dict())
    batch = train.made_up(train.Config(schedule=train.Schedule(steps=1, batch=2)))
    next(iter(train.Step(train.CONFIG)({"instantid": module}, batch)))[1].backward()
    silent = [name for name, value in module.named_parameters() if value.grad is None]
    assert not silent and all(value.grad is None for value in pipeline.unet.parameters())
    assert all(torch.equal(value, before[key]) for key, value in pipeline.unet.state_dict().items())


def test_at_scale_0_it_is_the_base(nano: Path) -> None:
    pipeline = read(nano)
    torch.manual_seed(0)
    noisy, time, text = torch.randn(2, 8, 16, 16), torch.tensor([300.0, 700.0]), torch.randn(2, 32, 256)
    with torch.no_grad():
        plain = pipeline.unet(noisy, time, text, return_dict=False)[0]
        module = InstantID(pipeline.unet, pipeline.text_encoder).eval()
        tokens, points = module.tokens(torch.randn(2, 128)), torch.rand(2, 3, 128, 128)
        for layer in module.identity_net.network.controlnet_down_blocks:
            torch.nn.init.normal_(layer.weight, std=0.1)
        loud = module(noisy, time, text, tokens, points)
        module.adapter.scale = module.identity_net_scale = 0.0
        silent = module(noisy, time, text, tokens, points)
    assert torch.equal(silent, plain) and not torch.allclose(loud, plain)


def test_untrained_it_leaves_the_base_as_it_was(nano: Path) -> None:
    """At full scale, so that the first steps need not unlearn noise."""
    pipeline = read(nano)
    noisy, time, text = torch.randn(2, 8, 16, 16), torch.tensor([300.0, 700.0]), torch.randn(2, 7, 256)
    with torch.no_grad():
        before = pipeline.unet(noisy, time, text, return_dict=False)[0]
        module = InstantID(pipeline.unet, pipeline.text_encoder).eval()
        after = module(noisy, time, text, module.tokens(torch.randn(2, 128)), torch.rand(2, 3, 128, 128))
    assert torch.allclose(before, after, atol=1e-5)


def test_points_follow_the_face_and_its_mirror_image(portraits: dict[str, Path]) -> None:
    frame = frame_of(find_faces(portraits["obama"])[0])
    found, turned = points_in(frame.pixels), points_in(frame.pixels[:, ::-1])
    assert found is not None and turned is not None
    assert np.abs(train._mirrored(found) - turned).max() < 3
    picture = use.drawn(found[None])
    assert picture.shape == (1, 3, 128, 128) and 0.005 < float((picture > 0).float().mean()) < 0.1


@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_the_authors_layout_is_read(
    kind: str,
    sd15: Path,
    home: Path,
    tmp_path: Path,
    recogniser: Callable[[int], Path],
    portraits: dict[str, Path],
) -> None:
    pipeline, top = read(sd15), tmp_path / "authors"
    torch.manual_seed(0)
    module = InstantID(pipeline.unet, pipeline.text_encoder, length=24, tokens=3, dim=32, depth=2, heads=1)
    published.write(module, top)
    if kind == "bin":  # as the authors' own file is
        state = published._adapter(top)
        parts = {
            p: {k.removeprefix(f"{p}."): v for k, v in state.items() if k.startswith(f"{p}.")}
            for p in ("image_proj", "ip_adapter")
        }
        torch.save(parts, top / "ip-adapter.bin")
        (top / "ip-adapter.safetensors").unlink()
    options = {"system": "instantid", "base": str(sd15), "published": str(top), "steps": 2, "n": 1}
    (made,) = vv.create.portrait(
        portraits["obama"], "a b", recogniser=str(recogniser(24)), points="reference", **options
    )
    assert made.facts["terms"] == "unknown" and made.facts["published"]
    with pytest.raises(InputError, match="--recogniser"):
        vv.create.portrait(portraits["obama"], **options)
    with pytest.raises(InputError, match="does not give the 24 numbers of a face"):
        vv.create.portrait(portraits["obama"], recogniser=str(recogniser(23)), **options)
    del options["published"]
    with pytest.raises(InputError, match="--recogniser goes with --published"):
        vv.create.portrait(portraits["obama"], recogniser=str(recogniser(24)), **options)


def test_a_folder_that_is_none_is_told_what_it_lacks(sd15: Path, nano: Path, tmp_path: Path) -> None:
    pipeline, top = read(sd15), tmp_path / "authors"
    parts = pipeline.unet, pipeline.text_encoder
    with pytest.raises(InputError, match=r"lacks ControlNetModel/config\.json"):
        published.load(tmp_path, *parts)
    published.write(InstantID(*parts, length=24, tokens=3, dim=32, depth=2, heads=1), top)
    other = read(nano)
    with pytest.raises(InputError, match="does not fit this base"):
        published.load(top, other.unet, other.text_encoder)
    path = top / "ControlNetModel" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    save_file({key: value for key, value in state.items() if key != "conv_in.weight"}, path)
    with pytest.raises(InputError, match=r"ControlNetModel lacks the weights conv_in\.weight"):
        published.load(top, (fresh := read(sd15)).unet, fresh.text_encoder)
    save_file(state, path)
    (top / "ip-adapter.safetensors").write_text("version https://git-lfs.github.com/spec/v1")  # fetched it is not
    with pytest.raises(InputError, match="is no safetensors file"):
        published.load(top, *parts)
    (top / "ip-adapter.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks ip-adapter\.safetensors"):
        published.load(top, *parts)
    torch.save({"image_proj": use.Ready}, top / "ip-adapter.bin")  # more than tensors
    with pytest.raises(InputError, match="no file of tensors"):
        published.load(top, *parts)
