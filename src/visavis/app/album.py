"""`visavis album`, `visavis person`, `visavis forget`: the album on the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say, say_json, table
from visavis.core.errors import InputError
from visavis.media.paths import shown

if TYPE_CHECKING:
    from visavis.app.adding import Report
    from visavis.app.library import Album
    from visavis.people.persons import Person
    from visavis.people.search import Found

app = typer.Typer(
    help="People on many photos: add folders, group, name, find, forget.", no_args_is_help=True, rich_markup_mode=None
)
person_app = typer.Typer(
    help="A person by name, and what they consented to.", no_args_is_help=True, rich_markup_mode=None
)

Where = Annotated[
    str | None, typer.Option("--album", metavar="PATH|URL", help="which album [VISAVIS_ALBUM]", show_default=False)
]
Called = Annotated[str, typer.Argument(metavar="PERSON", help="a name, or #ID")]
SKIPPED_SHOWN = 20


@contextmanager
def _album(where: str | None, *, new: bool = False) -> Iterator[Album]:
    """new: an album that is not there may be made; else a mistyped path would look like an empty album."""
    from visavis.app.library import Album
    from visavis.core.settings import settings

    place = where or settings().album
    if not new and "://" not in place and not Path(place).expanduser().exists():
        raise InputError(f"There is no album {shown(place)}; `visavis album add FOLDER` makes one.")
    album = Album(place)
    try:
        yield album
    finally:
        album.close()


@app.command()
def add(
    sources: Annotated[list[str], typer.Argument(metavar="FOLDER|PHOTO|VIDEO")],
    album: Where = None,
    every: Annotated[
        str | None, typer.Option(metavar="60s", help="look again after this time (s, m, h), until Ctrl-C")
    ] = None,
    read_names: Annotated[bool, typer.Option("--read-names", help="take names from XMP as suggestions")] = False,
    bring_back: Annotated[bool, typer.Option("--bring-back", help="faces of forgotten people too")] = False,
    threads: forms.Threads = None,
    as_json: forms.Json = False,
) -> None:
    """Add photos, videos and folders; what is known is skipped, what went is reported."""
    forms.set_common(threads)
    pause = _seconds(every) if every else None
    while True:
        with _album(album, new=True) as opened:
            report = opened.add(*sources, read_names=read_names, bring_back=bring_back, processes=None)
        _say_report(report, as_json)
        if pause is None:
            return
        time.sleep(pause)


@app.command()
def people(
    album: Where = None,
    everybody: Annotated[bool, typer.Option("--all", help="also who is on one photo only")] = False,
    again: Annotated[bool, typer.Option("--again", help="group anew even where nothing changed")] = False,
    as_json: forms.Json = False,
) -> None:
    """Who is in the album, grouped by face; and who may be the same person."""
    from visavis.app.words import one_in

    with _album(album) as opened:
        questions = opened.group(again=again) or opened.questions()
        found = [p for p in opened.people() if everybody or p.name or p.photos > 1]
        called = {p.id: p.called for p in opened.people()}
        suggested = opened.suggestions()
    if as_json:
        rows = [_row(p) | {"suggested": suggested.get(p.id, [])} for p in found]
        asked = [{"first": q.first, "second": q.second, "rate": q.rate} for q in questions]
        say_json({"schema": "visavis.people/1", "people": rows, "same": asked})
        return
    if not found:
        say("Nobody is on more than one photo yet; --all shows everybody.")
    else:
        rows_ = [
            (f"#{p.id}", p.name or "", str(p.photos), str(p.faces), ", ".join(suggested.get(p.id, [])), _consent(p))
            for p in found
        ]
        table(("id", "name", "photos", "faces", "suggested", "consent"), rows_)
    for q in questions[:10]:
        say(
            f"The same person? {called.get(q.first)} and {called.get(q.second)}: about {one_in(q.rate)} strangers look "
            f"this alike. Yes: visavis album merge '{called.get(q.first)}' '{called.get(q.second)}'; no: album differ."
        )


@app.command()
def find(
    photo: Annotated[str, typer.Argument(metavar="PHOTO")],
    album: Where = None,
    face: Annotated[int, typer.Option(min=0, help="which face of the photo (0: the main one)")] = 0,
    as_json: forms.Json = False,
) -> None:
    """Who in the album is on this photo, and how many strangers in an album of this size would look as alike."""
    with _album(album) as opened:
        found = opened.find(photo, face=face)
    if as_json:
        hits = [vars(hit) for hit in found.hits]
        say_json({"schema": "visavis.find/1", "verdict": found.verdict, "searched": found.searched, "hits": hits})
        return
    say(_verdict(found))
    if found.hits:
        rows = [(hit.called, str(hit.faces), f"{hit.expected:.2g}") for hit in found.hits]
        table(("person", "faces", "strangers expected to score as well"), rows)


@app.command()
def name(called: Called, new: Annotated[str, typer.Argument(metavar="NAME")], album: Where = None) -> None:
    """Name a person."""
    with _album(album) as opened:
        say(opened.name(called, new))


@app.command()
def merge(kept: Called, other: Called, album: Where = None) -> None:
    """Two people are one; later photos go to the first."""
    with _album(album) as opened:
        say(opened.merge(kept, other))


@app.command()
def differ(first: Called, second: Called, album: Where = None) -> None:
    """Two people are not one; never joined, not asked about again."""
    with _album(album) as opened:
        say(opened.differ(first, second))


@app.command()
def split(
    called: Called,
    faces: Annotated[list[int], typer.Argument(metavar="FACE", help="ids, as `album show` lists them")],
    to: Annotated[str | None, typer.Option(help="whose they are")] = None,
    album: Where = None,
) -> None:
    """Take faces out of a person."""
    with _album(album) as opened:
        say(opened.split(called, faces, to))


@app.command()
def reject(
    faces: Annotated[list[int], typer.Argument(metavar="FACE", help="ids, as `album show` lists them")],
    album: Where = None,
) -> None:
    """These are no faces."""
    with _album(album) as opened:
        say(opened.reject(faces))


@app.command()
def show(called: Called, album: Where = None, as_json: forms.Json = False) -> None:
    """The faces of a person: ids, files, boxes."""
    with _album(album) as opened:
        rows = opened.faces(called)
    if as_json:
        say_json({"schema": "visavis.album/1", "faces": rows})
        return
    table(
        ("face", "box (share of the photo)", "by", "file"),
        [
            (
                str(row["face"]),
                " ".join(f"{row[side]:.2f}" for side in ("x1", "y1", "x2", "y2")),
                "you" if row["by_user"] else "grouping",
                shown(row["path"]),
            )
            for row in rows
        ],
    )


@app.command()
def undo(album: Where = None) -> None:
    """Take back the last name, merge, split, reject or person."""
    with _album(album) as opened:
        say(f"Taken back: {opened.undo()}")


@app.command()
def export(
    out: Annotated[str, typer.Argument(help="file or folder; not used for xmp")] = "",
    kind: Annotated[str, typer.Option("--as", metavar="json|csv|links|xmp")] = "json",
    album: Where = None,
) -> None:
    """Write who is where: a JSON or CSV file, folders of links, or XMP sidecars beside the photos."""
    if kind not in ("json", "csv", "links", "xmp"):
        raise InputError(f"--as is json, csv, links or xmp, not {kind!r}.")
    if not out and kind != "xmp":
        raise InputError("Name the file or folder to write: visavis album export OUT --as " + kind)
    with _album(album) as opened:
        written = opened.export(out, kind)  # type: ignore[arg-type]
    say(f"written: {written} {'sidecars' if kind == 'xmp' else 'links' if kind == 'links' else 'faces'}")


@person_app.command("add")
def person_add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="photos with one clear main face each")],
    consent: Annotated[str | None, typer.Option(help="what they agreed to")] = None,
    until: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="last day of that")] = None,
    album: Where = None,
) -> None:
    """A person by name, with photos of them and what they agreed to."""
    with _album(album, new=True) as opened:
        made = opened.person(name, photos, consent=consent, until=until)
    say(f"{made.called}: {made.faces} face{'' if made.faces == 1 else 's'}, {_consent(made) or 'no consent noted'}.")


def forget(called: Called, album: Where = None, as_json: forms.Json = False) -> None:
    """Forget a person for good: vectors, pictures, name; with a proof. Cannot be undone."""
    with _album(album) as opened:
        receipt = opened.forget(called)
    if as_json:
        say_json({"schema": "visavis.receipt/1", **vars(receipt)})
        return
    say(f"{called} is forgotten: {receipt.faces} faces on {receipt.photos} photos.")
    say(
        f"Read byte by byte: {len(receipt.searched)} files; traces of a vector or picture found: {receipt.bytes_found}."
    )
    if receipt.still_found:
        alike = ", ".join(receipt.still_found)
        say(f"A search with the old vectors still finds {alike}: the same person, or somebody very alike.")
    else:
        say("A search with the old vectors finds nobody.")
    say("Kept, so that the same files do not bring them back: file hash and box of each face (no biometric).")
    say(f"Cannot be reached from here: {'; '.join(receipt.out_of_reach)}.")
    say(receipt.note)
    say(f"Receipt: {receipt.file}")


def _seconds(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1]) * unit
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 7 * 86400:
        raise InputError(f"--every is a time such as 60s, 5m or 1h, not {text!r}.")
    return seconds


def _say_report(report: Report, as_json: bool) -> None:
    if as_json:
        say_json({"schema": "visavis.add/1", **vars(report), "counts": dict(report.counts)})
        return
    counted = ", ".join(f"{count} {word}" for word, count in sorted(report.counts.items())) or "no photo"
    say(f"{counted}; {report.faces} new face{'' if report.faces == 1 else 's'}.")
    if report.names:
        say(f"{report.names} names suggested by the photos; `visavis album people` shows them.")
    if report.left_out:
        say(f"{report.left_out} faces of forgotten people left out (--bring-back adds them).")
    for path in report.gone[:SKIPPED_SHOWN]:
        say(f"{shown(path)}  is gone")
    if len(report.gone) > SKIPPED_SHOWN:
        say(f"{len(report.gone) - SKIPPED_SHOWN} more are gone; --json lists all.")
    told = [row for row in report.skipped if not row[1].startswith(("not a photo by", "hidden"))]
    for path, reason in told[:SKIPPED_SHOWN]:
        say(f"{shown(path)}  skipped: {reason}")
    left = len(report.skipped) - len(told[:SKIPPED_SHOWN])
    if left:
        say(f"{left} more skipped, such as hidden files and what is no photo; --json lists all.")


def _verdict(found: Found) -> str:
    people = f"{found.searched} {'person' if found.searched == 1 else 'people'}"
    if found.verdict == "nobody":
        return f"Nobody: no one of the {people} in this album scores better than chance."
    best = found.hits[0]
    if found.verdict == "found":
        return (
            f"Found: {best.called}. Among {people}, {best.expected:.2g} strangers would be expected to score this well."
        )
    return f"Candidates, not told from chance in an album of this size ({people}), best first:"


def _row(person: Person) -> dict[str, Any]:
    until = person.until.isoformat() if person.until else None
    return vars(person) | {"until": until}


def _consent(person: Person) -> str:
    if not person.consent:
        return ""
    return f"{person.consent}, until {person.until}" if person.until else person.consent
