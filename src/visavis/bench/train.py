"""`visavis bench train`: the loop's promises and the speed of every training step, as figures and as docs/speed.md."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from visavis.bench.figures import Figure, machine, write
from visavis.core.progress import say
from visavis.core.settings import scratch, settings
from visavis.media.write import write_bytes
from visavis.training import launch

if TYPE_CHECKING:
    from visavis.training.profile import Share, Timing

PAGE = Path("docs/speed.md")


def run() -> None:
    """Writes results/train.json and docs/speed.md."""
    launch.recipe("judge")  # says what to install where torch is missing
    from visavis.training import profile, selfcheck

    started = time.time()
    with scratch("train-") as folder:
        same = selfcheck.resumes_to_the_same_bits(Path(folder))
        apart = selfcheck.two_processes_difference(Path(folder))
    figures = [
        Figure("resume.bit_identical", float(same), unit="yes or no"),
        Figure("two_processes.loss_difference", apart, unit="relative", better="lower"),
    ]
    made = []
    for timing in profile.timings(settings().threads):
        say(f"{timing.name}: {timing.rate:.3g} samples/s")
        made.append(timing)
    figures += [Figure(t.name, t.rate, t.low, t.high, "samples/s", "higher", t.repeats) for t in made]
    write("train", figures, seed=0, started=started)
    write_bytes(PAGE, _page(made, {name: profile.shares(name) for name in launch.RECIPES}).encode())


def _page(timings: Sequence[Timing], shares: Mapping[str, Sequence[Share]]) -> str:
    lines = [
        "# How fast training is",
        "",
        f"Written by `visavis bench train` on {machine()}. Samples a second of one training step (forward, backward,",
        "optimiser) on made-up pictures, without reading data; median of three repeats, but a step that takes longer",
        "than four seconds is timed once.",
        "",
        "| step | where | precision | eager | compiled |",
        "|---|---|---|---|---|",
    ]
    rows: dict[tuple[str, str, str], dict[bool, float]] = {}
    for t in timings:
        where = t.device if t.device != "cpu" else f"{t.threads} thread{'s' if t.threads > 1 else ''}"
        rows.setdefault((t.recipe, where, t.precision), {})[t.compiled] = t.rate
    for (recipe, where, precision), rates in rows.items():
        compiled = f"{rates[True]:.0f}" if True in rates else "not measured"
        lines.append(f"| {recipe} | {where} | {precision} | {rates[False]:.3g} | {compiled} |")
    for recipe, parts in shares.items():
        lines += ["", f"## Where the time of `{recipe}` goes ({_where(timings)}, eager)", ""]
        lines += ["| operation | share |", "|---|---|"]
        lines += [f"| {part.operation} | {100 * part.share:.0f} % |" for part in parts]
    lines += ["", "## What is kept, and why", "", *_kept(timings), ""]
    return "\n".join(lines)


def _where(timings: Sequence[Timing]) -> str:
    return "GPU, bfloat16" if any(t.device == "cuda" for t in timings) else "all threads, float32"


def _kept(timings: Sequence[Timing]) -> list[str]:
    timings = [t for t in timings if t.device == "cpu"]
    most = max(t.threads for t in timings)
    kept = []
    for recipe in dict.fromkeys(t.recipe for t in timings):
        here = {(t.precision, t.compiled): t.rate for t in timings if t.recipe == recipe and t.threads == most}
        plain, half = here["float32", False], here["bfloat16", False]
        faster = "faster" if half > plain else "slower"
        line = f"- `{recipe}`: bfloat16 is {max(half, plain) / min(half, plain):.1f} times {faster} than float32"
        if ("float32", True) in here:
            line += f"; compiling gives {here['float32', True] / plain:.2f} times the speed after its first minute"
        kept.append(line + ".")
    kept.append("- The loop takes the faster precision where the device has it, and float32 elsewhere (`auto`).")
    kept.append("- Networks are in channels-last order where that is faster on CPUs, and are not compiled: a run of")
    kept.append("  minutes would spend a good part of them compiling, and checkpoints stay those of the plain modules.")
    return kept
