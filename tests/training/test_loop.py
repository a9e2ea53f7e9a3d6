"""The loop's promises: the same bits after a stop, one process or two, and what is kept when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from torch import nn  # noqa: E402

from visavis.core.errors import InputError  # noqa: E402
from visavis.training import precision, selfcheck  # noqa: E402
from visavis.training.loop import Hooks, Schedule, fit, rate_at  # noqa: E402

SCHEDULE = Schedule(steps=8, batch=4, warmup=2, ema=0.5, workers=0, precision="float32")


def data(step: int, rank: int, world: int) -> dict[str, Any]:
    torch.manual_seed(step)
    x = torch.randn(4, 3)
    return {"x": x[rank::world], "y": x.sum(1, keepdim=True)[rank::world], "step": step}


def line_fit(modules: Any, batch: Any) -> Any:
    return (modules["line"](batch["x"]) - batch["y"]).square().mean()


def run(folder: Path, step: Any = line_fit, schedule: Schedule = SCHEDULE, **options: Any) -> Any:
    torch.manual_seed(0)
    line = nn.Linear(3, 1)
    settings = {"config": {"a": 1}, **options}
    optimizer = torch.optim.SGD(line.parameters(), 0.1)
    hooks = settings.pop("hooks", None)
    return fit(step, {"line": line}, {"line": optimizer}, data, schedule, hooks, folder=folder, **settings)


def test_a_run_that_was_stopped_after_every_step_ends_with_the_same_bits(tmp_path: Path) -> None:
    assert selfcheck.resumes_to_the_same_bits(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == selfcheck.SCHEDULE.steps


def test_two_processes_learn_the_same_as_one(tmp_path: Path) -> None:
    assert selfcheck.two_processes_difference(tmp_path) < 1e-4


def test_it_learns_and_leaves_curve_metrics_and_weights(tmp_path: Path) -> None:
    seen: list[float] = []

    def validate(modules: Any) -> dict[str, float]:
        assert not modules["line"].training
        seen.append(float((modules["line"].weight.detach() - 1).abs().max()))
        return {"right": -seen[-1]}

    def sheet(modules: Any) -> Any:
        import numpy as np

        return np.full((8, 8, 3), 200, np.uint8)

    schedule = replace(SCHEDULE, steps=200, every=0.001)
    result = run(tmp_path, schedule=schedule, hooks=Hooks(validate, sheet, best="right"))
    assert result.finished and result.step == 200
    assert seen[-1] < 0.05 < seen[0]
    assert (tmp_path / "curve.png").stat().st_size > 2000 and (tmp_path / "sheet.png").exists()
    from visavis.training.checkpoint import unpacked

    best = unpacked(tmp_path / "best.safetensors", "line")
    assert float((best["weight"] - 1).abs().max()) < 0.05
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["precision"] == "float32" and facts["best"]["figure"] == "right"
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_several_optimisers_step_in_the_order_in_which_losses_are_given(tmp_path: Path) -> None:
    a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(a.weight, 2.0)
    nn.init.constant_(b.weight, 5.0)
    seen = []

    def step(modules: Any, batch: Any) -> Iterator[tuple[str, Any]]:
        one = torch.ones(1, 1)
        yield "a", (modules["a"](one) * modules["b"](one).detach()).mean()
        seen.append(float(modules["a"](one).detach()))  # a has moved before b's loss is computed
        yield "b", (modules["a"](one).detach() * modules["b"](one)).mean()
        yield "shown only", modules["b"](one).mean().detach()

    optimizers = {"a": torch.optim.SGD(a.parameters(), 0.1), "b": torch.optim.SGD(b.parameters(), 0.1)}
    schedule = Schedule(steps=1, batch=4, warmup=0, decay=0, ema=0, clip=1e9, workers=0, precision="float32")
    result = fit(step, {"a": a, "b": b}, optimizers, data, schedule, folder=tmp_path, config={})
    assert seen == [pytest.approx(1.5)]
    assert result.modules["b"].weight.item() == pytest.approx(5 - 0.1 * 1.5)
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])["shown only"] == pytest.approx(4.85)


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    def step(modules: Any, batch: Any) -> Any:
        return line_fit(modules, batch) * (float("nan") if batch["step"] == 5 else 1.0)

    with pytest.raises(InputError, match=r"step 6.*checkpoint of step 5 is kept"):
        run(tmp_path, step, replace(SCHEDULE, every=0))
    assert json.loads((tmp_path / "last.json").read_text()) == {"step": 5}
    assert run(tmp_path, line_fit, resume=True).finished


def test_another_config_and_a_run_that_exists_are_refused(tmp_path: Path) -> None:
    run(tmp_path, minutes=0)
    with pytest.raises(InputError, match="--resume"):
        run(tmp_path)
    with pytest.raises(InputError, match="a: 1 -> 2"):
        run(tmp_path, config={"a": 2}, resume=True)
    longer = replace(SCHEDULE, steps=12)
    settings = {"a": 1, "rate": 0.05, "schedule": {"steps": 12}}
    assert run(tmp_path, schedule=longer, config=settings, resume=True).step == 12
    assert json.loads((tmp_path / "run.json").read_text())["config"] == settings


def test_a_torn_line_and_the_rest_of_a_killed_run_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "checkpoints.part-3").mkdir(parents=True)
    (tmp_path / "checkpoints" / "00000003").mkdir(parents=True)
    (tmp_path / "metrics.jsonl").write_text('{"step": 3, "line": 1.0}\n{"step": 4, "li')
    run(tmp_path, minutes=0)
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1]
    assert [path.name for path in tmp_path.glob("checkpoints*/*")] == ["00000001"]


def test_a_loss_without_an_optimiser_is_an_error(tmp_path: Path) -> None:
    def step(modules: Any, batch: Any) -> Iterator[tuple[str, Any]]:
        yield "lien", line_fit(modules, batch)

    with pytest.raises(ValueError, match="'lien', but optimisers are line"):
        run(tmp_path, step)


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path) -> None:
    def step(modules: Any, batch: Any) -> Any:
        with pytest.raises(InputError, match="Another process trains"):
            run(tmp_path, line_fit, resume=True)
        return line_fit(modules, batch)

    run(tmp_path, step, replace(SCHEDULE, steps=1))


SCRIPT = """
import sys, resource
sys.path.insert(0, {folder!r})
from pathlib import Path
from test_loop import *
def slow(modules, batch):
    time.sleep(0.05)
    return line_fit(modules, batch)
"""


def script(code: str, **options: Any) -> Any:
    text = SCRIPT.format(folder=str(Path(__file__).parent)) + code
    return subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE, text=True, **options)


def test_a_full_disk_at_a_checkpoint_keeps_the_one_before(tmp_path: Path) -> None:
    run(tmp_path, minutes=0)
    code = f"""
resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))
import signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN)
try: run(Path({str(tmp_path)!r}), resume=True)
except InputError as error: sys.exit(str(error))
"""
    process = script(code)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "checkpoint of step 8 could not be written" in errors, errors
    assert "checkpoint of step 1 is kept" in errors
    assert not list(tmp_path.glob("checkpoints.part*"))
    assert run(tmp_path, resume=True).finished


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_a_checkpoint_to_go_on_from(tmp_path: Path, number: int, code: int) -> None:
    stopped_later = f"run(Path({str(tmp_path)!r}), slow, replace(SCHEDULE, steps=10_000, workers=1))"
    process = script(stopped_later, start_new_session=True)
    until = time.monotonic() + 60
    while not (tmp_path / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(process.pid, number)  # as a terminal and service managers do: to the workers too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and ("KeyboardInterrupt" in errors) == (number == signal.SIGINT), errors
    step = json.loads((tmp_path / "last.json").read_text())["step"]
    assert 0 < step < 10_000
    assert (tmp_path / "checkpoints" / f"{step:08d}").is_dir()


def test_rates_rise_stay_and_fall() -> None:
    schedule = Schedule(steps=100, batch=1, warmup=10, decay=0.2)
    rates = [rate_at(step, schedule) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:80] == [1.0] * 71
    assert rates[80:] == sorted(rates[80:], reverse=True) and 0 < rates[-1] < 0.1


def test_bfloat16_is_computed_in_and_remembered(tmp_path: Path) -> None:
    results = {}
    for kind in ("float32", "bfloat16"):
        results[kind] = run(tmp_path / kind, schedule=replace(SCHEDULE, precision=kind)).modules["line"].weight
        assert json.loads((tmp_path / kind / "run.json").read_text())["precision"] == kind
    assert not torch.equal(*results.values()) and torch.allclose(*results.values(), atol=0.05)


def test_the_average_keeps_its_own_statistics(tmp_path: Path) -> None:
    """Averaged weights with the last statistics of batch norm gave nonsense: they are averaged too."""
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))

    def rising(step: int, rank: int, world: int) -> dict[str, Any]:
        return {"x": torch.randn(8, 3) + step}

    def step(modules: Any, batch: Any) -> Any:
        return modules["net"](batch["x"]).square().mean()

    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    schedule = replace(SCHEDULE, steps=40, ema=0.9)
    result = fit(step, {"net": net}, {"net": optimizer}, rising, schedule, folder=tmp_path, config={})
    averaged = result.modules["net"].get_buffer("0.running_mean")
    assert (averaged < net.get_buffer("0.running_mean") - 2).all() and (averaged > 5).all()


def test_whole_numbers_are_not_averaged_and_the_newest_weights_are_kept(tmp_path: Path) -> None:
    """Token numbers of a fixed sentence were cut down step by step, until it was another sentence."""

    class Reader(nn.Module):
        sentence: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(100, 1)
            self.register_buffer("sentence", torch.tensor([2, 13, 7, 56, 99]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.words(self.sentence).mean() + x

    reader = Reader()
    hooks = Hooks(validate=lambda modules: {"score": -float(len(seen))}, best="step")
    seen: list[int] = []

    def batches(step: int, rank: int, world: int) -> dict[str, Any]:
        seen.append(step)
        return {"x": torch.zeros(1)}

    def step(modules: Any, batch: Any) -> Any:
        return modules["reader"](batch["x"]).square().mean()

    optimizer = torch.optim.SGD(reader.parameters(), 0.01)
    schedule = replace(SCHEDULE, steps=120, ema=0.999, every=0.0, workers=0)
    result = fit(step, {"reader": reader}, {"reader": optimizer}, batches, schedule, hooks, folder=tmp_path, config={})
    assert result.modules["reader"].get_buffer("sentence").tolist() == [2, 13, 7, 56, 99]
    assert json.loads((tmp_path / "run.json").read_text())["best"] == {"figure": "step", "value": 120, "step": 120}


def test_a_frozen_network_answers_nearly_the_same_in_the_fast_way() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 32, 3), nn.SiLU(), nn.Conv2d(32, 8, 3)).eval()
    images = torch.randn(4, 3, 32, 32)
    exact = network(images).detach()
    with precision.fast(network):
        made = network(images).float()
    assert not made.requires_grad and (made - exact).std() < 0.02 * exact.std()
