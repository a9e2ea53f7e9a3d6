"""What a client may fill in of a task: its declared inputs without those that name files of this machine."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from visavis.app.forms import turned_by
from visavis.app.serve.roots import Roots
from visavis.core import registry, weights
from visavis.core.errors import InputError
from visavis.core.task import BaseIn, FolderIn, Form, OutPath, PhotoIn, Task, check

Kind = Literal["photo", "folder", "photo or folder", "base", "text", "whole number", "number", "yes or no", "choice"]
_PLAIN: dict[Any, Kind] = {str: "text", int: "whole number", float: "number", bool: "yes or no"}


@dataclass(frozen=True)
class Field:
    """One thing to fill in. many: any number of them; optional: may be left out; choices: of the kind "choice";
    option: belongs to systems, by their cards."""

    name: str
    kind: Kind
    form: Form
    many: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    option: bool = False

    @property
    def default(self) -> Any:
        return list(self.form.default) if isinstance(self.form.default, tuple) else self.form.default


def fields(task: Task) -> list[Field]:
    """All that a client may fill in, the options of the systems that do it last."""
    cards = registry.systems_for(task.name) if task.systems else ()
    own = [(name, hint, form, False) for name, hint, form in task.forms()]
    theirs = [(name, hint, form, True) for name, (hint, form) in turned_by(cards).items()]
    made = (_field(*one) for one in own + theirs if not one[2].here)
    return [field for field in made if field is not None]


def _field(name: str, hint: Any, form: Form, option: bool) -> Field | None:
    """None where it names a place to write."""
    optional = not form.positional or form.default is not None
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        left = [part for part in get_args(hint) if part is not type(None)]
        hint, optional = (left[0] if len(left) == 1 else Union[tuple(left)]), True  # noqa: UP007
    many = get_origin(hint) is list
    if many:
        (hint,) = get_args(hint)
    parts = set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}
    if OutPath in parts:
        return None
    if get_origin(hint) is Literal:
        return Field(name, "choice", form, many, optional, tuple(map(str, get_args(hint))), option)
    kind: Kind
    if {PhotoIn, FolderIn} <= parts:
        kind = "photo or folder"
    elif PhotoIn in parts:
        kind = "photo"
    elif FolderIn in parts:
        kind = "folder"
    elif BaseIn in parts:
        kind = "base"
    else:
        kind = _PLAIN[get_args(hint)[0] if get_origin(hint) is Annotated else hint]
    return Field(name, kind, form, many, optional, (), option)


def filled(task: Task, given: Mapping[str, Any], roots: Roots, out: Path | None) -> tuple[Any, dict[str, Any]]:
    """(inputs, options of the system) from what a client filled in; what was left out keeps its default.

    given: by field name; photos are paths of uploads, folders as clients say them, and where a field takes both,
    folders stand under its name with `_folder`. out: where the task may write. Raises InputError for what is out of
    range, an unknown choice, and for places that are not offered.
    """
    values, options = dict[str, Any](), dict[str, Any]()
    for field in fields(task):
        value = _value(field, given, roots)
        if value is None:
            continue
        (options if field.option else values)[field.name] = value
    if out is not None:
        for name, hint, form in task.forms():
            if hint == OutPath and not form.positional:
                values[name] = str(out)
    lacking = [f.name for f in fields(task) if not f.optional and f.name not in values]
    if lacking:
        raise InputError(f"{', '.join(lacking)} must be given.")
    inputs = task.inputs(**values)
    check(inputs)
    return inputs, options


def _value(field: Field, given: Mapping[str, Any], roots: Roots) -> Any:
    value = given.get(field.name)
    if field.kind == "photo or folder":
        below = [str(roots.resolve(said)) for said in given.get(f"{field.name}_folder") or ()]
        return [*map(str, value or ()), *below] or None
    if field.kind == "photo" and isinstance(value, list) and not field.many:
        value = value[0] if value else None
    if value is None or (field.many and not value):
        return None
    if field.kind == "folder":
        if field.many:
            return [str(roots.resolve(said)) for said in value]
        return str(roots.whole(value)) if value else None
    if field.kind == "base" and value and not weights.parts(value):
        return str(roots.whole(value))  # no hub: nothing is fetched because a client says so
    if field.kind == "choice" and value not in field.choices:
        raise InputError(f"{field.name} is one of {', '.join(field.choices)}, not {value!r}.")
    return value


def tasks(roots: Roots) -> Sequence[Task]:
    """Those that a client can ask for: not where a required input names a place to write, or a folder where none is
    offered."""
    made = []
    for task in registry.tasks().values():
        known = {field.name: field for field in fields(task)}
        required = [name for name, _, form in task.forms() if form.positional]
        if all(name in known and (known[name].kind != "folder" or roots.folders) for name in required):
            made.append(task)
    return made
