"""`visavis create portrait`: portraits of one person, or of many people and prompts, each with its likeness."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from visavis.app import document
from visavis.app.say import say
from visavis.core.errors import InputError, VisavisError
from visavis.core.progress import steps
from visavis.core.task import Outcome
from visavis.core.tasks import CreatePortrait
from visavis.core.types import Pixels
from visavis.media import paths
from visavis.media.folder import walk
from visavis.media.photo import open_photo
from visavis.run import sidecar
from visavis.run.output import write_sheet
from visavis.run.runner import Run, loaded, portraits

LONGEST = 40  # characters of a photo's and of a prompt's name in a file's
APART = {"person", "more", "beside", "prompt", "prompts", "out", "n", "seed", "no_consent_check"}


def use(inputs: CreatePortrait, quiet: bool, options: Mapping[str, Any]) -> Outcome:
    """Writes each picture as soon as it is judged, and of each photo and prompt (also when stopped) all of them on one
    sheet. What is there already is not made again. Where there are several photos or prompts, one that cannot be used
    is named and the others go on."""
    started = time.monotonic()
    asks = list(_asks(inputs))
    job = Job(options, quiet)
    with steps("portraits", 100 * len(asks)) as bar:
        for number, one in enumerate(asks):
            try:
                job.make(one, lambda share, number=number: bar(round(100 * (number + share)), ""))
            except VisavisError as error:
                if len(asks) == 1:
                    raise
                job.fail(f"{Path(str(one.person)).name}, {one.prompt!r}: {error}")
    if not quiet:
        there = f", {job.there} of them were there" if job.there else ""
        say(f"{len(job.rows)} pictures in {time.monotonic() - started:.1f} s{there}: {', '.join(job.sheets[:3])}")
    result = {
        "schema": "visavis.create.portrait/1",
        "notes": job.notes,
        "pictures": job.rows,
        **({"sheet": job.sheets[0]} if len(asks) == 1 else {"sheets": [{"sheet": sheet} for sheet in job.sheets]}),
        "failed": job.failed,
        **document.origin(job.weights, time.monotonic() - started),
    }
    failed = f"{len(job.failed)} of {len(asks)} could not be made; the first: {job.failed[0]}" if job.failed else None
    return Outcome(result, failed)


class Job:
    """What was made so far. there: how many of the pictures lay there; failed: a sentence on each photo and prompt."""

    def __init__(self, options: Mapping[str, Any], quiet: bool) -> None:
        self.options, self.quiet = options, quiet
        self.rows, self.notes = list[dict[str, Any]](), list[str]()
        self.sheets, self.failed, self.there = list[str](), list[str](), 0
        self.weights: dict[str, Any] = {}
        self.ask = functools.cache(_ask) if sys.stdin.isatty() and not quiet else None
        self.load = functools.lru_cache(1)(loaded)

    def make(self, one: CreatePortrait, progress: Any) -> None:
        """All pictures of one photo and prompt that are not there."""
        stem = Path(one.out) / _name(one, self.options)
        files = [stem.with_name(f"{stem.name}-{seed:05d}.png") for seed in range(one.seed, one.seed + one.n)]
        records = {file: record for file in files if file.is_file() and (record := sidecar.read(file)) is not None}
        missing = [i for i, file in enumerate(files) if file not in records]
        pixels: dict[Path, Pixels] = {file: open_photo(file).pixels for file in records}
        self.there += len(records)
        self.rows += [{"path": str(file), **record} for file, record in records.items()]
        if not missing:
            self.sheets.append(f"{stem}.png")
            return
        # From the first that lacks on: what a stopped run left is the beginning.
        rest = dataclasses.replace(one, seed=one.seed + missing[0], n=one.n - missing[0])
        run = portraits(rest, self.options, ask=self.ask, tell=self._tell, load=self.load)
        self.weights |= run.facts["weights"]
        self.notes += run.notes
        for consent in run.consents:
            self._tell(f"consent: {consent.words}")
        try:
            self._pictures(run, files[missing[0] :], pixels, progress)
        finally:
            if pixels:
                write_sheet(f"{stem}.png", [pixels[file] for file in files if file in pixels], run.facts)
                self.sheets.append(f"{stem}.png")

    def _pictures(self, run: Run, files: list[Path], pixels: dict[Path, Pixels], progress: Any) -> None:
        for file, made in zip(files, run.pictures(progress), strict=True):
            if file not in pixels:
                made.save(file)
                self.rows.append({"path": str(file), **made.facts})
                if not self.quiet:
                    say(f"{file}  {'; '.join([made.words, *made.notes])}")
            pixels[file] = made.pixels

    def fail(self, sentence: str) -> None:
        self.failed.append(sentence)
        self._tell(sentence)

    def _tell(self, note: str) -> None:
        if not self.quiet:
            say(note)


def _asks(inputs: CreatePortrait) -> Iterator[CreatePortrait]:
    """One for each photo and prompt."""
    prompts = [inputs.prompt]
    if inputs.prompts is not None:
        if inputs.prompt:
            raise InputError("PROMPT and --prompts were both given: leave one out.")
        text = paths.read_file(inputs.prompts, _check_list)
        try:
            prompts = list(dict.fromkeys(filter(None, map(str.strip, text.decode("utf-8-sig").splitlines()))))
        except UnicodeDecodeError as error:
            raise InputError(f"{paths.shown(inputs.prompts)} is no text in UTF-8.") from error
        if not prompts:
            raise InputError(f"{paths.shown(inputs.prompts)} holds no prompt: write one on each line.")
    photos: list[Any] = [inputs.person]
    if isinstance(inputs.person, str | Path) and Path(inputs.person).is_dir():
        photos = [path for path, problem in walk([inputs.person]) if problem is None]
        if not photos:
            raise InputError(f"{paths.shown(inputs.person)} holds no photos.")
    for photo in photos:
        for prompt in prompts:
            yield dataclasses.replace(inputs, person=photo, prompt=prompt, prompts=None)


def _check_list(head: bytes, size: int) -> None:
    if size > 2**20:
        raise InputError(f"A list of prompts has at most 1 MB, not {size / 2**20:,.0f}.")


def _name(one: CreatePortrait, options: Mapping[str, Any]) -> str:
    """Of the files, without the seed: photo and prompt for people, and a few digits for all that was asked."""
    photos = [hashlib.sha256(paths.read_file(photo, _any)).hexdigest() for photo in _photos(one)]
    told = {key: value for key, value in dataclasses.asdict(one).items() if key not in APART}
    asked = [photos, len(one.beside), one.prompt, told, dict(options)]
    digits = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:6]
    words = [re.sub(r"\W+", "-", text)[:LONGEST].strip("-") for text in (Path(_photos(one)[0]).stem, one.prompt)]
    return "-".join(filter(None, [*words, digits]))


def _photos(one: CreatePortrait) -> list[Any]:
    return [one.person, *one.more, *one.beside]


def _any(head: bytes, size: int) -> None:
    pass


def _ask(question: str) -> bool:
    import typer

    return typer.confirm(question)
