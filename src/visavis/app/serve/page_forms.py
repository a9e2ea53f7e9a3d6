"""A form of the page for any task, from its declaration alone; what it sends goes over the desk."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from visavis.app.serve import page_words as say
from visavis.app.serve.desk import Desk, Upload, is_record
from visavis.app.serve.fields import Field, fields
from visavis.app.serve.jobs import ENDS, Job
from visavis.app.serve.leftovers import ENDED
from visavis.app.serve.page_faces import Shown
from visavis.app.serve.page_fields import file_input, folder_input, label_of, plain_input, read
from visavis.core import registry
from visavis.core.card import Card
from visavis.core.errors import InputError, VisavisError
from visavis.core.task import Task

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
PAUSE = 0.3  # seconds between two looks at a job
BEAT = 15.0  # seconds after which something is said of an unchanged job: only then does Gradio ask who has left
Told = Callable[[Mapping[str, Any], Sequence[Shown]], str]
"""HTML of a document. photos: what it tells of, where these came from uploads or folders."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing to fill in. folders: the names of offered folders for a field that takes photos, too; system: whose
    option it is."""

    field: Field
    component: Any
    folders: bool = False
    system: str = ""


class TaskForm:
    """Builds itself where it is made. told: what is shown of a document, left out: its facts and pictures; start: what
    stands in fields at first, in place of the declared defaults, and these are not tucked away; button: what it is
    called; uploads: photos may be sent, where folders may be named.

    ended: the event after which everything is done.
    """

    def __init__(
        self,
        desk: Desk,
        task: Task,
        button: str,
        told: Told | None = None,
        *,
        start: Mapping[str, Any] | None = None,
        uploads: bool = True,
    ) -> None:
        self.desk, self.task, self.told, self.start, self.takes_uploads = desk, task, told, start or {}, uploads
        self.parts: list[Part] = []
        known = [field for field in fields(task) if not field.option]
        chosen = next((field for field in known if task.systems and field.name == "system"), None)
        with gr.Group():
            self._add([f for f in known if f.form.positional and f is not chosen])
            systems = self._systems(chosen) if chosen is not None else []
            more = [f for f in known if not f.form.positional and f is not chosen and f.name not in self.start]
            self._add([f for f in known if not f.form.positional and f is not chosen and f.name in self.start])
        with gr.Accordion("More to choose", open=False, visible=bool(more)):
            self._add(more)
        with gr.Row():
            go = gr.Button(button, variant="primary")
            stop = gr.Button("Cancel", interactive=False, visible=task.long)
            drop = gr.Button("Remove what was made", visible=False)
        # In the browser: who loads the page again finds their job; it is no secret to this browser's owner.
        self.job: Any = gr.BrowserState("", storage_key=f"visavis.{task.name}", secret="visavis", render=False)
        self.result = gr.HTML(elem_classes="vv-result")
        with gr.Accordion("The same as JSON", open=False, visible=False) as whole:
            document = gr.JSON(show_label=False)
        inputs = [part.component for part in self.parts]
        self.shown = [self.result, whole, document, stop, drop, self.job]
        work: Any = self._long if task.long else self._short
        self.ended = go.click(work, inputs, self.shown, **QUIET)
        stop.click(self._cancel, self.job, stop, **QUIET)
        drop.click(self._drop, self.job, self.shown, **QUIET)
        for dropdown, columns, ideas in systems:
            dropdown.change(
                lambda slug, ideas=ideas: [*(gr.Column(visible=slug == one) for one in ideas if one), ideas[slug]],
                dropdown,
                columns,
                **QUIET,
            )

    def found_again_by(self, page: gr.Blocks) -> None:
        """Whoever loads the page again sees how far the job is that they began here, or what came of it. Called
        outside tabs: what lies in one that is not open is not read."""
        self.job.render()
        if self.task.long:
            page.load(self._again, self.job, self.shown, **QUIET)

    @property
    def uploads(self) -> list[Any]:
        return [part.component for part in self.parts if isinstance(part.component, gr.File)]

    def _add(self, known: Sequence[Field], system: Card | None = None) -> None:
        slug = "" if system is None else system.slug
        photos = [field for field in known if field.kind in ("photo", "photo or folder")]
        if photos and self.takes_uploads:
            with gr.Row():
                self.parts += [Part(field, file_input(field), system=slug) for field in photos]
        for field in known:
            dial = system is not None and field.name == system.dial
            if field.kind in ("folder", "photo or folder"):
                if self.desk.roots.folders:
                    self.parts.append(Part(field, folder_input(field, sorted(self.desk.roots.folders)), True, slug))
            elif field.kind != "photo":
                value = field.default if system is not None else self.start.get(field.name, field.default)
                self.parts.append(Part(field, plain_input(field, value, dial), system=slug))

    def _systems(self, field: Field) -> list[tuple[Any, list[Any], dict[str, str]]]:
        """The choice of a system, what each is, and its own options, its dial first."""
        cards = {card.slug: card for card in registry.systems_for(self.task.name)}
        if not cards:
            return []
        ideas = {slug: _idea(card) for slug, card in cards.items()}
        slugs: list[Any] = list(cards)
        if not field.default:
            ideas[""] = say.block(say.paragraph(f"{field.form.help[:1].upper()}{field.form.help[1:]}."))
            slugs.insert(0, ("choose for me", ""))
        first = field.default if field.default in ideas else slugs[0]
        dropdown = gr.Dropdown(slugs, value=first, label=label_of(field), info="which system makes it")
        idea, columns = gr.HTML(ideas[first], elem_classes="vv-idea"), []
        self.parts.append(Part(field, dropdown))
        for slug, card in cards.items():
            own = fields(Task(slug, card.options, "", ""))
            with gr.Column(visible=slug == first, elem_classes="vv-options") as column:
                self._add(sorted(own, key=lambda one: one.name != card.dial), card)
            columns.append(column)
        return [(dropdown, [*columns, idea], ideas)]

    def _given(self, values: Sequence[Any]) -> tuple[dict[str, Any], dict[str, list[Shown]], list[Shown]]:
        """(what is filled in, uploads by their field, all photos in the order in which the task meets them)."""
        given, uploads, photos = dict[str, Any](), dict[str, list[Shown]](), list[Shown]()
        system = next((v for p, v in zip(self.parts, values, strict=True) if p.field.name == "system"), "")
        for part, value in zip(self.parts, values, strict=True):
            if part.system not in ("", system):
                continue
            if isinstance(part.component, gr.File):
                if value:
                    uploads[part.field.name] = value
                    names = [one.name for one in value]
                    photos += [one for one in value if not is_record(one.name, names)]
            elif part.folders:
                names = [line.strip() for line in (value or "").splitlines() if line.strip()]
                if part.field.kind == "folder":
                    given[part.field.name] = names if part.field.many else "".join(names[:1]) or None
                else:
                    given[f"{part.field.name}_folder"] = names
            else:
                given[part.field.name] = read(part.field, value)
        return given, uploads, photos

    def _short(self, *values: Any) -> Iterator[tuple[Any, ...]]:
        yield _outputs(say.status("Working …"))
        document, said = None, ""
        with Refusals(self.desk, self.parts) as refused:
            given, uploads, photos = self._given(values)
            with opened(uploads) as files:
                document = self.desk.short(self.task, given, files)
            said = self.desk.within(lambda: self._say(document, photos))
        yield _outputs(refused.said or said, document)

    def _say(self, document: Mapping[str, Any], photos: Sequence[Shown]) -> str:
        if self.told is None:
            return say.block(say.facts(document))
        lists = [document[name] for name in ("photos", "files") if isinstance(document.get(name), list)]
        rows: Sequence[Mapping[str, Any]] = next(iter(lists), [])
        # Uploads come first; what lay in folders follows under the names that clients know.
        more = [
            Shown("" if row.get("error") else str(self.desk.roots.resolve(row["path"])), row["path"])
            for row in rows[len(photos) :]
        ]
        return self.told(document, [*photos, *more])

    async def _long(self, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        yield _outputs(say.status("Sending …"))
        with Refusals(self.desk, self.parts) as refused:
            given, uploads, _ = self._given(values)
            with opened(uploads) as files:
                job = await run_in_threadpool(self.desk.long, self.task, given, files)
            async for shown in self._followed(job.id):
                yield shown
        if refused.said:
            yield _outputs(refused.said)

    async def _again(self, id: str) -> AsyncIterator[tuple[Any, ...]]:
        yield tuple(gr.skip() for _ in self.shown)  # Gradio empties all where nothing comes
        if not id:
            return
        with Refusals(self.desk, self.parts) as refused:
            async for shown in self._followed(id):
                yield shown
        if refused.said:
            yield _outputs(refused.said)

    async def _followed(self, id: str) -> AsyncIterator[tuple[Any, ...]]:
        """What is shown of a job, whenever it changes, until it has ended, and at times what changes nothing. Raises
        InputError where it is gone."""
        before, said = None, 0.0
        while True:
            job = self._job(id)
            if (job.state, job.done, job.label) != before:
                before, said = (job.state, job.done, job.label), time.monotonic()
                yield self._told(job)
            elif time.monotonic() - said > BEAT:
                said = time.monotonic()
                yield tuple(gr.skip() for _ in self.shown)
            if job.state in ENDED:
                return
            await asyncio.sleep(PAUSE)

    def _told(self, job: Job) -> tuple[Any, ...]:
        told = self.desk.told(job)
        document = told["document"]
        said = self.told(document, ()) if self.told is not None and document else ""
        failure = _labelled(told["error"] or "", self.parts)
        if job.kind == "refused":  # what helps on the command line helps nobody here
            failure = re.sub(r" Record a new one with .*", " A new one is recorded under More, Person add.", failure)
        job = dataclasses.replace(job, failure=failure)
        return _outputs(say.job(job, told["files"], document, said), document, job)

    def _job(self, id: str) -> Job:
        try:
            return self.desk.jobs.get(id)
        except KeyError:
            raise InputError(f"This job was removed. {ENDS}") from None

    def _cancel(self, id: str) -> Any:
        with contextlib.suppress(KeyError):
            self.desk.jobs.cancel(id)
        return gr.Button(interactive=False)

    def _drop(self, id: str) -> tuple[Any, ...]:
        with contextlib.suppress(KeyError, InputError):
            self.desk.jobs.drop(id)
        return _outputs(say.status("It is removed."))


def _outputs(said: str, document: Mapping[str, Any] | None = None, job: Job | None = None) -> tuple[Any, ...]:
    """What a form shows. said: HTML; job: that it belongs to."""
    ended = job is not None and job.state in ENDED
    buttons = gr.Button(interactive=job is not None and not ended), gr.Button(visible=ended)
    return said, gr.Accordion(visible=document is not None), document, *buttons, "" if job is None else job.id


class Refusals:
    """A block in which what goes wrong becomes a sentence, with no path of this machine and no traceback. parts: of
    the form, whose labels stand for the command line's options.

    said: that sentence as HTML, "" where nothing went wrong.
    """

    def __init__(self, desk: Desk, parts: Sequence[Part] = ()) -> None:
        self.desk, self.parts, self.said = desk, parts, ""

    def __enter__(self) -> Refusals:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        if isinstance(error, VisavisError):
            self.said = say.alert(_labelled(self.desk.roots.told(str(error)), self.parts))
        else:
            self.said = say.alert(f"This is a fault of visavis, not yours: {type(error).__name__}.")
            if os.environ.get("VISAVIS_DEBUG"):
                traceback.print_exc()
        return True


def _labelled(sentence: str, parts: Sequence[Part]) -> str:
    for name, label in {part.field.name: label_of(part.field) for part in parts}.items():
        sentence = re.sub(rf"--{name.replace('_', '-')}\b(?!-)", f"\u201c{label}\u201d", sentence)
    return sentence


@contextlib.contextmanager
def opened(uploads: Mapping[str, Sequence[Shown]]) -> Iterator[dict[str, list[Upload]]]:
    """Raises InputError for one that is gone, as after somebody was forgotten."""
    with contextlib.ExitStack() as stack:
        made: dict[str, list[Upload]] = {}
        for name, several in uploads.items():
            for one in several:
                try:
                    file = stack.enter_context(Path(one.path).open("rb"))
                except OSError:
                    raise InputError(f"{one.name} is not on the server any more; choose it again.") from None
                made.setdefault(name, []).append(Upload(one.name, file))
        yield made


def _idea(card: Card) -> str:
    return say.block(say.paragraph(card.idea), say.paragraph(f"Limits: {card.limits}", "vv-soft"))
