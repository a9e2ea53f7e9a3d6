"""`visavis train` and `visavis data`: the command line of the training ground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visavis.app import forms
from visavis.app.say import say
from visavis.core.errors import InputError

Data = Annotated[
    str | None,
    typer.Option("--data", metavar="SET|FOLDER|FILE", help="a data set by name, a folder of photos, .parquet or .tar"),
]


def train(
    name: Annotated[str, typer.Argument(help="judge, attributes, parser, autoencoder, nano, or a system")],
    data: Data = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="stop after so long; --resume goes on (default 60)")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run of this name")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change a setting; may be repeated")
    ] = None,
    run: Annotated[str | None, typer.Option(help="folder below VISAVIS_HOME/runs (default: the name)")] = None,
    threads: forms.Threads = None,
    device: forms.Device = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="write TensorBoard's files too")] = False,
    ship: Annotated[
        bool, typer.Option("--ship", help="put the best weights into the shipped ones; alone: no training")
    ] = False,
) -> None:
    """Train one of the networks that visavis knows; on several machines: accelerate launch -m visavis train NAME."""
    from visavis.training import launch

    forms.set_common(threads=threads, device=device)
    if ship and minutes is None and not resume and (data or settings):
        raise InputError("--ship alone ships a run as it was trained: leave --data and --set out.")
    if not ship or minutes is not None or resume:
        result, folder = launch.start(
            name,
            data=data,
            minutes=minutes or 60,
            resume=resume,
            settings=settings or (),
            run=run,
            trackers="tensorboard" if tensorboard else "",
        )
        figures = "  ".join(f"{key} {value:.4g}" for key, value in result.figures.items())
        say(f"{'finished' if result.finished else 'stopped'} at step {result.step}  {figures}".rstrip())
        say(f"Curve, sheet and weights: {folder}")
    if ship:
        say(f"shipped: {launch.ship(name, run)}")


data_app = typer.Typer(
    help="Look at data sets and pack them for another machine.", no_args_is_help=True, rich_markup_mode=None
)


@data_app.command()
def look(
    data: Annotated[
        str, typer.Argument(metavar="SET|FOLDER|FILE", help="a data set by name, a folder, .parquet or .tar")
    ],
    out: Annotated[Path, typer.Option(help="folder of the sheets")] = Path("visavis-data"),
    doubles: Annotated[bool, typer.Option(help="look for the same person in two splits (takes longer)")] = True,
) -> None:
    """Counts, a sheet of faces, broken rows, and photos of one person in two splits."""
    from visavis.training.looked import look_at

    for line in look_at(data, out, doubles):
        say(line)


@data_app.command()
def pack(
    data: Annotated[
        str, typer.Argument(metavar="SET|FOLDER|FILE", help="a data set by name, a folder, .parquet or .tar")
    ],
    budget: Annotated[str, typer.Option(help="largest size: 60MB")] = "60MB",
    frames: Annotated[
        bool,
        typer.Option("--frames", help="portrait frames and what was seen: small, nothing is looked at again"),
    ] = False,
    out: Annotated[Path, typer.Option(help="the file")] = Path("pack.parquet"),
) -> None:
    """Write a slice of a set's aligned faces that another machine trains on."""
    from visavis.training.packing import pack as write

    say(write(data, budget, out, frames))
