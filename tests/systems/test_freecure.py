"""FreeCure on other systems: what it asks of them, what it changes and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

import visavis as vv  # noqa: E402
from visavis.bases.load import base, read  # noqa: E402
from visavis.bases.parts import Parts  # noqa: E402
from visavis.blocks.regions import region  # noqa: E402
from visavis.core import registry  # noqa: E402
from visavis.core.card import Asked, Spec  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.core.ship import ship  # noqa: E402
from visavis.faces.analyse import find_faces  # noqa: E402
from visavis.faces.frame import frame_of  # noqa: E402
from visavis.systems.freecure import use, words  # noqa: E402
from visavis.systems.freecure.card import Options  # noqa: E402
from visavis.systems.freecure.model import Cure  # noqa: E402
from visavis.training.checkpoint import packed  # noqa: E402


def learnt(slug: str, nano: Path, folder: Path) -> Path:
    """A run of a system whose numbers are drawn at random, loud enough to be seen."""
    module = registry.part(slug, "train").build(registry.part(slug, "train").Config(base=str(nano), align=0.0))[slug]
    torch.manual_seed(1)
    for parameter in module.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    facts = {"terms": "permissive", "visual": True, "hears": "identity"}
    path = folder / f"{slug}.safetensors"
    path.write_bytes(packed({slug: module}, {"config": json.dumps(facts)}))
    return path


@pytest.fixture(scope="module")
def photoverse(nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt("photoverse", nano, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def load(nano: Path, photoverse: Path) -> Any:
    """load(OPTION=VALUE, ...): ready on photoverse."""
    return lambda **options: use.load(Spec(str(nano), Options(**options), run=str(photoverse)))


@pytest.fixture
def asked(portraits: dict[str, Path]) -> Any:
    """asked(PROMPT, ...)."""
    person = ((find_faces(portraits["obama"])[0],),)
    return lambda prompt, n=2, **how: Asked(person, prompt, n, **{"steps": 2, **how})


def cure_of(ready: use.Ready, wanted: Asked, seed: int = 5) -> Cure:
    parts: Parts = ready.system.parts(wanted, seed)
    return Cure(parts, slice(0, wanted.n), range(seed, seed + wanted.n), wanted.prompt, wanted.steps)


def drawn(ready: Any, wanted: Asked, seed: int = 5) -> list[Any]:
    return list(ready(wanted, seed, lambda share: None))


def apart(one: Any, other: Any) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_attributes_of_a_prompt() -> None:
    said = "a Smiling woman of 40, looking  left, mouth open, sharp"
    assert words.named(said) == ["smiling", "mouth open", "looking left"]
    assert words.template(said) == "a woman of 40, sharp"
    assert words.with_attributes(said) == "a woman of 40, sharp, smiling, mouth open, looking left"
    assert (words.named("opening"), words.template("smiling")) == ([], "a person")


def test_prompts_that_it_makes_are_known_to_the_base(nano: Path) -> None:
    chosen = base(str(nano))
    for name in words.ATTRIBUTES:
        chosen.check(words.with_attributes(name))


def test_with_nothing_to_cure_it_is_the_other_system(load: Any, asked: Any, home: Path) -> None:
    ready, wanted = load(), asked("old")
    for mine, own in zip(drawn(ready, wanted), drawn(ready.system, wanted), strict=True):
        assert apart(mine.pixels, own.pixels) <= 2 and "names nothing" in mine.notes[0]


def test_self_attention_looks_at_the_foundation_inside_the_mask_alone(load: Any, asked: Any, home: Path) -> None:
    ready = load()
    cure = cure_of(ready, asked("mouth open"))
    plain, foundation = cure.dual()
    own = [one.pixels for one in drawn(ready.system, asked("mouth open"))]
    assert all(apart(a, b) <= 2 for a, b in zip(use._decoded(cure.parts.pipeline.vae, plain), own, strict=True))
    assert not torch.allclose(plain, foundation, atol=1e-2)

    layers, nowhere = cure.layers(0.4), torch.zeros(2, 1, 128, 128)
    assert [name.split(".")[0] for name in layers] == ["up_blocks"] * 4
    nothing = cure.dual(cure.fasa(nowhere, 0.0, "add"), layers)
    assert torch.allclose(nothing[0], plain, atol=1e-4) and torch.allclose(nothing[1], foundation, atol=1e-4)
    first = torch.cat([torch.ones(1, 1, 128, 128), nowhere[:1]])
    for rule in ("add", "multiply"):
        cured, other = cure.dual(cure.fasa(first, 1.5, rule), layers)
        assert torch.allclose(other, foundation, atol=1e-4)  # never changed
        assert not torch.allclose(cured[0], plain[0], atol=1e-3)
        assert rule == "multiply" or torch.allclose(cured[1], plain[1], atol=1e-4)  # each picture has its own mask
    again = cure.dual()[0]
    assert torch.equal(again, plain)  # the base's processors are back


def test_one_side_of_guidance_is_cured_too(load: Any, asked: Any, home: Path) -> None:
    cure = cure_of(load(), asked("mouth open", 1, guidance=1.0))
    plain, _ = cure.dual()
    cured, _ = cure.dual(cure.fasa(torch.ones(1, 1, 128, 128), 1.5, "add"), cure.layers(0.4))
    assert not torch.allclose(cured, plain, atol=1e-3)


@torch.no_grad()
def test_the_foundation_is_the_base_where_nothing_of_the_text_was_tuned(
    load: Any, asked: Any, home: Path, nano: Path
) -> None:
    wanted = asked("mouth open")
    _, foundation = cure_of(load(told="alpha=0,m=2"), wanted).dual()
    pipeline: Any = read(nano)
    pictures = base(str(nano)).pictures("mouth open", 2, seed=5, steps=2, guidance=wanted.guidance)
    made = use._decoded(pipeline.vae, foundation)
    assert all(apart(a, b) <= 2 for a, b in zip(made, pictures, strict=True))


def test_asymmetric_prompts_change_what_was_asked_for_alone(load: Any, asked: Any, home: Path) -> None:
    cure = cure_of(load(), asked("grey", 1, guidance=1.0, steps=6))
    plain, _ = cure.dual()
    same = cure.apg(plain, "a person", "a person", 0.5)
    other = cure.apg(plain, "a person", "a person, grey", 0.5)
    assert float((same - plain).abs().mean()) < 0.05 * float(plain.abs().mean())
    assert not torch.allclose(other, same, atol=1e-3)


def test_stages(load: Any, asked: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "_mask", lambda picture, places: np.ones(picture.shape[:2], np.bool_))
    calls: list[str] = []
    dual, apg = Cure.dual, Cure.apg
    monkeypatch.setattr(
        Cure, "dual", lambda self, *a, **k: (calls.append("fasa" if a else "dual"), dual(self, *a, **k))[1]
    )
    monkeypatch.setattr(Cure, "apg", lambda self, *a, **k: (calls.append("apg"), apg(self, *a, **k))[1])
    ready = load()
    for prompt, stages, gamma, wanted in (
        ("smiling", "both", 0.5, ["dual", "fasa", "apg"]),
        ("mouth open", "both", 0.5, ["dual", "fasa"]),
        ("mouth open", "apg", 0.5, ["dual", "apg"]),
        ("grey", "both", 0.5, ["dual", "apg"]),
        ("smiling", "fasa", 0.5, ["dual", "fasa"]),
        ("smiling", "both", 0.0, ["dual", "fasa"]),
    ):
        calls.clear()
        shares: list[float] = []
        ready.options = Options(stages=stages, gamma=gamma)  # type: ignore[arg-type]
        (made,) = ready(asked(prompt, 1), 5, shares.append)
        assert calls == wanted and made.notes == ()
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_masks_are_where_the_named_parts_are(portraits: dict[str, Path]) -> None:
    frame = frame_of(find_faces(portraits["obama"])[0])
    lips, eyes = use._mask(frame.pixels, {"lips"}), use._mask(frame.pixels, {"eyes"})
    assert (use._mask(frame.pixels, {"lips", "eyes"}) == (lips | eyes)).all() and not (lips & eyes).any()
    assert lips[72:].sum() > 0.9 * lips.sum() and eyes[20:55].sum() > 0.9 * eyes.sum()
    assert (region(frame.mesh, ["lips"]) & lips).sum() > 0.9 * region(frame.mesh, ["lips"]).sum()
    assert not use._mask(np.zeros((128, 128, 3), np.uint8), {"lips"}).any()


def test_on_instantid_the_points_stay(nano: Path, asked: Any, home: Path, tmp_path: Path) -> None:
    ready = use.load(
        Spec(str(nano), Options(on="instantid", told="points=reference"), run=str(learnt("instantid", nano, tmp_path)))
    )
    wanted = asked("mouth open, grey", 1)
    with_, without = (
        ready.system.parts(wanted, 5).told(slice(0, 1), "grey", identity)[1] for identity in (True, False)
    )
    assert torch.equal(with_["points"], without["points"]) and torch.equal(with_["text"], without["text"])
    assert not torch.allclose(with_["tokens"], without["tokens"])
    (made,) = drawn(ready, wanted)
    (own,) = drawn(ready.system, wanted)
    assert made.pixels.shape == own.pixels.shape and apart(made.pixels, own.pixels) > 2


def test_from_a_photo_to_a_portrait(
    photoverse: Path, nano: Path, home: Path, own_weights: Path, portraits: dict[str, Path]
) -> None:
    from safetensors.numpy import load_file

    arrays = {key.removeprefix("photoverse."): value for key, value in load_file(photoverse).items()}
    ship("photoverse", arrays, terms="permissive", trained_on="nothing", command="none")
    how: dict[str, Any] = {"system": "freecure", "base": str(nano), "steps": 2}
    first, second = vv.create.portrait(portraits["obama"], "mouth open", n=2, seed=5, **how)
    (again,) = vv.create.portrait(portraits["obama"], "mouth open", n=1, seed=6, **how)
    assert apart(second.pixels, again.pixels) <= 2  # follows from its seed alone
    assert first.notes == (use.FACELESS,) and first.facts["options"]["on"] == "photoverse"
    assert "photoverse" in first.facts["weights"]
    for wrong, said in (
        ({"on": "freecure"}, "cannot cure freecure"),
        ({"on": "photovers"}, "photoverse"),
        ({"told": "m=9"}, "--m is a number from 1 to 4"),
        ({"told": "strength=1"}, "strength"),
        ({"omega": 5.0}, "--omega"),
        ({"prompt": "a dragon"}, "dragon"),
        ({"beside": [portraits["biden"]]}, "one person"),
    ):
        with pytest.raises(InputError, match=said):
            vv.create.portrait(portraits["obama"], n=1, **how | wrong)


def test_a_system_that_tunes_its_base_has_nothing_to_ask(nano: Path, tmp_path: Path) -> None:
    run = str(learnt("arc2face", nano, tmp_path))
    with pytest.raises(InputError, match="cannot cure arc2face"):
        use.load(Spec(str(nano), Options(on="arc2face"), run=run))
