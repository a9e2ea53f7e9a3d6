"""The one loop: named optimisers, a moving average, a limit by the clock, and resuming to the same bits.

Everything random in a step follows from the seed and the number of the step, and so does its batch: a run that was
stopped anywhere goes on exactly as if it had not been. Several processes (`accelerate launch`) share each batch.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import is_tensorboard_available
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from visavis.core import progress
from visavis.core.config import within
from visavis.core.errors import InputError
from visavis.training import precision
from visavis.training.checkpoint import LOG_EVERY, Run, alone

Batch = Mapping[str, Any]
Modules = Mapping[str, nn.Module]
Losses = Tensor | Iterator[tuple[str, Tensor]]


class Batches(Protocol):
    """Where batches come from: number `step` of the run, of which process `rank` of `world` gets its share."""

    def __call__(self, step: int, rank: int, world: int) -> Batch: ...


@dataclass(frozen=True)
class Schedule:
    """steps: length of the whole run; batch: samples of all processes together in a step; warmup: steps of rising
    rates; decay: the last share of the run, in which rates fall to zero (before it they are constant, so that a run
    may be stopped early or made longer); ema: decay of the moving average of weights, 0 without; clip: largest norm
    of the gradients; every: minutes between checkpoints; workers: processes that prepare batches."""

    steps: int
    batch: int
    warmup: int = 100
    decay: float = 0.2
    ema: float = 0.999
    clip: float = 1.0
    every: float = 5.0
    workers: int = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        within(self, steps=(1, math.inf), batch=(1, math.inf), warmup=(0, math.inf), decay=(0, 1), ema=(0, 0.99999))
        within(self, clip=(1e-6, math.inf), every=(0, math.inf), workers=(0, 64), seed=(0, 2**31))


@dataclass(frozen=True)
class Hooks:
    """What is shown of a run at each checkpoint, with the averaged modules in eval mode: `validate` gives figures by
    name (of which `best`, higher is better, decides what is kept as the best; "step" keeps the newest), `sheet` a
    picture [H, W, 3] uint8."""

    validate: Callable[[Modules], Mapping[str, float]] | None = None
    sheet: Callable[[Modules], Any] | None = None
    best: str = ""


@dataclass(frozen=True)
class Plan:
    """What a recipe trains: the arguments of `fit` that follow from its config."""

    step: Callable[[Modules, Batch], Losses]
    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    batches: Batches
    schedule: Schedule
    hooks: Hooks


@dataclass
class Result:
    """What a run came to. modules: averaged, in eval mode; finished: all steps were done, not stopped by the clock."""

    modules: dict[str, nn.Module]
    step: int
    finished: bool
    figures: dict[str, float] = field(default_factory=dict)


def fit(
    step: Callable[[Modules, Batch], Losses],
    modules: dict[str, nn.Module],
    optimizers: dict[str, Optimizer],
    batches: Batches,
    schedule: Schedule,
    hooks: Hooks | None = None,
    *,
    folder: Path,
    config: Mapping[str, Any],
    minutes: float = math.inf,
    resume: bool = False,
    trackers: str = "",
) -> Result:
    """Trains until the schedule's last step or until the minutes are over, whichever comes first.

    step: gives the loss of the only optimiser; or, with several, yields (name of the optimiser, loss) in the order in
    which they are stepped, each computed after the step before it. folder: of the run (checkpoints, metrics.jsonl,
    curve.png, sheet.png). config: what must be the same when a run is resumed. trackers: "tensorboard" as well.
    Raises InputError for a loss that is no number (the last checkpoint is kept), a full disk, and another config.
    """
    hooks = hooks or Hooks()
    main = PartialState().is_main_process
    with alone(folder, main), _Interrupt() as interrupt:
        run = Run(folder, config, resume, main)
        accelerator = _accelerator(_precision(step, modules, batches, schedule, run), folder, trackers)
        if schedule.batch % accelerator.num_processes:
            raise InputError(f"A batch of {schedule.batch} cannot be shared by {accelerator.num_processes} processes.")
        averages = {name: _average(module, schedule.ema) for name, module in modules.items()}
        rates = {name: [group["lr"] for group in o.param_groups] for name, o in optimizers.items()}
        prepared = accelerator.prepare(*modules.values(), *optimizers.values())
        live = dict(zip(modules, prepared, strict=False))
        steppers = dict(zip(optimizers, prepared[len(live) :], strict=True))
        for average in averages.values():
            average.to(accelerator.device)
            accelerator.register_for_checkpointing(average)
        start = run.load(accelerator)
        state = _State(accelerator, schedule, live, steppers, rates, averages, run)
        state.train(step, hooks, _ahead(batches, start, schedule, accelerator), start, minutes, interrupt)
        accelerator.end_training()
    interrupt.end()
    return Result(state.averaged(), state.done, state.done >= schedule.steps, state.figures)


def rate_at(step: int, schedule: Schedule) -> float:
    """0..1: the share of the full learning rate at a step."""
    falling = max(1, round(schedule.steps * schedule.decay))
    return min(1.0, (step + 1) / max(1, schedule.warmup), max(0.0, (schedule.steps - step) / falling))


class _State:
    def __init__(
        self,
        accelerator: Accelerator,
        schedule: Schedule,
        live: dict[str, nn.Module],
        steppers: dict[str, Any],
        rates: dict[str, list[float]],
        averages: dict[str, Any],
        run: Run,
    ) -> None:
        self.accelerator, self.schedule, self.live, self.steppers = accelerator, schedule, live, steppers
        self.rates, self.averages, self.run = rates, averages, run
        self.done, self.figures = 0, dict[str, float]()

    def train(
        self,
        step: Callable[[Modules, Batch], Losses],
        hooks: Hooks,
        loader: Iterator[Batch],
        start: int,
        minutes: float,
        interrupt: _Interrupt,
    ) -> None:
        accelerator, schedule, run = self.accelerator, self.schedule, self.run
        main = accelerator.is_main_process
        began = saved = time.monotonic()
        self.done = start
        with progress.steps(run.folder.name, schedule.steps, start, main) as show:
            for number in range(start, schedule.steps):
                batch = {k: v.to(accelerator.device) if isinstance(v, Tensor) else v for k, v in next(loader).items()}
                torch.manual_seed(hash((schedule.seed, number, accelerator.process_index)) % 2**63)
                losses = self._step(step, batch, number)
                self.done = number + 1
                run.metrics.add(losses, schedule.batch)
                if self.done % LOG_EVERY == 0 or self.done == 1:
                    run.metrics.flush(self.done, rate_at(number, schedule), main)
                    if accelerator.trackers:
                        accelerator.log(run.metrics.last(), step=self.done)
                show(self.done, run.metrics.line())
                now = time.monotonic()
                over = self._agreed(now - began > minutes * 60 or interrupt.stopped)
                if over or self.done == schedule.steps or self._agreed(now - saved > schedule.every * 60):
                    self._save(hooks)
                    saved = time.monotonic()
                if over:
                    return

    def _step(self, step: Callable[[Modules, Batch], Losses], batch: Batch, number: int) -> dict[str, Tensor]:
        for module in self.live.values():
            module.train()
        with self.accelerator.autocast():
            made = step(self.live, batch)
            pairs = iter([(next(iter(self.steppers)), made)]) if isinstance(made, Tensor) else made
        losses: dict[str, Tensor] = {}
        while True:
            with self.accelerator.autocast():
                pair = next(pairs, None)
            if pair is None:
                break
            name, loss = pair
            if name in self.steppers:
                self._update(name, loss, number)
            elif loss.requires_grad:
                raise ValueError(f"The step yields a loss {name!r}, but optimisers are {', '.join(self.steppers)}.")
            losses[name] = self.accelerator.reduce(loss.detach().float(), "mean")
        for name, average in self.averages.items():
            average.update_parameters(self.accelerator.unwrap_model(self.live[name]))
        return losses

    def _update(self, name: str, loss: Tensor, number: int) -> None:
        optimizer = self.steppers[name]
        for group, rate in zip(optimizer.param_groups, self.rates[name], strict=True):
            group["lr"] = rate * rate_at(number, self.schedule)
        optimizer.zero_grad()
        self.accelerator.backward(loss)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = self.accelerator.clip_grad_norm_(parameters, self.schedule.clip)
        if not (torch.isfinite(loss.detach()).all() and torch.isfinite(norm)):
            raise InputError(
                f"The loss {name!r} is no longer a number at step {number + 1}. The run stopped; "
                f"{self.run.kept()}. Lower the learning rate and resume."
            )
        optimizer.step()

    def _save(self, hooks: Hooks) -> None:
        main, run = self.accelerator.is_main_process, self.run
        run.metrics.flush(self.done, rate_at(self.done - 1, self.schedule), main)
        # The state first: what people look at must not cost it.
        run.save(self.accelerator, self.done)
        if main:
            modules = self.averaged()
            figures = dict(hooks.validate(modules)) if hooks.validate else {}
            if figures:
                self.figures = figures
                run.metrics.validated(self.done, figures)
            known = {"step": float(self.done), **figures}
            if hooks.best and known[hooks.best] > run.get("best", {"value": -math.inf})["value"]:
                run.keep_best(modules, hooks.best, known[hooks.best])
            run.draw(hooks.sheet(modules) if hooks.sheet else None)
        self.accelerator.wait_for_everyone()

    def averaged(self) -> dict[str, nn.Module]:
        return {name: average.module.eval() for name, average in self.averages.items()}

    def _agreed(self, wish: bool) -> bool:
        # All processes must stop at the same step, whatever their clocks say.
        if self.accelerator.num_processes == 1:
            return wish
        flag = torch.tensor(float(wish), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)


class _Numbered(Dataset[Batch]):
    def __init__(self, batches: Batches, rank: int, world: int) -> None:
        self.batches, self.rank, self.world = batches, rank, world

    def __getitem__(self, step: int) -> Batch:
        return self.batches(step, self.rank, self.world)


def _ahead(batches: Batches, start: int, schedule: Schedule, accelerator: Accelerator) -> Iterator[Batch]:
    """Batches from `start` on, prepared in other processes in their order."""
    data = _Numbered(batches, accelerator.process_index, accelerator.num_processes)
    numbers: Any = range(start, schedule.steps)
    count = schedule.workers
    _hold(True)  # what comes before a worker listens waits for it
    try:
        return iter(DataLoader(data, batch_size=None, sampler=numbers, num_workers=count, worker_init_fn=_outlive))
    finally:
        _hold(False)


def _outlive(worker: int) -> None:
    """Whoever stops a run may send SIGTERM to all its processes: the first is for the loop, which still takes batches
    until its step is done."""
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    _hold(False)


def _hold(back: bool) -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK if back else signal.SIG_UNBLOCK, [signal.SIGTERM])


def _precision(
    step: Callable[..., Losses], modules: Modules, batches: Batches, schedule: Schedule, run: Run
) -> precision.Precision:
    asked = schedule.precision
    if asked == "auto":
        processes = PartialState().num_processes
        asked = run.get("precision", None) or precision.choose(step, modules, batches(0, 0, processes), processes)
    if PartialState().is_main_process:
        run.set("precision", asked)
    return asked


def _accelerator(chosen: precision.Precision, folder: Path, trackers: str) -> Accelerator:
    # It remembers the precision of a process's first run for all later ones.
    AcceleratorState._reset_state()
    if trackers == "tensorboard" and not is_tensorboard_available():
        raise InputError("--tensorboard needs the package tensorboard: pip install tensorboard")
    mixed = "bf16" if chosen == "bfloat16" else "no"
    made = Accelerator(mixed_precision=mixed, log_with=trackers or None, project_dir=folder if trackers else None)
    if trackers:
        made.init_trackers("visavis")
    return made


def _average(module: nn.Module, decay: float) -> AveragedModel:
    """A moving average of weights and of batch norm's statistics, which belong to the weights they were taken with.

    It forgets the first steps: the decay rises to its value as (1 + n) / (10 + n). Decay 0 keeps the last weights.
    """

    def update(averaged: Any, current: Any, count: Tensor | int) -> None:
        if not averaged[0].is_floating_point():  # whole numbers, as of tokens, have no average
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)
            return
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(now)(averaged, current, count)  # type: ignore[no-untyped-call]

    return AveragedModel(module, multi_avg_fn=update, use_buffers=True)


class _Interrupt:
    """Ctrl-C and SIGTERM stop after the step that is running, with a checkpoint; a second one stops at once."""

    def __init__(self) -> None:
        self.signal = 0

    @property
    def stopped(self) -> bool:
        return bool(self.signal)

    def end(self) -> None:
        """Lets the signal have its usual effect, now that the checkpoint is written."""
        if self.signal == signal.SIGTERM:
            raise SystemExit(128 + self.signal)
        if self.signal:
            raise KeyboardInterrupt

    def __enter__(self) -> _Interrupt:
        self._before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # outside the main thread whoever runs us stops us
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, *_: object) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
