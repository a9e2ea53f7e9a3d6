"""`visavis systems` and `visavis card`: what there is, from the cards alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from visavis.app import forms
from visavis.app.say import say, say_json, table
from visavis.bench.figures import figures_of, measured_folder, results_folder
from visavis.core import registry, weights
from visavis.core.card import Card
from visavis.core.catalogue import strictest
from visavis.core.errors import InputError
from visavis.core.settings import settings
from visavis.core.task import forms_of

# What a card tells of all that `visavis bench create` measured.
TOLD = (
    "likeness",
    "prompt_accuracy",
    "copy_paste",
    "diversity",
    "same_person_pairs",
    "same_person_pairs.photos_threshold",
    "seconds",
    "megabytes",
)


def systems(
    task: Annotated[str | None, typer.Option(help="only those that do this task, as create.portrait")] = None,
    licence: forms.Licence = None,
    as_json: forms.Json = False,
) -> None:
    """The systems that visavis knows and those that other distributions bring."""
    forms.set_common(licence=licence)
    shown = list(registry.cards().values()) if task is None else registry.systems_for(task)
    if task is not None and not shown:
        known = sorted({name for card in registry.cards().values() for name in card.tasks})
        raise InputError(f"No system does {task!r}; there are systems for {', '.join(known)}.")
    rows = [facts(card) for card in shown]
    if settings().commercial:
        rows = [row for row in rows if row["terms"] in ("permissive", "none of its own")]
    if as_json:
        say_json({"schema": "visavis.systems/1", "systems": rows})
        return
    table(
        ("system", "does", "terms", "MB", "idea"),
        [(r["slug"], ", ".join(r["tasks"]), r["terms"], f"{r['bytes'] / 1e6:.0f}", r["idea"]) for r in rows],
    )


def card(
    slug: Annotated[str | None, typer.Argument(help="as `visavis systems` lists it; all when none is named")] = None,
    as_json: forms.Json = False,
) -> None:
    """Everything about one system: idea, options, weights and their terms, figures, claim, limits."""
    if slug is None:
        if as_json:
            raise InputError("--json prints one card: name its system, or use `visavis systems --json`.")
        for line in page():
            say(line)
        return
    chosen = registry.card(slug)
    if as_json:
        say_json({"schema": "visavis.card/1", **facts(chosen)})
        return
    for line in lines(chosen):
        say(line)


def claim(
    slug: Annotated[str, typer.Argument(help="as `visavis systems` lists it")],
    quick: Annotated[bool, typer.Option("--quick", help="a few samples: whether it runs, not what it finds")] = False,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a setting of both arms' training")
    ] = None,
    threads: forms.Threads = None,
    device: forms.Device = None,
) -> None:
    """Test the paper's one idea: with and without it, alike in everything else, on people whom no training saw."""
    from visavis.bench.claims import run, verdict_of

    forms.set_common(threads, device)
    path = run(slug, quick, setting or ())
    say(f"written: {path}" if quick else f"{slug}: {verdict_of(slug)}; written: {path}")


def page() -> list[str]:
    """All cards as Markdown: docs/systems.md."""
    made = ["# Systems", "", "Written by `visavis card`, from each system's card and results/."]
    for chosen in registry.cards().values():
        title, *rest = lines(chosen)
        made += ["", f"#{title}", *rest]
    return made


def lines(chosen: Card) -> list[str]:
    """The card as Markdown."""
    from visavis.bench.claims import verdict_of

    row, claim = facts(chosen), chosen.claim
    made = [f"# {chosen.slug}: {chosen.title}", ""]
    made += [f"{chosen.paper}. Does: {', '.join(chosen.tasks)}.", "", chosen.idea, ""]
    made += [f"**Limits.** {chosen.limits}", ""]
    made += [f"**Base.** {chosen.base or 'none'}. **Weights.** {row['terms']}; trained on: {row['trained_on']}."]
    if row["options"]:
        made += ["", "| option | what it does |", "|---|---|"]
        made += [f"| `{name}` | {text} |" for name, text in row["options"].items()]
    if row["figures"]:
        made += ["", "| measured (`visavis results create`) | value | 95 % |", "|---|---|---|"]
        for figure in row["figures"]:
            span = "" if figure["low"] is None else f"{figure['low']:.3g} to {figure['high']:.3g}"
            made.append(f"| {figure_words(figure['name'])} | {figure['value']:.3g} | {span} |")
    if claim:
        found = verdict_of(chosen.slug, _results()) or "not run"
        made += ["", f"**Claim.** {claim.question} With: {claim.arms[0]}; without: {claim.arms[1]}."]
        made += [f"Measured: {claim.measure}. The paper: {claim.expected}. Here: {found}."]
    return made


def facts(chosen: Card) -> dict[str, Any]:
    """The card as JSON: what it says, of which terms its weights are, and what was measured of it in this checkout."""
    entries = [entry for name in chosen.weights for entry in weights.found(name)]
    lacking = "not trained yet" if chosen.weights else "none of its own"
    terms = strictest(*(entry.terms for entry in entries)) if entries else lacking
    return {
        "slug": chosen.slug,
        "title": chosen.title,
        "paper": chosen.paper,
        "tasks": list(chosen.tasks),
        "idea": chosen.idea,
        "limits": chosen.limits,
        "base": chosen.base,
        "terms": terms,
        "trained_on": "; ".join(dict.fromkeys(entry.trained_on for entry in entries)) or "nothing",
        "bytes": sum(entry.bytes for entry in entries),
        "options": _options(chosen),
        "figures": _figures(chosen.slug),
        "claim": chosen.claim and asdict(chosen.claim),
    }


def figure_words(name: str) -> str:
    """For people: `same_person_pairs.photos_threshold` as `same person pairs, photos threshold`."""
    return name.replace(".", ", ").replace("_", " ")


def _results() -> Path | None:
    """Of the current folder, else of the checkout in which the package lies."""
    return results_folder() if results_folder().is_dir() else measured_folder()


def _figures(slug: str) -> list[dict[str, Any]]:
    known = figures_of("create", _results())
    return [{**asdict(known[f"{slug}.{name}"]), "name": name} for name in TOLD if f"{slug}.{name}" in known]


def _options(chosen: Card) -> dict[str, str]:
    made = {}
    for name, _, form in forms_of(chosen.options):
        low, high = ("" if end is None else f"{end:g}" for end in (form.low, form.high))
        span = f", {low} to {high}" if high else f", {low} or more" if low else ""
        made[name] = form.help if form.default == "" else f"{form.help} ({form.default}{span})"
    return made
