"""The page at /: a tab for what people do most, a form for everything else, from declarations and cards alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import gradio as gr
from fastapi import FastAPI

from visavis.app.serve import fields, page_faces, page_systems
from visavis.app.serve import page_words as say
from visavis.app.serve.desk import Desk
from visavis.app.serve.guard import Rules
from visavis.app.serve.page_album import TASKS, AlbumTab
from visavis.app.serve.page_forms import QUIET, TaskForm, Told
from visavis.core.task import Task

PORTRAITS = 6
SLOTS, WAITING = 400, 400  # events of the page that are done at once, those who follow a job among them; that may wait
SESSIONS = 32  # whose last answers, drawn photos among them, Gradio keeps in memory

# Gradio gives all buttons for uploads the same name, which tells nobody who listens what is asked for. And screen
# readers tell of what changes in a part that was there before, not of what is new.
SCRIPT = """() => {
  const heard = new WeakMap(), live = document.createElement('div');
  live.className = 'vv-live';
  live.setAttribute('role', 'status');
  document.body.append(live);
  const tell = () => {
    const said = [...document.querySelectorAll('.vv-say')].map(one => [one, one.dataset.say ?? one.textContent]);
    const fresh = said.filter(([one, text]) => heard.get(one) !== text);
    fresh.forEach(([one, text]) => heard.set(one, text));
    if (fresh.length) live.textContent = fresh.map(([one, text]) => text).join(' ');
  };
  const name = () => document.querySelectorAll('.vv-file').forEach(block => {
    const label = block.querySelector('label')?.textContent.trim();
    block.querySelectorAll('button:has(input[type=file]), input[type=file]').forEach(part => {
      if (label && part.getAttribute('aria-label') !== label) part.setAttribute('aria-label', label);
    });
  });
  const all = {childList: true, characterData: true, subtree: true};
  new MutationObserver(() => { name(); tell(); }).observe(document.body, all);
  name();
}"""


def mounted(app: FastAPI, desk: Desk, most: int = Rules().most) -> FastAPI:
    """The application with the page at /, behind all that it had before. most: bytes of a request."""
    page = blocks(desk)
    # Of an application that it did not launch itself Gradio checks no path that a client names.
    page.has_launched = True
    page.state_session_capacity = SESSIONS
    style = (resources.files("visavis.app.serve") / "page.css").read_text("utf-8")
    made: FastAPI = gr.mount_gradio_app(
        app,
        page,
        "/",
        footer_links=[],
        run_history=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        allowed_paths=[],
        show_error=False,
        max_file_size=most,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_theme(),
        css=style,
        js=SCRIPT,
    )
    # Whoever is forgotten may be on a photo that was drawn for one of its sessions.
    parts: list[Any] = [getattr(mount, "app", None) for mount in made.routes]
    (sessions,) = (part.state_holder for part in parts if hasattr(part, "state_holder"))

    def forgotten() -> None:
        sessions.session_data.clear()
        for answers in list(page._queue.pending_messages_per_session.values()):  # nobody may ever fetch them
            while not answers.empty():
                answers.get_nowait()

    desk.forgotten = forgotten
    return made


def _theme() -> Any:
    """Fonts of the machine that shows it, and colours that can be read: Gradio's own are too pale for small text."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    plain = gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=fonts, font_mono=["ui-monospace"])
    soft = dict.fromkeys(("body_text_color_subdued", "block_info_text_color"), "*neutral_500")
    return plain.set(
        **soft,
        **{f"{name}_dark": "*neutral_300" for name in soft},
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )


def blocks(desk: Desk) -> gr.Blocks:
    """The page of the tasks that a client of this desk can ask for."""
    tasks = {task.name: task for task in fields.tasks(desk.roots)}
    forms: list[TaskForm] = []
    made: gr.Blocks = gr.Blocks(title="visavis", analytics_enabled=False)
    with made:
        gr.HTML(
            '<header class="vv vv-head"><h1>visavis</h1><p>Faces whose identity matters: who is on this photo, and is '
            "it the same person?</p></header>"
        )
        album = None
        with gr.Tabs():
            forms += _tab(desk, tasks, "look", "Look", page_faces.looked)
            forms += _tab(desk, tasks, "compare", "Compare", page_faces.compared)
            if tasks.keys() >= TASKS - {"album.add"}:  # which needs a folder that is offered
                with gr.Tab("Album") as tab:
                    _head("Album", "People on many photos.")
                    album = AlbumTab(desk)
                    album.opened_by(tab)
                    forms += album.forms
            forms += _tab(desk, tasks, "create.portrait", "Create", None, {"n": PORTRAITS})
            with gr.Tab("Systems") as tab:
                _head("Systems", "What each method claims, and what became of the claim here.")
                shown = gr.HTML()
                tab.select(page_systems.cards, None, shown, **QUIET)
            forms += _tab(desk, tasks, "verify", "Verify", page_faces.verified)
            forms += _others(desk, tasks)
        for form in forms:
            form.found_again_by(made)
        if album is not None:
            album.forgets([upload for form in forms for upload in form.uploads])
    made.max_threads = SLOTS
    made.queue(default_concurrency_limit=None, api_open=False, max_size=WAITING)
    return made


def _tab(
    desk: Desk,
    tasks: Mapping[str, Task],
    name: str,
    title: str,
    told: Told | None,
    start: Mapping[str, Any] | None = None,
) -> list[TaskForm]:
    """Of a task that there is."""
    task = tasks.get(name)
    if task is None:
        return []
    with gr.Tab(title):
        _head(title, task.help)
        return [TaskForm(desk, task, title, told, start=start)]


def _others(desk: Desk, tasks: Mapping[str, Task]) -> list[TaskForm]:
    """All tasks that have no tab of their own."""
    own = {"look", "compare", "create.portrait", "verify"} | TASKS
    left: Sequence[Task] = [task for name, task in tasks.items() if name not in own]
    made = []
    with gr.Tab("More", visible=bool(left)):
        _head("More", "Everything else that visavis does.")
        for task in left:
            title = task.name.replace(".", " ")
            title = title[:1].upper() + title[1:]
            with gr.Accordion(title, open=False):
                gr.HTML(f'<div class="vv">{say.paragraph(task.help)}</div>')
                made.append(TaskForm(desk, task, title))
    return made


def _head(title: str, help: str) -> None:
    gr.HTML(f'<div class="vv"><h2>{escape(title)}</h2>{say.paragraph(help)}</div>')
