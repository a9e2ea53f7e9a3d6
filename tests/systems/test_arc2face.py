"""Arc2Face: trained, shipped and used on a tiny set; the authors' layout; what cannot be done is said."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.systems.conftest import QUICK  # noqa: E402

import visavis as vv  # noqa: E402
from visavis.bases.load import read  # noqa: E402
from visavis.blocks.identity.drawn import Crowd  # noqa: E402
from visavis.core.card import Invented, Spec  # noqa: E402
from visavis.core.errors import InputError, RefusedError  # noqa: E402
from visavis.core.ship import ship  # noqa: E402
from visavis.core.tasks import CreatePortrait  # noqa: E402
from visavis.run.runner import portraits as portraits_of  # noqa: E402
from visavis.systems.arc2face import use  # noqa: E402
from visavis.systems.arc2face.card import Options  # noqa: E402
from visavis.systems.arc2face.fewbits import add_differences, differences  # noqa: E402
from visavis.systems.arc2face.model import Arc2Face  # noqa: E402
from visavis.training import launch  # noqa: E402


def test_from_photos_to_portraits(
    faces: Path,
    nano: Path,
    home: Path,
    own_weights: Path,
    portraits: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError, match="arc2face lacks its weights"):
        vv.create.portrait(portraits["obama"], system="arc2face", base=str(nano))
    settings = [f"base={nano}", *QUICK]
    result, folder = launch.start("arc2face", data=str(faces), settings=settings)
    assert result.finished and -1 <= result.figures["likeness_a"] <= 1
    shipped = launch.ship("arc2face")
    assert shipped.stat().st_size < 16e6
    assert re.search(r"likeness_a: \S+ as trained, \S+ as it ships", capsys.readouterr().err)
    both = [use.load(Spec(str(nano), Options(), run=run)).module for run in ("", str(folder / "best.safetensors"))]
    vectors = torch.randn(3, 128)
    with torch.no_grad():
        shipped, trained = (module.conditions(vectors) for module in both)
        assert (shipped - trained).std() < 0.02 * trained.std()
    for name, align in (("deaf", "align=0"), ("heard", "align=1")):  # what only the training needs may be new, or gone
        begun = [*settings, f"start={folder / 'best.safetensors'}", align]
        result, folder = launch.start("arc2face", data=str(faces), settings=begun, run=name)
        assert result.finished

    options = {"system": "arc2face", "base": str(nano), "steps": 2}
    first, second = vv.create.portrait(portraits["obama"], n=2, seed=5, **options)
    (again,) = vv.create.portrait(portraits["obama"], n=1, seed=6, **options)
    assert np.abs(second.pixels.astype(int) - again.pixels).max() <= 2  # follows from its seed alone
    assert (first.pixels != second.pixels).any() and first.pixels.shape == (128, 128, 3)
    assert first.facts["terms"] == "unknown" and first.facts["weights"].keys() == {"arc2face", "arc2face_people"}
    assert {facts["terms"] for facts in first.facts["weights"].values()} == {"unknown"}
    (deaf,) = vv.create.portrait(portraits["obama"], "smiling", n=1, seed=5, **options)
    assert deaf.notes == ("arc2face hears no words; instantid does",)
    assert np.abs(deaf.pixels.astype(int) - first.pixels).max() <= 2
    (other,) = vv.create.portrait(portraits["biden"], n=1, seed=5, **options)
    assert (other.pixels != first.pixels).any()
    (note,) = portraits_of(CreatePortrait(portraits["obama"], "", system="arc2face", base=str(nano))).notes
    assert note.startswith("arc2face learnt on nano")  # and here stands on another base
    with pytest.raises(InputError, match="one person"):
        vv.create.portrait(portraits["obama"], beside=[portraits["biden"]], n=1, **options)

    # All photos are of one man.
    with pytest.raises(InputError, match="makes up nobody of seed 0: all of 20 draws were too near"):
        vv.create.identity(1, 1, base=str(nano), steps=2)
    crowds = np.random.default_rng(0).standard_normal((2, 200, 128)).astype(np.float32)
    told = {"terms": "unknown", "trained_on": "noise", "command": "none"}
    ship("arc2face_people", Crowd.of(*crowds).arrays(), **told)
    with pytest.raises(InputError, match="makes up nobody of seed 16384: the last of its people has the seed 16383"):
        vv.create.identity(2, 1, base=str(nano), steps=2, seed=16383)
    made, second = vv.create.identity(2, 2, seed=3, base=str(nano), steps=2)
    (again,) = vv.create.identity(1, 2, seed=4, base=str(nano), steps=2)
    assert (made.seed, second.seed) == (3, 4) and len(second.pictures) == 2
    for one, other in zip(second.pictures, again.pictures, strict=True):  # a person follows from their seed alone
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 2
    assert (made.pictures[0].pixels != second.pictures[0].pixels).any()
    record = second.pictures[1].facts
    assert record["task"] == "create.identity" and record["seed"] == 4 and record["photo"] == 1
    with pytest.raises(InputError, match="weights that ship only"):
        use.load(Spec(str(nano), Options(), run=str(folder / "best.safetensors"))).check(Invented(1, 1))


def test_only_the_word_hears_the_person_and_the_gradient_reaches_it(nano: Path) -> None:
    pipeline = read(nano)
    module = Arc2Face(pipeline.text_encoder, pipeline.unet, pipeline.tokenizer)
    vectors = torch.nn.functional.normalize(torch.randn(2, 128), dim=1).requires_grad_()
    said = module.conditions(vectors)
    assert said.shape == (2, 7, 256)  # no place is padding
    assert torch.allclose(module.conditions(11 * vectors), said, atol=1e-5)  # a vector says who by its direction
    padded = Arc2Face(pipeline.text_encoder, pipeline.unet, pipeline.tokenizer, padded=True)
    assert padded.conditions(vectors).shape == (2, 32, 256)
    assert torch.allclose(padded.conditions(vectors)[:, :7], said, atol=1e-5)
    place = int((module.sentence[0] == module.placeholder).nonzero())
    assert torch.allclose(said[0, :place], said[1, :place]) and not torch.allclose(said[0, place], said[1, place])
    said[..., 0].sum().backward()  # a layer's norm leaves nothing of the sum over all
    assert (vectors.grad.norm(dim=1) > 1e-4).all()
    noisy, level, dropped = torch.randn(2, 8, 16, 16), torch.tensor([0.3, 0.6]), torch.tensor([True, True])
    with torch.no_grad():
        nobody = [module(noisy, level, v, dropped) for v in (vectors, -vectors)]
    assert torch.equal(*nobody)


@pytest.mark.parametrize(("bits", "left"), [(8, 0.01), (4, 0.15)])
def test_differences_in_few_bits_give_the_tuned_network_back(bits: int, left: float) -> None:
    torch.manual_seed(0)
    tuned, base = (torch.nn.Sequential(torch.nn.Conv2d(63, 127, 3), torch.nn.Linear(256, 256)) for _ in range(2))
    before = base[0].weight.clone()
    tuned.load_state_dict(base.state_dict())
    with torch.no_grad():
        tuned[0].weight += torch.randn_like(before) * 0.01
        tuned[1].weight += torch.randn(256, 256) * 3
        tuned[1].bias += 1
    stored = differences(base.state_dict(), tuned.state_dict(), bits)
    size = sum(value.nbytes for value in stored.values())
    assert size < 1.08 * bits / 8 * sum(value.numel() for value in base.state_dict().values())
    add_differences(base, stored)
    assert torch.allclose(base[1].bias, tuned[1].bias, atol=1e-3)
    for layer, spread in ((0, 0.01), (1, 3)):
        assert (base[layer].weight - tuned[layer].weight).std() < left * spread
    assert not torch.equal(base[0].weight, before)
    with pytest.raises(RuntimeError, match="in place of"):
        add_differences(torch.nn.Sequential(torch.nn.Conv2d(64, 128, 3), torch.nn.Linear(256, 256)), stored)
    with pytest.raises(KeyError):
        add_differences(torch.nn.Conv2d(64, 128, 3), {"other": torch.zeros(1)})


@pytest.fixture
def authors(sd15: Path, tmp_path: Path) -> Path:
    """The authors' layout at a tiny width, beside the SD 1.5 folder: the text encoder as a pickle of tensors."""
    top = tmp_path / "authors"
    shutil.copytree(sd15 / "unet", top / "arc2face")
    pipeline = read(sd15)
    pipeline.text_encoder.config.save_pretrained(top / "encoder")
    torch.save(pipeline.text_encoder.state_dict(), top / "encoder" / "pytorch_model.bin")
    return top


def test_the_authors_layout_is_read(
    authors: Path, sd15: Path, home: Path, recogniser: Callable[[int], Path], portraits: dict[str, Path]
) -> None:
    options = {"system": "arc2face", "base": str(sd15), "published": str(authors), "steps": 2, "n": 1}
    (made,) = vv.create.portrait(portraits["obama"], **options, recogniser=str(recogniser(24)))
    (other,) = vv.create.portrait(portraits["biden"], **options, recogniser=str(recogniser(24)))
    assert made.facts["terms"] == "unknown" and not made.facts["weights"] and (made.pixels != other.pixels).any()
    with pytest.raises(InputError, match="name its ONNX file by --recogniser"):
        vv.create.portrait(portraits["obama"], **options)


def test_a_folder_that_is_none_is_told_what_it_lacks(
    authors: Path, sd15: Path, nano: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(recogniser="named.onnx")
    spec = Spec(str(sd15), options, str(authors))
    with pytest.raises(InputError, match="other latents"):
        use.load(Spec(str(nano), options, str(authors)))
    monkeypatch.setenv("VISAVIS_LICENCE", "commercial")
    with pytest.raises(RefusedError):
        use.load(spec)
    monkeypatch.delenv("VISAVIS_LICENCE")
    state = torch.load(authors / "encoder" / "pytorch_model.bin")
    gone = next(key for key in state if "fc1.weight" in key)
    torch.save({key: value for key, value in state.items() if key != gone}, authors / "encoder" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"encoder lacks the weights \S*fc1\.weight"):
        use.load(spec)
    torch.save({"a": use.Ready}, authors / "encoder" / "pytorch_model.bin")  # more than tensors
    with pytest.raises(InputError, match="cannot be read"):
        use.load(spec)
    (authors / "encoder" / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=r"encoder lacks config\.json or pytorch_model\.bin"):
        use.load(spec)
