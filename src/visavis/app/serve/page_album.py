"""The album on the page: people as cards to choose; what is done with the chosen ones goes over the album's tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from visavis.app.serve import page_people as told
from visavis.app.serve import page_words as say
from visavis.app.serve.desk import Desk
from visavis.app.serve.page_forms import QUIET, Refusals, TaskForm
from visavis.core import registry
from visavis.core.errors import InputError

VERBS = ("add", "people", "find", "name", "merge", "differ", "split", "reject", "show", "undo")
TASKS = frozenset({"forget", *(f"album.{verb}" for verb in VERBS)})
# Gradio forgets what it offered: when somebody is forgotten, and to whom. The album knows who is there.
RAW: dict[str, Any] = QUIET | {"preprocess": False}
PAGE = 60  # people, or faces of one, that are shown at once


class AlbumTab:
    """Builds itself where it is made. shown: what `_shown` gives, after `said`: what an action came to."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.said = gr.HTML()
        asked, style = gr.HTML(), gr.HTML(elem_classes="vv-style")
        self.people = gr.CheckboxGroup([], label="People: choose one to name, or more to merge", elem_id=told.PEOPLE)
        with gr.Row():
            self.everybody = gr.Checkbox(label="Also who is on one photo only", container=False)
            self.page = gr.Number(1, label="Page", precision=0, visible=False)
            self.undo = gr.Button("Undo the last step", size="sm")
        self.shown = [self.said, asked, style, self.people, self.page]
        self.seen = [self.everybody, self.page]
        self._one()
        self._several()
        gr.HTML('<div class="vv"><h3>Find by photo</h3></div>')
        self.find = TaskForm(desk, registry.tasks()["album.find"], "Find", lambda document, _: told.found(document))
        self.forms = [self.find]
        gr.HTML('<div class="vv"><h3>Add photos</h3></div>')
        if desk.roots.folders:
            add = TaskForm(
                desk, registry.tasks()["album.add"], "Add", lambda document, _: told.added(document), uploads=False
            )
            self.forms.append(add)
            add.ended.then(self._show, self.seen, self.shown, **QUIET)
        else:
            gr.HTML(
                say.status(
                    "No folder of photos is offered here: whoever starts the server can (visavis serve --root DIR)."
                )
            )
        self._wire()

    def _one(self) -> None:
        with gr.Group(visible=False) as self.one:
            self.called = gr.Textbox(label="Name", max_length=200)
            self.rename = gr.Button("Name this person", variant="primary")
            self.face_style = gr.HTML(elem_classes="vv-style")
            self.faces = gr.CheckboxGroup([], label="Their faces: choose those that are not theirs", elem_id=told.FACES)
            self.whose = gr.Textbox(label="Whose these are", info="may be left out")
            with gr.Row():
                self.split = gr.Button("Not the same: split")
                self.reject = gr.Button("These are no faces")
            self.sure = gr.Checkbox(label="Forget this person for good; it cannot be undone")
            self.forget = gr.Button("Forget", variant="stop")

    def _several(self) -> None:
        with gr.Row(visible=False) as self.more:
            self.merge = gr.Button("Merge: one person", variant="primary")
            self.differ = gr.Button("Not the same: keep apart")

    def _wire(self) -> None:
        panel = [self.one, self.more, self.called, self.face_style, self.faces, self.whose, self.split, self.reject]
        self.people.change(self._panel, [self.people, *self.seen], [*panel, self.sure, *self.shown], **RAW)
        for event in (self.everybody.input, self.page.input):
            event(self._show, self.seen, self.shown, **RAW)
        for event, work, inputs in (
            (self.rename.click, self._name, [self.called]),
            (self.called.submit, self._name, [self.called]),
            (self.merge.click, self._merge, []),
            (self.differ.click, self._differ, []),
            (self.split.click, self._split, [self.faces, self.whose]),
            (self.reject.click, lambda _, faces: self._said("reject", faces=faces), [self.faces]),
            (self.undo.click, lambda _: self._said("undo"), []),
        ):
            event(self._acted(work), [self.people, *inputs, *self.seen], self.shown, **RAW)

    def opened_by(self, tab: gr.Tab) -> None:
        """Nothing is read before somebody looks."""
        tab.select(self._show, self.seen, self.shown, **RAW)

    def forgets(self, uploads: Sequence[Any]) -> None:
        """uploads: of the whole page; emptied when somebody was forgotten, since their files are gone then."""

        def work(people: Sequence[int], sure: bool, everybody: bool, page: int) -> list[Any]:
            with Refusals(self.desk) as refused:
                if not sure:
                    raise InputError("Say first that you are sure: who is forgotten cannot be brought back.")
                name = self._called(_only(people))
                document = self._do("forget", called=_only(people))
                return [told.receipt(name, document), *self._shown(everybody, page), "", *(None for _ in uploads)]
            return [refused.said, *(gr.skip() for _ in outputs[1:])]

        outputs = [*self.shown, self.find.result, *uploads]
        self.forget.click(work, [self.people, self.sure, *self.seen], outputs, **RAW)

    def _do(self, task: str, **given: Any) -> dict[str, Any]:
        return self.desk.short(registry.tasks()[task], given, {})

    def _said(self, verb: str, **given: Any) -> str:
        return str(self._do(f"album.{verb}", **given)["said"])

    def _everybody(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = self._do("album.people", all=True)["people"]
        return made

    def _called(self, person: str) -> str:
        """The name of #ID, else #ID."""
        return next((row["name"] for row in self._everybody() if f"#{row['id']}" == person and row["name"]), person)

    def _name(self, people: Sequence[int], new: str) -> str:
        return self._said("name", called=_only(people), new=new)

    def _merge(self, people: Sequence[int]) -> str:
        """Into one who has a name, or else is on most photos."""
        rows = [row for row in self._everybody() if row["id"] in people]
        if len(rows) < 2:
            raise InputError("Choose two people or more.")
        kept, *others = sorted(rows, key=lambda row: row["name"] is None)
        return " ".join(self._said("merge", kept=f"#{kept['id']}", other=f"#{one['id']}") for one in others)

    def _differ(self, people: Sequence[int]) -> str:
        if len(people) != 2:
            raise InputError("Choose exactly two people.")
        return self._said("differ", first=f"#{people[0]}", second=f"#{people[1]}")

    def _split(self, people: Sequence[int], faces: Sequence[int], whose: str) -> str:
        if not faces:
            raise InputError("Choose first the faces that are somebody else's.")
        return self._said("split", called=_only(people), faces=faces, to=whose.strip() or None)

    def _acted(self, work: Callable[..., str]) -> Callable[..., list[Any]]:
        """work(chosen people, its inputs); gives what it says, and the people as they are now, nobody chosen."""

        def act(people: Sequence[int], *values: Any) -> list[Any]:
            *more, everybody, page = values
            with Refusals(self.desk) as refused:
                return [say.status(work(people, *more)), *self._shown(everybody, page)]
            return [refused.said, *(gr.skip() for _ in self.shown[1:])]

        return act

    def _show(self, everybody: bool, page: int) -> list[Any]:
        with Refusals(self.desk) as refused:
            return [gr.skip(), *self._shown(everybody, page)]
        return [refused.said, *(gr.skip() for _ in self.shown[1:])]

    def _shown(self, everybody: bool, page: int | None) -> list[Any]:
        """Of `shown` without `said`."""
        if not told.exists():
            return [say.status("There is no album yet."), "", gr.CheckboxGroup([], value=[]), gr.Number(visible=False)]
        document = self._do("album.people", all=everybody)
        rows: list[Mapping[str, Any]] = document["people"]
        pages = max(1, -(-len(rows) // PAGE))
        at = min(max(int(page or 1), 1), pages)
        called = {row["id"]: row["name"] or f"#{row['id']}" for row in rows}
        asked = told.questions(document["same"], called) if rows else say.status("Nobody is on two photos yet.")
        rows = rows[(at - 1) * PAGE : at * PAGE]
        style = told.pictures(told.PEOPLE, told.best_crops([row["id"] for row in rows]))
        number = gr.Number(at, label=f"Page, of {pages}", visible=pages > 1)
        return [asked, style, gr.CheckboxGroup(told.choices(rows), value=[]), number]

    def _panel(self, people: Sequence[int], everybody: bool, page: int) -> list[Any]:
        """What can be done with those who are chosen; where they are gone, who is there now."""
        one, name, rows = len(people) == 1, "", list[Mapping[str, Any]]()
        shown: list[Any] = [gr.skip() for _ in self.shown]
        with Refusals(self.desk) as refused:
            if one:
                name = self._called(_only(people))
                rows = self._do("album.show", called=_only(people))["faces"][:PAGE]
        if refused.said:
            one, people, shown = False, (), self._show(everybody, page)
            shown[0] = refused.said
        faces = [row["face"] for row in rows]
        return [
            gr.Group(visible=one),
            gr.Row(visible=len(people) > 1),
            "" if name.startswith("#") else name,
            told.pictures(told.FACES, told.crops(faces)),
            gr.CheckboxGroup(told.face_choices(rows), value=[], visible=bool(faces)),
            gr.Textbox("", visible=len(faces) > 1),
            gr.Button(visible=len(faces) > 1),
            gr.Button(visible=bool(faces)),
            False,
            *shown,
        ]


def _only(people: Sequence[int]) -> str:
    if len(people) != 1:
        raise InputError("Choose exactly one person.")
    return f"#{people[0]}"
