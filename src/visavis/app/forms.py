"""A typer command from a task's declaration: arguments, options, ranges and help come from nowhere else."""

from __future__ import annotations

import dataclasses
import inspect
import os
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from visavis.app.say import say_json
from visavis.core.card import Card
from visavis.core.errors import InputError
from visavis.core.settings import settings
from visavis.core.task import Form, Task, check, forms_of


def add_command(app: typer.Typer, task: Task, cards: Sequence[Card] = ()) -> None:
    """Adds the task as a command; with --json its document is the only thing on stdout.

    cards: of the systems that do it; what they let a user turn are options as well.
    """
    turned, common = turned_by(cards), {**COMMON, **({"album": Album} if task.album else {})}

    def command(**values: Any) -> None:
        as_json = values.pop("json")
        set_common(**{key: values.pop(key) for key in common})
        given = {name: values.pop(name) for name in turned}
        inputs = task.inputs(**values)
        check(inputs)
        more = ({name: value for name, value in given.items() if value is not None},) if task.systems else ()
        outcome = task.do(inputs, as_json, *more)
        if as_json:
            say_json(outcome.document)
        if outcome.failure:
            raise InputError(outcome.failure)

    parameters = [_parameter(*form) for form in task.forms()]
    parameters += [_parameter(name, hint, form) for name, (hint, form) in turned.items()]
    parameters.append(_keyword("json", False, Json))
    parameters += [_keyword(name, None, hint) for name, hint in common.items()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = task.help
    app.command(task.name.rpartition(".")[2])(command)


def turned_by(cards: Sequence[Card]) -> dict[str, tuple[Any, Form]]:
    """The options of systems by name, each said to be whose; None where it is not given."""
    made: dict[str, tuple[Any, Form]] = {}
    for card in cards:
        for name, hint, form in forms_of(card.options):
            text = f"{card.slug}: {form.help}" + ("" if form.default == "" else f", {form.default} unless given")
            if name in made:
                text = f"{made[name][1].help}; {text}"
            made[name] = (hint | None, dataclasses.replace(form, help=text, default=None))
    return made


Threads = Annotated[int | None, typer.Option(min=1, help="threads of both runtimes [VISAVIS_THREADS]")]
Device = Annotated[str | None, typer.Option(metavar="cpu|cuda", help="where networks run [VISAVIS_DEVICE]")]
Licence = Annotated[
    str | None,
    typer.Option(metavar="any|commercial", help="commercial: only weights with permissive terms [VISAVIS_LICENCE]"),
]
Album = Annotated[str | None, typer.Option(metavar="PATH|URL", help="which album [VISAVIS_ALBUM]", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else on stdout")]
COMMON = {"threads": Threads, "device": Device, "licence": Licence}


def set_common(
    threads: int | None = None, device: str | None = None, licence: str | None = None, album: str | None = None
) -> None:
    """Settings are read from the environment everywhere; the command line only writes them there."""
    for name, value in (("THREADS", threads), ("DEVICE", device), ("LICENCE", licence), ("ALBUM", album)):
        if value is not None:
            os.environ[f"VISAVIS_{name}"] = str(value)
    settings()  # a wrong value is said before any work


def _parameter(name: str, hint: Any, form: Form) -> inspect.Parameter:
    help_text = form.help + (f" ({form.unit})" if form.unit else "")
    metavar = form.metavar or None
    if form.positional:
        info: Any = typer.Argument(help=help_text, metavar=metavar)
        default = inspect.Parameter.empty if form.default is None else form.default
        return _keyword(name, default, Annotated[_plain(hint), info])
    # A field that is called like a word of Python ends in an underscore: as_ is --as.
    info = typer.Option("--" + name.rstrip("_").replace("_", "-"), help=help_text, metavar=metavar)
    default = list(form.default) if isinstance(form.default, tuple) else form.default
    return _keyword(name, default, Annotated[_plain(hint), info])


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plain(hint: Any) -> Any:
    """The type that typer reads: a photo, folder or output path is a string here; None says nothing."""
    if get_origin(hint) is Annotated:
        return str
    if get_origin(hint) in (Union, types.UnionType):
        kinds = {_plain(part) for part in get_args(hint) if part is not type(None)}
        (kind,) = kinds
        return kind if type(None) not in get_args(hint) else kind | None
    if get_origin(hint) is list:
        return list[_plain(get_args(hint)[0])]  # type: ignore[misc]
    return hint
