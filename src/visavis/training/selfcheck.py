"""A training of seconds that shows whether the loop keeps its promises on this machine.

`python -m visavis.training.selfcheck FOLDER` trains the network of the judge, small, on made-up pictures; under
`accelerate launch` each process runs it. `visavis bench train` and the tests compare what comes out.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from visavis.blocks.recognise.trunk import PlaceHead, Trunk
from visavis.training.loop import Batch, Modules, Result, Schedule, fit

SCHEDULE = Schedule(steps=12, batch=8, warmup=2, ema=0.9, workers=0, precision="float32")


class Small(nn.Module):
    """The judge's parts, narrow, without batch norm's sums over the batch, which two processes do not share."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = Trunk((8, 8, 16), (1, 1, 1)), PlaceHead(16, 4, 8)
        for parent in list(self.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, nn.GroupNorm(4, child.num_features))
                elif isinstance(child, nn.BatchNorm1d):
                    setattr(parent, name, nn.LayerNorm(child.num_features))

    def forward(self, images: Tensor) -> Tensor:
        y: Tensor = self.head(self.trunk(images))
        return y


def batches(step: int, rank: int, world: int) -> Batch:
    """Pictures and answers that follow from the step; each process has its share."""
    random = np.random.default_rng([7, step])
    pictures = random.uniform(-1, 1, (SCHEDULE.batch, 3, 64, 64)).astype(np.float32)
    answers = random.normal(size=(SCHEDULE.batch, 8)).astype(np.float32)
    return {"images": torch.from_numpy(pictures[rank::world]), "answers": torch.from_numpy(answers[rank::world])}


def step(modules: Modules, batch: Batch) -> Tensor:
    """A squared error, with noise on the pictures that follows from the step as well."""
    loss: Tensor = (modules["small"](batch["images"]) - batch["answers"]).square().mean()
    return loss


def train(folder: Path, *, minutes: float = math.inf, resume: bool = False, noisy: bool = True) -> Result:
    """noisy: random numbers inside the step too, which only the same number of processes repeats."""
    torch.manual_seed(0)
    module = Small()

    def noisy_step(modules: Modules, batch: Batch) -> Tensor:
        images = batch["images"]
        return step(modules, {**batch, "images": images + 0.1 * torch.randn_like(images)})

    return fit(
        noisy_step if noisy else step,
        {"small": module},
        {"small": torch.optim.AdamW(module.parameters(), 1e-2)},
        batches,
        SCHEDULE,
        folder=folder,
        config={"check": 1},
        minutes=minutes,
        resume=resume,
    )


def resumes_to_the_same_bits(folder: Path) -> bool:
    """Whether a run stopped after every step ends with the same weights as one in one go."""
    whole = train(folder / "whole").modules["small"].state_dict()
    result = train(folder / "parts", minutes=0)
    while not result.finished:
        result = train(folder / "parts", minutes=0, resume=True)
    parts = result.modules["small"].state_dict()
    return all(torch.equal(whole[key], parts[key]) for key in whole)


def two_processes_difference(folder: Path) -> float:
    """The largest relative difference between the losses of one process and of two with the same total batch."""
    losses = []
    for processes in (1, 2):
        launcher = ["accelerate.commands.launch", "--cpu", "--num_machines=1", f"--num_processes={processes}"]
        launcher += ["--mixed_precision=no", "--dynamo_backend=no", "--num_cpu_threads_per_process=1"]
        target = folder / f"processes-{processes}"
        command = [sys.executable, "-m", *launcher, "-m", "visavis.training.selfcheck", str(target)]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(made.stderr[-2000:])
        rows = [json.loads(line) for line in (target / "metrics.jsonl").read_text().splitlines()]
        losses.append(np.array([row["small"] for row in rows if "small" in row]))
    return float(np.max(np.abs(losses[0] - losses[1]) / np.abs(losses[0])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    train(parser.parse_args().folder, noisy=False)
