"""A loss of likeness after the papers' own training: part of the loss, of those who are said, from whole meshes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from visavis.core.errors import InputError  # noqa: E402
from visavis.systems.arc2face import train as arc2face  # noqa: E402
from visavis.systems.instantid import train as instantid  # noqa: E402


@pytest.mark.parametrize(("name", "recipe"), [("arc2face", arc2face), ("instantid", instantid)])
def test_likeness_is_learnt_of_those_who_are_said(name: str, recipe: object, nano: Path) -> None:
    config = recipe.Config(base=str(nano), dropped=0.0, align=0.0, face=0.5, below=1.0)
    config = replace(config, schedule=replace(config.schedule, batch=4))
    modules, batch = recipe.build(config), recipe.made_up(config)

    def losses(**changed: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return dict(recipe.Step(replace(config, **changed))(modules, batch))

    told = losses()
    assert 0.3 < float(told["face"]) < 1.7  # noise is like nobody
    assert float(told[name].detach() - told["diffusion"]) == pytest.approx(0.5 * float(told["face"]), abs=1e-5)
    assert "face" not in losses(face=0.0)
    silent = losses(dropped=1.0) if name == "arc2face" else losses(dropped=0.3)
    assert float(silent["face"]) != float(told["face"])
    if name == "arc2face":
        assert float(silent["face"]) == 0

    del batch["to_chip"]
    with pytest.raises(InputError, match="pack of frames"):
        losses()


def test_the_gradient_of_likeness_reaches_what_is_learnt(nano: Path) -> None:
    config = arc2face.Config(base=str(nano), dropped=0.0, align=0.0, face=0.5, below=1.0)
    config = replace(config, schedule=replace(config.schedule, batch=4))
    modules, batch = arc2face.build(config), arc2face.made_up(config)
    by_weight = []
    for face in (0.0, 0.5):
        modules["arc2face"].zero_grad()
        torch.manual_seed(0)
        next(iter(arc2face.Step(replace(config, face=face))(modules, batch)))[1].backward()
        by_weight.append(modules["arc2face"].unet.conv_out.weight.grad.clone())
    assert (by_weight[0] - by_weight[1]).abs().max() > 1e-6
