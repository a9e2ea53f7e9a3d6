"""`visavis bench`: every figure again, on this machine."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from visavis.app.say import say, table
from visavis.core.errors import InputError

app = typer.Typer(help="Measure and write results/NAME.json.", no_args_is_help=True, rich_markup_mode=None)

BENCHES = {
    "detect": "Faces found and false boxes, by size, for both detectors.",
    "landmarks": "Mean error of the mesh on labelled landmarks.",
    "parser": "What each pixel of a face is: parsers against labelled masks and landmarks.",
    "quality": "How often each word of a face's quality is said, rightly and wrongly, by group.",
    "recognise": "LFW and whole photos: accuracy, true matches at set false-match rates, beside face_recognition.",
    "overlap": "People of CelebA who are in LFW too: the closest pairs.",
    "judge": "Recogniser B on portrait frames beside its teachers and A, its anchors, its independence of A.",
    "attributes": "Age and gender presentation of every copy beside a peer's, by group.",
    "autoencoder": "What is lost between a face and its latents: PSNR, likeness by the judge.",
    "nano": "Faces from text: found, as asked, as varied as photos, nobody's copy; time by steps.",
    "create": "Portraits of a person by every system: likeness, copying, obedience, time, beside plain nano.",
    "mark": "The invisible mark: read back after JPEG, crop and half size, false alarms, what it costs the picture.",
    "train": "Resuming, two processes, and the speed of every training step (writes docs/speed.md).",
    "speed": "The whole path and its parts against face_recognition and dlib, and memory.",
    "cluster": "People found in photos of 100 people and in whole photos, beside plain methods.",
    "album": "Search in albums of up to a million faces, SQLite and PostgreSQL; whether `find` is honest.",
    "crash": "`album add` killed at random moments: photos lost and doubled.",
    "forget": "Traces of a forgotten person in every byte of both databases.",
    "serve": "The server: speed beside the library, memory, nonsense, kill -9, requests that leave the machine.",
    "install": "Size and time of a fresh installation (run in a checkout).",
}


# These draw their worst errors too, where a folder is named.
DRAWN = ("overlap", "judge", "attributes", "parser", "autoencoder", "nano", "create", "mark")
Sheets = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="draw the worst errors here; research photos: not to be published"),
]


def _add(name: str, help: str) -> None:
    def drawn(sheets: Sheets = None) -> None:
        run(name, sheets)

    def plain() -> None:
        run(name)

    app.command(name, help=help)(drawn if name in DRAWN else plain)


def run(name: str, sheets: Path | None = None) -> None:
    """Measures and writes results/NAME.json; sheets: a folder for pictures of the worst errors."""
    measure = importlib.import_module(f"visavis.bench.{name}").run
    measure(sheets) if name in DRAWN else measure()
    say(f"written: results/{name}.json (visavis results {name} prints it)")


for _name, _help in BENCHES.items():
    if _name != "install":
        _add(_name, _help)


@app.command()
def install(
    tests: Annotated[bool, typer.Option(help="time `make test` too")] = True,
) -> None:
    """Size and time of a fresh installation (run in a checkout)."""
    importlib.import_module("visavis.bench.install").run(tests)
    say("written: results/install.json (visavis results install prints it)")


@app.command()
def learning(
    runs: Annotated[
        list[str], typer.Argument(metavar="SLUG=RUN...", help="the run whose weights ship, of each system")
    ],
) -> None:
    """Likeness over training samples, from what the runs wrote down."""
    importlib.import_module("visavis.bench.learning").run(runs)
    say("written: results/learning.json and learning.png")


@app.command("all")
def everything() -> None:
    """All of them, and `visavis calibrate`."""
    failed = []
    for name in ("calibrate", *BENCHES):
        try:
            run(name)
        except InputError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise InputError(f"Not measured: {' '.join(failed)}")


@app.command()
def verify(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS.csv", help="columns a, b (photos), same (1 or 0), optional group")
    ],
    recogniser: Annotated[str, typer.Option(metavar="A|FILE.onnx", help="which recogniser is measured")] = "A",
    template: Annotated[
        str, typer.Option(metavar="recognise|portrait|dlib", help="the crop that FILE.onnx reads")
    ] = "recognise",
    mean: Annotated[float, typer.Option(help="FILE.onnx reads (pixel - mean) / std")] = 127.5,
    std: Annotated[float, typer.Option(help="see --mean")] = 127.5,
    out: Annotated[Path, typer.Option(help="folder of figures, DET curve and scores")] = Path("verify"),
) -> None:
    """Verification figures of a recogniser on your own pairs: accuracy, EER, true matches, DET curve, every score."""
    from visavis.bench.recogniser import Recogniser
    from visavis.bench.verify import verify as measure

    chosen = Recogniser.named(recogniser, template=template, mean=mean, std=std)
    rows = measure(pairs, chosen, out)
    table(("figure", "value", "95 %"), [(f.name, f"{f.value:.4f}", _interval(f.low, f.high)) for f in rows])
    say(f"written: {out}/verify.json, det.csv, det.png, scores.csv")


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
