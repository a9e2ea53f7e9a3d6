"""A run's folder: its facts, atomic checkpoints, metrics as JSON lines, and the pictures that people look at.

run.json          config, precision, best figures      last.json       the step of the whole checkpoint
checkpoints/STEP  accelerate's state of that step      best.safetensors  averaged weights with the best figure
metrics.jsonl     losses and figures                   curve.png, sheet.png
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.core.config import differences
from visavis.core.errors import InputError, missing_extra
from visavis.core.files import locked, write_whole
from visavis.core.settings import private_folder

LOG_EVERY = 20  # steps
ASIDE = "aligner."  # layers that only the training needs begin so
# What may be another when a run goes on: a rate that was too high, a run made longer, how it is watched.
FREE = ("rate", "schedule.steps", "schedule.every", "schedule.workers")


class Run:
    """Raises InputError where a run of this name exists and is not resumed, or is resumed with another config (but
    for FREE, which may change). main: this process writes."""

    def __init__(self, folder: Path, config: Mapping[str, Any], resume: bool, main: bool = True) -> None:
        self.folder, self.main = private_folder(folder), main
        self._facts: dict[str, Any] = {"config": json.loads(json.dumps(config))}
        if (folder / "last.json").exists():
            if not resume:
                raise InputError(
                    f"{folder} holds a run already. Go on with it by --resume, or delete the folder to start again."
                )
            known = json.loads((folder / "run.json").read_text())
            changed = differences(known["config"], self._facts["config"])
            fixed = [f"{key}: {old} -> {new}" for key, (old, new) in changed.items() if key not in FREE]
            if fixed:
                raise InputError(f"{folder} was started with other settings: {'; '.join(fixed)}.")
            self._facts = {**known, "config": self._facts["config"]}
        self.metrics = Metrics(folder / "metrics.jsonl")

    @property
    def step(self) -> int:
        """Steps done at the last whole checkpoint."""
        path = self.folder / "last.json"
        return int(json.loads(path.read_text())["step"]) if path.exists() else 0

    def get(self, key: str, default: Any) -> Any:
        return self._facts.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._facts[key] = value
        if not self.main:
            return
        write_whole(self.folder / "run.json", [json.dumps(self._facts, indent=1).encode()])

    def load(self, accelerator: Any) -> int:
        """Puts the last whole checkpoint into everything that was prepared; the step to go on with."""
        step = self.step
        if step:
            accelerator.load_state(str(self._checkpoint(step)))
        if self.main:
            self.metrics.forget_after(step)
            self._sweep(step)
        return step

    def save(self, accelerator: Any, step: int) -> None:
        """A whole checkpoint or none; called by all processes. Raises InputError where the disk is full."""
        part = self.folder / f"checkpoints.part-{step}"
        try:
            accelerator.save_state(str(part))
            accelerator.wait_for_everyone()  # each process writes a part of its own
            if accelerator.is_main_process:
                target = self._checkpoint(step)
                private_folder(target.parent)
                shutil.rmtree(target, ignore_errors=True)
                os.replace(part, target)
                before = self.step
                write_whole(self.folder / "last.json", [json.dumps({"step": step}).encode()])
                if before != step:
                    shutil.rmtree(self._checkpoint(before), ignore_errors=True)
        except InputError:
            raise
        except Exception as error:  # safetensors and torch wrap what the disk says
            shutil.rmtree(part, ignore_errors=True)
            raise InputError(
                f"The checkpoint of step {step} could not be written to {self.folder} ({_reason(error)}); "
                f"{self.kept()}."
            ) from error

    def kept(self) -> str:
        return f"the checkpoint of step {self.step} is kept" if self.step else "there is no checkpoint yet"

    def keep_best(self, modules: Mapping[str, nn.Module], figure: str, value: float) -> None:
        """Writes the averaged weights as fp16 safetensors: a restart point and what ships."""
        write_whole(self.folder / "best.safetensors", [packed(modules, {"config": json.dumps(self._facts["config"])})])
        self.set("best", {"figure": figure, "value": value, "step": self.step})

    def draw(self, sheet: NDArray[np.uint8] | None) -> None:
        """curve.png and sheet.png."""
        self.metrics.draw(self.folder / "curve.png", self.folder.name)
        if sheet is not None:
            from PIL import Image

            Image.fromarray(sheet).save(self.folder / "sheet.png")

    def _sweep(self, step: int) -> None:
        """Removes what killed runs left beside the last whole checkpoint."""
        left = [*self.folder.glob("checkpoints.part-*"), *self.folder.glob("checkpoints/*")]
        for path in left:
            if path != self._checkpoint(step):
                shutil.rmtree(path, ignore_errors=True)

    def _checkpoint(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"{step:08d}"


@contextlib.contextmanager
def alone(folder: Path, main: bool) -> Iterator[None]:
    """Refuses a second process that trains in the same folder."""

    def taken() -> None:
        raise InputError(f"Another process trains in {folder}.")

    if not main:
        yield
        return
    with locked(folder / "lock", taken):
        yield


def packed(modules: Mapping[str, nn.Module], facts: Mapping[str, str]) -> bytes:
    """All weights as fp16 safetensors, keys NAME.KEY; facts: the file's metadata (`config`: of the run, JSON)."""
    from safetensors.torch import save

    arrays = {
        f"{name}.{key}": (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    return bytes(save(arrays, dict(facts)))


def origin(path: Path) -> dict[str, Any]:
    """The config of the run whose `best.safetensors` this is; InputError where it is none."""
    from safetensors import safe_open

    try:
        with safe_open(path, "np") as file:
            found: dict[str, Any] = json.loads(file.metadata()["config"])
        return found
    except Exception as error:  # safetensors has errors of its own for each way to be wrong
        raise InputError(f"{path} is no best.safetensors of a run, so nothing is known of its terms.") from error


def unpacked(path: Path, name: str, whole: bool = True) -> dict[str, Tensor]:
    """The float32 state of one module out of a file that `packed` made.

    whole: with the layers that only the training needs, an aligner's
    """
    from safetensors.torch import load_file

    prefix = name + "."
    return {
        key.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for key, value in load_file(path).items()
        if key.startswith(prefix) and (whole or not key.startswith(f"{prefix}{ASIDE}"))
    }


def widened(state: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` with the further rows of `fresh` where a `head` of that has more rows: those are yet to be learnt."""
    made = dict(state)
    for key, value in state.items():
        new = fresh.get(key)
        if new is not None and key.startswith("head.") and value.ndim and value.shape[1:] == new.shape[1:]:
            made[key] = torch.cat([value, new[len(value) :]])
    return made


class Metrics:
    """metrics.jsonl: a line every few steps with the mean losses, and one at each validation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sums: dict[str, Tensor] = {}
        self._count = self._samples = 0
        self._began = time.monotonic()
        self._last: dict[str, float] = {}

    def add(self, losses: Mapping[str, Tensor], samples: int) -> None:
        """Losses stay on their device until a line is written: reading each would wait for it."""
        for name, loss in losses.items():
            self._sums[name] = self._sums[name] + loss if name in self._sums else loss
        self._count, self._samples = self._count + 1, self._samples + samples

    def flush(self, step: int, rate: float, main: bool) -> None:
        """Writes the line of the steps since the last one."""
        if not self._count:
            return
        now = time.monotonic()
        values = {name: float(total) / self._count for name, total in self._sums.items()}
        speed = self._samples / max(now - self._began, 1e-9)
        self._last = {**values, "samples_per_second": round(speed, 2)}
        self._sums, self._count, self._samples, self._began = {}, 0, 0, now
        if main:
            self._write({"step": step, **values, "rate": rate, "samples_per_second": round(speed, 2)})

    def validated(self, step: int, figures: Mapping[str, float]) -> None:
        self._write({"step": step, **{f"val.{name}": value for name, value in figures.items()}})
        self._last.update({f"val.{name}": value for name, value in figures.items()})
        self._began = time.monotonic()  # the time of looking is not the time of training

    def line(self) -> str:
        return "  ".join(f"{name} {value:.4g}" for name, value in self._last.items())

    def last(self) -> dict[str, float]:
        return dict(self._last)

    def read(self) -> list[dict[str, float]]:
        """All whole lines: a full disk may have torn one."""
        rows = []
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def forget_after(self, step: int) -> None:
        """What a stopped run did after its last checkpoint will be done again."""
        lines = [json.dumps(row) + "\n" for row in self.read() if row["step"] <= step]
        write_whole(self.path, ["".join(lines).encode()])

    def draw(self, path: Path, title: str) -> None:
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise missing_extra("ml", "Drawing the loss curve") from error
        rows = self.read()
        names = [name for name in dict.fromkeys(k for r in rows for k in r) if name not in _UNDRAWN]
        if not names:
            return
        canvas = Figure(figsize=(7, 2.2 * len(names)), layout="constrained")
        for axes, name in zip(np.atleast_1d(canvas.subplots(len(names), sharex=True)), names, strict=True):
            points = [(row["step"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True))
            axes.set_ylabel(name)
            axes.grid(True, alpha=0.3)
        canvas.suptitle(title)
        canvas.savefig(path, dpi=90)

    def _write(self, row: Mapping[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(dict(row)) + "\n")


_UNDRAWN = ("step", "rate", "samples_per_second")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:120] or type(error).__name__
