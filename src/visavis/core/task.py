"""A task is a typed signature with words for people; command line, REST and page are built from it alone.

Inputs are a frozen dataclass. Each field is declared by `argument` or `option`, which carry help, range, unit; the
field's type says what a place may offer: `PhotoIn` (a path, array or Photo here, an upload over REST and page),
`FolderIn` (paths; over REST and page only below an allowed root), `BaseIn` (a generator: what ships by its name
everywhere, a folder as for `FolderIn`, a hub only here), `OutPath` (never over REST or page).
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

from numpy.typing import NDArray

from visavis.core.errors import InputError
from visavis.core.types import Photo

PhotoLike: TypeAlias = str | Path | NDArray[Any] | Photo
PhotoIn: TypeAlias = Annotated[PhotoLike, "photo"]
FolderIn: TypeAlias = Annotated[str | Path, "folder"]
BaseIn: TypeAlias = Annotated[str, "base"]
OutPath: TypeAlias = Annotated[str | Path, "out"]


@dataclass(frozen=True)
class Form:
    """What a person should know about one input. here: offered on the command line and in Python only; label: what the
    page calls it, left out, its name."""

    help: str
    positional: bool = False
    default: Any = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    metavar: str = ""
    here: bool = False
    label: str = ""


@dataclass(frozen=True)
class Outcome:
    """document: what --json prints; failure: the sentence for stderr (exit code 2) when something was not done."""

    document: dict[str, Any]
    failure: str | None = None


def argument(help: str, *, metavar: str = "", label: str = "", default: Any = None) -> Any:
    """A positional input, required where it has no default."""
    form = Form(help, positional=True, default=default, metavar=metavar, label=label)
    return dataclasses.field(default=dataclasses.MISSING if default is None else default, metadata={"form": form})


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    metavar: str = "",
    here: bool = False,
    label: str = "",
) -> Any:
    """A named input with a default and, for numbers, a range that `check` holds. here: not over REST or page."""
    form = Form(help, False, default, low, high, unit, metavar, here, label)
    return dataclasses.field(default=default, metadata={"form": form})


@dataclass(frozen=True)
class Task:
    """name: the verb ("look", "create.portrait"); inputs: the dataclass; help: one sentence for people; use: where the
    function is that does it ("visavis.app.look:use"); long: takes so long that a server makes a job of it; album:
    reads or changes the album; systems: done by systems of the registry, whose options are inputs too.

    use(inputs, quiet), or of systems use(inputs, quiet, options), gives an `Outcome`; it writes for people to stdout
    unless quiet.
    """

    name: str
    inputs: type[Any]
    help: str
    use: str
    long: bool = False
    album: bool = False
    systems: bool = False

    def forms(self) -> list[tuple[str, Any, Form]]:
        """(field name, type with its annotations, form) of every input, in order."""
        return forms_of(self.inputs)

    def do(self, inputs: Any, quiet: bool, *options: Mapping[str, Any]) -> Outcome:
        """Imports what does it and calls that."""
        module, _, name = self.use.partition(":")
        made: Outcome = getattr(importlib.import_module(module), name)(inputs, quiet, *options)
        return made


def forms_of(inputs: type[Any]) -> list[tuple[str, Any, Form]]:
    """(field name, type with its annotations, form) of every field of such a dataclass, in order."""
    hints = get_type_hints(inputs, include_extras=True)
    return [(f.name, hints[f.name], f.metadata["form"]) for f in dataclasses.fields(inputs)]


def check(inputs: Any) -> None:
    """Raises InputError where a number lies outside its declared range."""
    for field in dataclasses.fields(inputs):
        form: Form = field.metadata["form"]
        value = getattr(inputs, field.name)
        low = -math.inf if form.low is None else form.low
        high = math.inf if form.high is None else form.high
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not low <= number <= high:
                span = f"from {low:g}" + ("" if form.high is None else f" to {high:g}")
                raise InputError(
                    f"--{field.name.replace('_', '-')} is a number {span} {form.unit}".rstrip() + f", not {number:g}."
                )
