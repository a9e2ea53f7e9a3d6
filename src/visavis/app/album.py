"""`visavis album`, `visavis person`, `visavis forget`: the album on the command line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from visavis.app import words
from visavis.app.adding import Report
from visavis.app.library import Album
from visavis.app.say import say, say_json, table
from visavis.app.words import one_in
from visavis.core import album_tasks as tasks
from visavis.core.errors import InputError
from visavis.core.settings import settings, without_password
from visavis.core.task import Outcome
from visavis.media.paths import shown
from visavis.people.persons import Person
from visavis.people.search import Found

SKIPPED_SHOWN = 20


@contextmanager
def _album(*, new: bool = False) -> Iterator[Album]:
    """The album of the settings. new: one that is not there may be made; else a mistyped path would look like an empty
    album."""
    place = settings().album
    if not new and "://" not in place and not Path(place).expanduser().exists():
        raise InputError(f"There is no album {shown(place)}: adding photos makes one.")
    with Album(place) as album:
        yield album


def add(inputs: tasks.AlbumAdd, quiet: bool) -> Outcome:
    """Adds once; with `every` again and again until it is interrupted, with a report, or where quiet a document, each
    time."""
    pause = _seconds(inputs.every) if inputs.every else None
    while True:
        with _album(new=True) as album:
            report = album.add(
                *map(str, inputs.sources),
                read_names=inputs.read_names,
                bring_back=inputs.bring_back,
                processes=None,
            )
        document = {"schema": "visavis.add/1", **vars(report), "counts": dict(report.counts)}
        if not quiet:
            _say_report(report)
        if pause is None:
            return Outcome(document)
        if quiet:  # there is no end at which the caller could print it
            say_json(document)
        time.sleep(pause)


def people(inputs: tasks.AlbumPeople, quiet: bool) -> Outcome:
    """Groups where something changed; those whom nobody named and who are on one photo only are left out without
    `all`."""
    with _album() as album:
        questions = album.group(again=inputs.again) or album.questions()
        everybody = album.people()
        suggested = album.suggestions()
    found = [p for p in everybody if inputs.all or p.name or p.photos > 1]
    called = {p.id: p.called for p in everybody}
    if not quiet:
        if not found:
            say("Nobody is on more than one photo yet; --all shows everybody.")
        else:
            lines = [
                (f"#{p.id}", p.name or "", str(p.photos), str(p.faces), ", ".join(suggested.get(p.id, [])), _consent(p))
                for p in found
            ]
            table(("id", "name", "photos", "faces", "suggested", "consent"), lines)
        for q in questions[:10]:
            first, second = called.get(q.first), called.get(q.second)
            say(
                f"The same person? {first} and {second}: about {one_in(q.rate)} strangers look this alike. "
                f"Yes: visavis album merge '{first}' '{second}'; no: album differ."
            )
    rows = [_row(p) | {"suggested": suggested.get(p.id, [])} for p in found]
    asked = [{"first": q.first, "second": q.second, "rate": q.rate} for q in questions]
    return Outcome({"schema": "visavis.people/1", "people": rows, "same": asked})


def find(inputs: tasks.AlbumFind, quiet: bool) -> Outcome:
    """A photo without a face, or without face number `face`, is an InputError."""
    with _album() as album:
        found = album.find(inputs.photo, face=inputs.face)
    if not quiet:
        say(verdict(found))
        if found.hits:
            rows = [(hit.called, str(hit.faces), f"{hit.expected:.2g}") for hit in found.hits]
            table(("person", "faces", "strangers expected to score as well"), rows)
    hits = [vars(hit) for hit in found.hits]
    return Outcome({"schema": "visavis.find/1", "verdict": found.verdict, "searched": found.searched, "hits": hits})


def name(inputs: tasks.AlbumName, quiet: bool) -> Outcome:
    with _album() as album:
        return _said("album.name", album.name(inputs.called, inputs.new), quiet)


def merge(inputs: tasks.AlbumMerge, quiet: bool) -> Outcome:
    with _album() as album:
        return _said("album.merge", album.merge(inputs.kept, inputs.other), quiet)


def differ(inputs: tasks.AlbumDiffer, quiet: bool) -> Outcome:
    with _album() as album:
        return _said("album.differ", album.differ(inputs.first, inputs.second), quiet)


def split(inputs: tasks.AlbumSplit, quiet: bool) -> Outcome:
    with _album() as album:
        return _said("album.split", album.split(inputs.called, inputs.faces, inputs.to), quiet)


def reject(inputs: tasks.AlbumReject, quiet: bool) -> Outcome:
    with _album() as album:
        return _said("album.reject", album.reject(inputs.faces), quiet)


def show(inputs: tasks.AlbumShow, quiet: bool) -> Outcome:
    with _album() as album:
        rows = album.faces(inputs.called)
    if not quiet:
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
    return Outcome({"schema": "visavis.album/1", "faces": rows})


def undo(inputs: tasks.AlbumUndo, quiet: bool) -> Outcome:
    with _album() as album:
        return _said("album.undo", f"Taken back: {album.undo()}", quiet)


def export(inputs: tasks.AlbumExport, quiet: bool) -> Outcome:
    """`out` may be left out for XMP sidecars only: else an InputError."""
    if not inputs.out and inputs.as_ != "xmp":
        raise InputError(f"Name the file or folder to write: visavis album export OUT --as {inputs.as_}")
    with _album() as album:
        written = album.export(inputs.out, inputs.as_)
    return _said("album.export", f"written: {written} {_WRITTEN.get(inputs.as_, 'faces')}", quiet)


_WRITTEN = {"xmp": "sidecars", "links": "links"}


def person_add(inputs: tasks.PersonAdd, quiet: bool) -> Outcome:
    """A photo on which the main face cannot be told is an InputError, and nothing is changed."""
    with _album(new=True) as album:
        made = album.person(
            inputs.name, [str(photo) for photo in inputs.photos], consent=inputs.consent, until=inputs.until
        )
    if not quiet:
        faces = f"{made.faces} face{'' if made.faces == 1 else 's'}"
        say(f"{made.called}: {faces}, {_consent(made) or 'no consent noted'}.")
    return Outcome({"schema": "visavis.person/1", **_row(made)})


def forget(inputs: tasks.Forget, quiet: bool) -> Outcome:
    """The document is the receipt, which lies in the user's data folder as well."""
    with _album() as album:
        receipt = album.forget(inputs.called)
    if not quiet:
        first, *further = words.receipt(vars(receipt))
        say(f"{inputs.called} is forgotten: {first}")
        for sentence in further:
            say(sentence)
    return Outcome({"schema": "visavis.receipt/1", **vars(receipt)})


def _said(task: str, sentence: str, quiet: bool) -> Outcome:
    """What is told in one sentence."""
    if not quiet:
        say(sentence)
    return Outcome({"schema": f"visavis.{task}/1", "said": sentence})


def _seconds(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1]) * unit
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 7 * 86400:
        raise InputError(f"--every is a time such as 60s, 5m or 1h, not {text!r}.")
    return seconds


def _say_report(report: Report) -> None:
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
    silent = ("not a photo by", "hidden")
    told = [row for row in report.skipped if not row[1].startswith(silent)]
    for path, reason in told[:SKIPPED_SHOWN]:
        say(f"{shown(path)}  skipped: {reason}")
    kinds = Counter(_kind(path, reason) for path, reason in report.skipped if reason.startswith(silent))
    kinds["unreadable"] += len(told[SKIPPED_SHOWN:])
    left = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common() if count)
    if left:
        say(f"more skipped: {left}; --json lists all.")


def _kind(path: str, reason: str) -> str:
    return "hidden" if reason.startswith("hidden") else Path(path).suffix.lower() or "without a suffix"


def verdict(found: Found) -> str:
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
    return vars(person) | {"until": until, "album": without_password(person.album)}


def _consent(person: Person) -> str:
    if not person.consent:
        return ""
    return f"{person.consent}, until {person.until}" if person.until else person.consent
