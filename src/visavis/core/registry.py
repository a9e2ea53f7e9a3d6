"""Systems by their slug and tasks by their name, of this distribution and of others: entry points of the groups
`visavis.systems` and `visavis.tasks`.

An entry point names the card; beside its module lie `use` (load) and, where there is something to train, `train`.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from visavis.core.card import Card
from visavis.core.config import nearest
from visavis.core.errors import InputError, absent
from visavis.core.progress import say
from visavis.core.task import Task, forms_of
from visavis.core.tasks import TASKS

GROUP, TASK_GROUP = "visavis.systems", "visavis.tasks"
COMMON = {"json", "threads", "device", "licence", "album"}  # options of every command


@cache
def cards() -> dict[str, Card]:
    """All systems by slug, in their order. One that cannot be read is named on stderr and left out."""
    found = {}
    for slug, point in sorted(_points().items()):
        try:
            made = point.load()
            if not isinstance(made, Card) or made.slug != slug:
                raise TypeError(f"{point.value} is no card of {slug}")
            _check_options(made)
        except Exception as error:  # whatever another distribution brings must not stop this one
            say(f"The system {slug} is left out: {type(error).__name__}: {error}")
            continue
        found[slug] = made
    return found


def _check_options(made: Card) -> None:
    taken = {*COMMON, *(name for task in made.tasks if task in tasks() for name, *_ in tasks()[task].forms())}
    both = sorted(taken & {name for name, *_ in forms_of(made.options)})
    if both:
        raise TypeError(f"its options {', '.join(both)} are called like inputs of its task")


def card(slug: str) -> Card:
    """Raises InputError for a slug that there is not, naming the nearest."""
    if slug not in cards():
        raise InputError(f"There is no system {slug!r}: {nearest(slug, list(cards()))}")
    return cards()[slug]


@cache
def tasks() -> dict[str, Task]:
    """All tasks by name: ours, then those that entry points name. One that cannot be read is named on stderr and left
    out."""
    found = {task.name: task for task in TASKS}
    for point in sorted(entry_points(group=TASK_GROUP), key=lambda point: point.name):
        try:
            made = point.load()
            if not isinstance(made, Task) or made.name != point.name or made.name in found:
                raise TypeError(f"{point.value} is no new task of this name")
        except Exception as error:  # whatever another distribution brings must not stop this one
            say(f"The task {point.name} is left out: {type(error).__name__}: {error}")
            continue
        found[made.name] = made
    return found


def systems_for(task: str) -> list[Card]:
    """The systems that do a task."""
    return [one for one in cards().values() if task in one.tasks]


def part(slug: str, name: str) -> Any:
    """The module `name` of a system's package; InputError where a package that it needs is missing."""
    card(slug)
    package = _points()[slug].module.rpartition(".")[0]
    try:
        module: ModuleType = importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"{package}.{name}":
            raise InputError(f"{slug} has no {name}.") from None
        raise absent(error, f"The system {slug}") from error
    return module


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
