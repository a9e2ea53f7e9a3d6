"""The command line: tasks as verbs, exit codes, messages of at most two sentences on stderr."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from typing import Annotated, Any

import typer

from visavis.app import forms, weights
from visavis.core.errors import VisavisError
from visavis.core.task import Task
from visavis.core.tasks import TASKS

# typer brings its own copy of click and exports only some of its errors; this is the base of those it exports.
UsageError: Any = typer.BadParameter.__mro__[1]

USES = {"look": "visavis.app.look", "compare": "visavis.app.compare"}

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
    from visavis.app.say import say

    forms.set_common(threads)
    page = make(Path(folder) if folder else None, Path(out))
    say(f"Open {page.resolve().as_uri()}")


def _late(task: Task) -> forms.Use:
    """The task's code is imported when it runs: `visavis --help` stays light."""

    def use(inputs: Any, quiet: bool) -> forms.Outcome:
        outcome: forms.Outcome = importlib.import_module(USES[task.name]).use(inputs, quiet)
        return outcome

    return use


app.add_typer(weights.app, name="weights")
for _task in TASKS:
    forms.add_command(app, _task, _late(_task))


def main() -> None:
    """Entry point `visavis`; exit codes as in the README: 0, 1, 2, 3, 130, 143."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    try:
        code = app(arguments, prog_name="visavis", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except VisavisError as error:
        return _fail(str(error), error.exit_code)
    except UsageError as error:
        return _fail(_sentence(error.format_message()), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("Interrupted; what was finished before is kept.", 130)
    except BrokenPipeError:
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
