"""What a stranger asks about a system, and what the runner asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from visavis.core.catalogue import Terms
from visavis.core.types import Face, Pixels

# Of the sampler, where nothing else is asked; `create faces` takes 20.
STEPS = 10
GUIDANCE = 4.0


@dataclass(frozen=True)
class Claim:
    """The ablation that tests the paper's one idea. arms: with the idea, without it; measure: the figure that decides;
    expected: what the paper found; trained: what `visavis train` is told of each arm (KEY=VALUE), or, of a system that
    learns nothing, made: the system of each arm and its options (SLUG, KEY=VALUE, ...); prompts: of the pictures that
    are compared."""

    question: str
    arms: tuple[str, str]
    measure: str
    expected: str
    trained: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    made: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    prompts: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class NoOptions:
    """Of a system that leaves a user nothing to turn."""


@dataclass(frozen=True)
class Card:
    """One system: everything about the method, nothing that runs.

    tasks: names of the tasks that it does; idea: one sentence; base: the generator it stands on unless another is
    named, "" for none; options: a dataclass of `core.task.option` fields; dial: the one of them that trades likeness
    against the prompt; most_people: on one picture; weights: their names in the store; trains: it has weights of its
    own; limits: plain words.
    """

    slug: str
    title: str
    paper: str
    tasks: tuple[str, ...]
    idea: str
    limits: str
    base: str = ""
    options: type[Any] = NoOptions
    dial: str = ""
    most_people: int = 1
    weights: tuple[str, ...] = ()
    trains: bool = False
    claim: Claim | None = None


@dataclass(frozen=True)
class Spec:
    """How a system is loaded. base: name or folder of the generator; options: an instance of the card's; published: a
    folder with the authors' own weights, run: a training's best.safetensors, each in place of what ships."""

    base: str
    options: Any
    published: str = ""
    run: str = ""


@dataclass(frozen=True, eq=False)
class Asked:
    """A portrait as systems are asked for it. people: the faces of each person, one of each photo; prompt, n, steps
    and guidance as the task describes them."""

    people: tuple[tuple[Face, ...], ...]
    prompt: str
    n: int
    steps: int = STEPS
    guidance: float = GUIDANCE


@dataclass(frozen=True)
class Invented:
    """People whom nobody has met, as systems are asked for them: n people on so many photos each; person i follows from
    seed + i alone, and the pictures come person by person."""

    n: int
    photos: int
    steps: int = STEPS
    guidance: float = 3.0


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a system gives. frame: the picture is a `portrait` frame, with nothing around the face; notes: what a person
    should know of this picture."""

    pixels: Pixels
    frame: bool = True
    notes: tuple[str, ...] = field(default_factory=tuple)


Progress = Callable[[float], None]
"""Hears what share of the work is done, 0 to 1."""


class Ready(Protocol):
    """A loaded system. terms: the strictest of all weights that it loaded. One that stands on another system also has
    `loaded`: the names of what ships that it took, the base's among them."""

    @property
    def terms(self) -> Terms: ...

    def check(self, asked: Any) -> None:
        """Raises InputError for what it cannot do, before any work."""
        ...

    def __call__(self, asked: Any, seed: int, progress: Progress) -> Iterator[Drawn]:
        """Each picture as soon as it is done; picture i follows from seed + i alone."""
        ...


class System(Protocol):
    """The module `use` of a system's package."""

    def load(self, spec: Spec) -> Ready: ...
