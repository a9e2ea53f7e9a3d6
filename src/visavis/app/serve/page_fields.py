"""What a person fills in of one declared input, as a component of the page, and what is read from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from visavis.app.serve.fields import Field
from visavis.app.serve.page_faces import Shown
from visavis.core.errors import InputError
from visavis.media.formats import SUFFIXES

PLACES = 300  # of a slider; a whole number that may be larger is typed


def label_of(field: Field) -> str:
    text = field.form.label or field.name.replace("_", " ")
    return text[:1].upper() + text[1:]


def file_input(field: Field) -> gr.File:
    """Its value is a list of `Shown`: what was sent, under the names that its owner gave it; nothing is opened."""
    made = gr.File(
        label=label_of(field) if field.kind == "photo or folder" else f"{label_of(field)}: {field.form.help}",
        file_count="multiple" if field.many else "single",
        file_types=["image", *sorted(SUFFIXES), *([".json"] if field.many else ())],
        height=140,
        min_width=280,
        elem_classes="vv-file",
    )
    # A subclass would make Gradio write a stub beside this file.
    made.preprocess = _sent  # type: ignore[method-assign]
    return made


def _sent(payload: Any) -> Any:
    several = getattr(payload, "root", payload)
    several = several if isinstance(several, list) else [several] if several is not None else []
    return [Shown(one.path, one.orig_name or Path(one.path).name) for one in several]


def folder_input(field: Field, offered: Sequence[str]) -> gr.Textbox:
    """offered: what clients may name."""
    several = field.many or field.kind == "photo or folder"
    below = "below the folders that are offered here" + ("; one a line" if several else "")
    beside = field.kind == "photo or folder"
    return gr.Textbox(
        label=f"{label_of(field)}: folders" if beside else label_of(field),
        info=below if beside else f"{field.form.help}; {below}",
        placeholder=", ".join(offered),
        lines=2 if several else 1,
        max_lines=6,
    )


def plain_input(field: Field, value: Any, dial: bool) -> Any:
    """dial: it trades likeness against the prompt."""
    label = f"Likeness against prompt ({label_of(field).lower()})" if dial else label_of(field)
    info = field.form.help + (f" ({field.form.unit})" if field.form.unit else "")
    if field.kind == "yes or no":
        return gr.Checkbox(value=bool(value), label=label, info=info)
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value or None, label=label, info=info, multiselect=field.many)
    if field.many:
        lines = "\n".join(map(str, value or ()))
        return gr.Textbox(lines, label=label, info=f"{info}; one a line", lines=2, max_lines=6)
    if field.kind in ("whole number", "number"):
        return _number(field, value, dial, label, info)
    return gr.Textbox("" if value is None else value, label=label, info=info)


def _number(field: Field, value: Any, dial: bool, label: str, info: str) -> Any:
    low, high, whole = field.form.low, field.form.high, field.kind == "whole number"
    if low is not None and high is not None and value is not None:
        step = 1.0 if whole else 10.0 ** math.floor(math.log10((high - low) / 50))
        on_grid = math.isclose(round((value - low) / step) * step, value - low, abs_tol=1e-9)
        if dial or (high - low <= PLACES and on_grid):
            return gr.Slider(low, high, value=value, step=step, label=label, info=info)
    span = "" if low is None else f", from {_digits(low)}" + ("" if high is None else f" to {_digits(high)}")
    if value is None:  # which Gradio's number cannot be
        return gr.Textbox(label=label, info=info + span)
    return gr.Number(value=value, label=label, info=info + span, precision=0 if whole else None)


def _digits(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1e6 else f"{number:g}"


def read(field: Field, value: Any) -> Any:
    """A component's value as the desk takes it. Raises InputError for a line that is no number."""
    if field.kind in ("whole number", "number"):
        kind = int if field.kind == "whole number" else float
        several = value.replace(",", " ").split() if isinstance(value, str) else [value]
        try:
            numbers = [kind(one) for one in several if one is not None]
        except (ValueError, OverflowError):
            raise InputError(f"{label_of(field)} takes a {field.kind}, not {value!r}.") from None
        return numbers if field.many else next(iter(numbers), None)
    if field.kind == "text" and field.many:
        return [line for line in (value or "").splitlines() if line.strip()]
    return None if field.optional and value == "" else value
