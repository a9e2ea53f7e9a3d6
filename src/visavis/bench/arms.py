"""The trained arms of a claim: runs that differ by the idea and the seed alone, several at once on a share of the
threads each, which takes less time than one after the other on all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from visavis.core.card import Card, Claim
from visavis.core.errors import InputError
from visavis.core.progress import say
from visavis.core.settings import settings as current
from visavis.training.runs import run_folder

SEEDS = (0, 1)
UNBOUNDED = "1e6"  # minutes


def trained(card: Card, claim: Claim, settings: Sequence[str], samples: int) -> Iterator[tuple[int, Path]]:
    """The number of each arm with its weights, once for each seed; a run that was cut off goes on. settings: KEY=VALUE
    of both arms. Raises InputError where a training ends early."""
    from visavis.training.launch import configured, recipe

    schedule = configured(recipe(card.slug), None, settings).schedule
    steps = max(2, samples // schedule.batch)
    same = {"steps": steps, "warmup": min(schedule.warmup, steps // 10), "every": 1000}
    same["precision"] = _precision(card.slug, f"claim-{card.slug}-*-{samples}", [*settings, *claim.trained[0]])
    runs, made = dict[str, list[str]](), list[tuple[int, Path]]()
    for arm, learnt in enumerate(claim.trained):
        for seed in SEEDS:
            name = f"claim-{card.slug}-{claim.arms[arm].replace(' ', '-')}-{seed}-{samples}"
            told = (f"schedule.{key}={value}" for key, value in {**same, "seed": seed}.items())
            runs[name] = [*settings, *learnt, *told]
            made.append((arm, run_folder(name) / "best.safetensors"))
    _train(card.slug, runs)
    yield from made


def losses(run: Path) -> str:
    """What a run's training came to: its mean losses over the second half, and that of photos it did not see."""
    from visavis.training.checkpoint import Metrics

    rows = Metrics(run / "metrics.jsonl").read()
    seen = [row for row in rows if "rate" in row]
    names = [name for name in seen[-1] if name not in ("step", "rate", "samples_per_second")]
    means = (f"{name} {np.mean([row[name] for row in seen[len(seen) // 2 :]]):.4f}" for name in names)
    held_out = next(row["val.score"] for row in reversed(rows) if "val.score" in row)
    return f"training {', '.join(means)}; held-out loss {-held_out:.4f}"


def _precision(slug: str, runs: str, settings: Sequence[str]) -> str:
    """What the first of a claim's runs computed in; before there is one, what is faster here."""
    from visavis.training.launch import prepared

    others = sorted(run_folder("any").parent.glob(f"{runs}/run.json"), key=lambda path: path.stat().st_mtime)
    return str(json.loads(others[0].read_text("utf-8"))["precision"]) if others else prepared(slug, settings)


def _train(slug: str, runs: Mapping[str, Sequence[str]]) -> None:
    at_once = 1 if current().device == "cuda" else min(len(runs), current().threads)
    env = {**os.environ, "VISAVIS_THREADS": str(current().threads // at_once)}
    names = list(runs)
    for start in range(0, len(names), at_once):
        running = list[subprocess.Popen[bytes]]()
        try:
            for name in names[start : start + at_once]:
                say(f"training {name}")
                told = [part for setting in runs[name] for part in ("--set", setting)]
                command = [sys.executable, "-m", "visavis", "train", slug, "--run", name, "--resume", *told]
                # Of their own session: Ctrl-C is for this process, which stops each of them once.
                run = subprocess.Popen([*command, "--minutes", UNBOUNDED], env=env, start_new_session=True)
                running.append(run)
            codes = [run.wait() for run in running]
        finally:
            for run in running:
                if run.poll() is None:
                    run.terminate()
            for run in running:
                run.wait()
        if any(codes):
            raise InputError("A training ended early; the same command goes on with what is there.")
