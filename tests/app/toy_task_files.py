"""A task that another distribution could bring: it counts, slowly if asked, and writes what it counted. Written into a
folder with the entry point that makes it known."""

from __future__ import annotations

from pathlib import Path

TASK = """
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.task import FolderIn, OutPath, Outcome, PhotoIn, Task, argument, option


@dataclass(frozen=True)
class Count:
    photos: list[PhotoIn | FolderIn] = argument("what is counted")
    words: str = argument("said with it")
    n: int = option(3, "how far", low=1, high=1000, label="How far")
    pause: float = option(0.0, "between two numbers", low=0, high=10, unit="seconds")
    loud: bool = option(False, "shouts")
    how: Literal["up", "down"] = option("up", "which way")
    only_here: str = option("", "not for strangers", here=True)
    out: OutPath = option("counted", "where the numbers go")


def use(inputs, quiet):
    if inputs.words == "fail":
        raise InputError("It was told to fail.")
    if inputs.words == "odd":
        return Outcome({"schema": "toy.count/1", "path": Path()})
    if inputs.words == "large":
        return Outcome({"schema": "toy.count/1", "said": "x" * 2**26})
    folder = Path(inputs.out)
    for number in track(range(inputs.n), "counting", inputs.n):
        time.sleep(inputs.pause)
        folder.mkdir(parents=True, exist_ok=True)  # as each picture's writer does
        (folder / f"{number:03}.txt").write_text(str(number))
    said = inputs.words.upper() if inputs.loud else inputs.words
    document = {"schema": "toy.count/1", "said": said, "photos": [str(p) for p in inputs.photos], "out": str(folder)}
    return Outcome(document)


TASK = Task("toy.count", Count, "Counts.", "toy_task:use", long=True)
"""


def write_toy_task(folder: Path) -> Path:
    """The folder to put on the path."""
    facts = folder / "toy_task-1.0.dist-info"
    facts.mkdir(parents=True)
    (folder / "toy_task.py").write_text(TASK)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-task\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[visavis.tasks]\n'toy.count' = toy_task:TASK\n".replace("'", ""))
    return folder
