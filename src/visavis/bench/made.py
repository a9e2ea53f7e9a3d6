"""How long a portrait takes by the default system: its sampler beside the bare networks, and what comes after."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from visavis.bench.figures import Figure
from visavis.core import registry, weights
from visavis.core.card import Drawn
from visavis.core.tasks import CreatePortrait
from visavis.run.runner import Run, portraits, system_for

REPEATS = 3


def missing() -> str:
    """Why it cannot be timed here, or nothing."""
    slug = system_for("")
    if all(map(weights.found, registry.card(slug).weights)):
        return ""
    return f"portrait.*: not measured, the weights of {slug} do not ship"


def figures(photo: Path, folder: Path) -> list[Figure]:
    """Of one portrait at a time, after loading; folder: where pictures may be saved."""
    from visavis.bases.bare import overhead

    run = portraits(CreatePortrait(photo, "", n=1, no_consent_check=True))
    _whole(run, folder)
    ratios, afters, wholes = list[float](), list[float](), list[float]()
    for _ in range(REPEATS):
        sampler, bare = overhead(run.ready, run.asked, run.seed)
        ratios.append(sampler / bare)
        whole, after = _whole(run, folder)
        wholes.append(whole)
        afters.append(after)
    units = {"portrait.ratio_to_bare_calls": "ratio", "portrait.after_seconds": "s", "portrait.seconds": "s"}
    return [
        Figure(name, values[1], values[0], values[2], unit, "lower", REPEATS)
        for (name, unit), values in zip(units.items(), map(sorted, (ratios, afters, wholes)), strict=True)
    ]


def _whole(run: Run, folder: Path) -> tuple[float, float]:
    """Seconds from the loaded system to the signed file, and seconds of them after the picture was drawn."""
    began = time.perf_counter()
    drawn = list(run.ready(run.asked, run.seed, lambda share: None))
    made = time.perf_counter()
    for picture in dataclasses.replace(run, ready=_Given(drawn)).pictures():
        picture.save(folder / f"{picture.seed}.png")
    ended = time.perf_counter()
    return ended - began, ended - made


@dataclasses.dataclass(frozen=True)
class _Given:
    """A system whose pictures are there already."""

    drawn: list[Drawn]
    terms: Any = "unknown"

    def check(self, asked: Any) -> None:
        pass

    def __call__(self, asked: Any, seed: int, progress: Any) -> Iterator[Drawn]:
        return iter(self.drawn)
