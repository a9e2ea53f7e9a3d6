"""The command line: tasks as verbs, exit codes, messages of at most two sentences on stderr."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Annotated, Any

import typer

from visavis.app import bases, bench, forms, systems, train, weights
from visavis.app.say import ReaderGone, say
from visavis.app.serve.command import serve
from visavis.core import registry
from visavis.core.errors import InputError, VisavisError

# typer brings its own copy of click and exports only some of its errors; this is the base of those it exports.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Faces whose identity matters: who is on this photo, and is it the same person?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def common(
    threads: forms.Threads = None,
    device: forms.Device = None,
    licence: forms.Licence = None,
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an internal error")] = False,
) -> None:
    forms.set_common(threads, device, licence)
    if debug:
        os.environ["VISAVIS_DEBUG"] = "1"


_groups = {
    name: typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
    for name, help in (
        ("create", "Make pictures of faces."),
        ("measure", "Judge pictures that somebody made."),
        ("album", "People on many photos: add folders, group, name, find, forget."),
        ("person", "A person by name, and what they consented to."),
    )
}


def _group(verb: str) -> typer.Typer:
    """The commands below a verb; a verb that only another distribution has gets a group of its own."""
    if not verb:
        return app
    if verb not in _groups:
        _groups[verb] = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    return _groups[verb]


for _task in registry.tasks().values():
    _verb, _, _rest = _task.name.rpartition(".")
    _cards = registry.systems_for(_task.name) if _task.systems else ()
    forms.add_command(_group(_verb), _task, _cards)


@app.command()
def demo(
    folder: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="photos; left out: six free portraits")
    ] = None,
    out: Annotated[str, typer.Option("--out", help="folder of the page")] = "visavis-demo",
    threads: forms.Threads = None,
) -> None:
    """Write a page that shows who is on a folder of photos, and which photos show the same person."""
    from pathlib import Path

    from visavis.app.demo import demo as make

    forms.set_common(threads)
    page = make(Path(folder) if folder else None, Path(out))
    say(f"Open {page.resolve().as_uri()}")


@app.command()
def calibrate(
    recogniser: Annotated[str, typer.Option(metavar="A|FILE.onnx", help="whose scores are calibrated")] = "A",
    template: Annotated[
        str, typer.Option(metavar="recognise|portrait|dlib", help="crop that FILE.onnx reads")
    ] = "recognise",
    mean: Annotated[float, typer.Option(help="FILE.onnx reads (pixel - mean) / std")] = 127.5,
    std: Annotated[float, typer.Option(help="see --mean")] = 127.5,
    strangers: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="own strangers: a photo or a subfolder for each person; may be repeated"),
    ] = None,
    out: Annotated[str | None, typer.Option(help="folder of the tables; must be named for an own recogniser")] = None,
) -> None:
    """Measure how often strangers score how high, and write the tables that `compare` states."""
    from pathlib import Path

    from visavis.bench.calibrate import run as measure
    from visavis.bench.recogniser import Recogniser

    chosen = Recogniser.named(recogniser, template=template, mean=mean, std=std)
    if out is None and (chosen.file is not None or strangers):
        raise InputError("Name a folder for the tables with --out: the shipped ones are for recogniser A.")
    path = measure(Path(out) if out else None, chosen, [Path(folder) for folder in strangers or ()])
    say(f"written: {path}")


@app.command("calibrate-geometry")
def calibrate_geometry(count: Annotated[int, typer.Option(min=500, help="faces of FairFace train")] = 6000) -> None:
    """Make the shipped mean face again, from which head pose and expression are read."""
    from visavis.bench.geometry import run as make

    say(f"written: {make(count)}")


@app.command("calibrate-cover")
def calibrate_cover(count: Annotated[int, typer.Option(min=500, help="faces of FairFace train")] = 3000) -> None:
    """Train the shipped network again that sees covered faces."""
    from visavis.bench.cover import run as make

    say(f"written: {make(count)}")


@app.command()
def results(
    pattern: Annotated[str, typer.Argument(help="part of a figure's name")] = "",
    folder: Annotated[str, typer.Option(help="where the figures lie")] = "results",
) -> None:
    """Print measured figures with their 95 % intervals."""
    from visavis.app.results import show

    show(pattern, folder)


@app.command()
def info(as_json: forms.Json = False) -> None:
    """Folders, settings, versions, devices and threads."""
    from visavis.app.info import show

    show(as_json)


for _name, _typer in _groups.items():
    app.add_typer(_typer, name=_name)
app.command()(bases.bases)
app.command()(systems.systems)
app.command()(systems.card)
app.command()(systems.claim)
app.command()(train.train)
app.command()(serve)
app.add_typer(train.data_app, name="data")
app.add_typer(weights.app, name="weights")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Entry point `visavis`; exit codes as in the README: 0, 1, 2, 3, 130, 143."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    try:
        code = app(arguments, prog_name="visavis", standalone_mode=False)
        if code == 130:  # typer catches Ctrl-C itself
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except VisavisError as error:
        return _fail(str(error), error.exit_code)
    except UsageError as error:
        return _fail(_sentence(error.format_message()), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("Interrupted; what was finished before is kept.", 130)
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            return _ours(error)
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror}{where}.", 2)
    except Exception as error:
        return _ours(error)


def _ours(error: Exception) -> int:
    if os.environ.get("VISAVIS_DEBUG"):
        raise error
    return _fail(f"This is a fault of visavis, not yours: {type(error).__name__}: {error}. Run again with --debug.", 1)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(message.rstrip() + "\n")
    return code


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + ". `visavis --help` lists what there is."
