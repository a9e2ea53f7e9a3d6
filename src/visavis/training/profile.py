"""How fast the training steps are on this machine, and where their time goes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from visavis.training.launch import RECIPES, recipe

WARMING, REPEATS, SECONDS, PROFILED, OPERATIONS = 3, 3, 4.0, 3, 6


@dataclass(frozen=True)
class Timing:
    """samples a second: median, lowest and highest of the repeats (one where a step takes longer than a whole repeat);
    batch: samples in a step"""

    recipe: str
    device: str
    threads: int
    precision: str
    compiled: bool
    batch: int
    rate: float
    low: float
    high: float
    repeats: int

    @property
    def name(self) -> str:
        how = "compiled" if self.compiled else "eager"
        where = f"{self.threads}_threads" if self.device == "cpu" else self.device
        return f"{self.recipe}.{where}.{self.precision}.{how}"


@dataclass(frozen=True)
class Share:
    """An operation's share of the time of a step, 0..1."""

    operation: str
    share: float


def timings(threads: int) -> Iterator[Timing]:
    """Every recipe's step: one and all threads, float32 and bfloat16, eager and, with a compiler, compiled."""
    devices = [("cpu", count) for count in sorted({1, threads})]
    devices += [("cuda", threads)] if torch.cuda.is_available() else []
    ways = (False, True) if shutil.which("c++") or shutil.which("cl") else (False,)
    before = torch.get_num_threads()
    try:
        for name in RECIPES:
            for device, count in devices:
                torch.set_num_threads(count)
                for precision in ("float32", "bfloat16"):
                    for compiled in ways:
                        made = _timing(name, device, count, precision, compiled)
                        yield made
                        if made.repeats == 1:  # bfloat16 without its units: minutes a step, compiled or not
                            break
    finally:
        torch.set_num_threads(before)


def shares(name: str) -> list[Share]:
    """The operations in which a step of this recipe spends most of its time, the largest first; on a GPU also the
    share of the time in which it waits for the processor."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run, _ = _stepper(name, device, "float32" if device == "cpu" else "bfloat16", False)
    run()
    kind = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kind.CPU, kind.CUDA] if device == "cuda" else [kind.CPU]) as profiler:
        began = time.perf_counter()
        for _ in range(PROFILED):
            run()
        passed = 1e6 * (time.perf_counter() - began)
    # A kernel's time stands in a row of its own, too.
    rows = [row for row in profiler.key_averages() if row.device_type == torch.autograd.DeviceType.CPU]  # type: ignore[attr-defined]
    spent = {row.key: row.self_device_time_total if device == "cuda" else row.self_cpu_time_total for row in rows}
    total = max(passed, sum(spent.values())) if device == "cuda" else sum(spent.values())
    largest = sorted(spent, key=lambda key: -spent[key])[:OPERATIONS]
    made = [Share(key.removeprefix("aten::"), spent[key] / total) for key in largest]
    return made if device == "cpu" else [*made, Share("waiting", 1 - sum(spent.values()) / total)]


def _timing(name: str, device: str, threads: int, precision: str, compiled: bool) -> Timing:
    run, batch = _stepper(name, device, precision, compiled)
    seconds = 0.0
    for _ in range(WARMING):
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
        if seconds > SECONDS and not compiled:
            rate = batch / seconds
            return Timing(name, device, threads, precision, compiled, batch, rate, rate, rate, 1)
    rates = []
    for _ in range(REPEATS):
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS or not steps:
            run()
            steps += 1
        rates.append(steps * batch / (time.perf_counter() - began))
    low, rate, high = min(rates), sorted(rates)[len(rates) // 2], max(rates)
    return Timing(name, device, threads, precision, compiled, batch, rate, low, high, REPEATS)


def _stepper(name: str, device: str, precision: str, compiled: bool) -> tuple[Any, int]:
    """A function that does one training step on made-up data, and the size of its batch."""
    torch.manual_seed(0)
    module = recipe(name)
    config = replace(module.CONFIG, schedule=replace(module.CONFIG.schedule, batch=32))
    modules = {key: part.to(device).train() for key, part in module.build(config).items()}
    called = {key: torch.compile(part) for key, part in modules.items()} if compiled else modules
    batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in module.made_up(config).items()}
    step = module.Step(config) if hasattr(module, "Step") else module.step
    optimizer = torch.optim.AdamW([p for part in modules.values() for p in part.parameters()], 1e-4)

    def run() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            made = step(called, batch)
            losses = [made] if isinstance(made, Tensor) else [loss for _, loss in made if loss.requires_grad]
        optimizer.zero_grad()
        for loss in losses:
            loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run, config.schedule.batch
