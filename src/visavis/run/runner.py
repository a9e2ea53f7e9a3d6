"""One way for all pictures of people: consent, the photos judged, the system loaded, each picture judged and marked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from visavis.core import registry, weights
from visavis.core.card import Asked, Card, Drawn, Progress, Ready, Spec
from visavis.core.config import nearest, plain
from visavis.core.errors import InputError
from visavis.core.task import PhotoLike, check
from visavis.core.tasks import CreateIdentity, CreatePortrait
from visavis.core.types import Face, Photo
from visavis.faces.analyse import choose, find_faces, needs
from visavis.faces.frame import Frame, all_in, frame_of
from visavis.faces.judge import JUDGES
from visavis.run import mark, provenance
from visavis.run.against import Against, against
from visavis.run.consent import Ask, Consent, look_up
from visavis.run.likeness import ANCHORS, Likeness, likeness, likeness_of_all, recognised
from visavis.run.output import Made

Load = Callable[[Card, Spec], Ready]


@dataclass(frozen=True, eq=False)
class Run:
    """A run that is ready to make its pictures: everything that can be refused has been asked.

    notes: a sentence on each photo that is poor for this, and on a base that the system did not learn on.
    """

    card: Card
    asked: Asked
    ready: Ready
    seed: int
    consents: list[Consent]
    notes: tuple[str, ...]
    facts: dict[str, Any]

    def pictures(self, progress: Progress = lambda share: None) -> Iterator[Made]:
        """Each picture as soon as it is made and judged."""
        shown = [[frame_of(face) for face in faces] for faces in self.asked.people]
        for i, drawn in enumerate(self.ready(self.asked, self.seed, progress)):
            yield self._made(drawn, self.seed + i, shown)

    def _made(self, drawn: Drawn, seed: int, shown: Sequence[Sequence[Frame]]) -> Made:
        # The judge first: the mark takes a little of the likeness, alike for whatever was made.
        measured, obeyed, notes = _judged(drawn, shown, self.asked.prompt)
        faces = [] if drawn.frame else find_faces(Photo(drawn.pixels, "made picture"))
        pixels = mark.embed(drawn.pixels, [face.crop().to_crop for face in faces])
        facts = {
            **self.facts,
            "seed": seed,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "likeness": None if measured is None else _plain(measured[0]),
            "beside": [_plain(one) for one in (measured or [])[1:]],
            "asked": None if obeyed is None else dataclasses.asdict(obeyed),
            "notes": list(notes),
        }
        return Made(pixels, seed, measured[0] if measured else None, notes, facts)


def _judged(
    drawn: Drawn, shown: Sequence[Sequence[Frame]], prompt: str
) -> tuple[list[Likeness] | None, Against | None, tuple[str, ...]]:
    """The likeness of each person, what came of the prompt where there is one face, and what is to be said of the
    picture."""
    found = all_in(drawn.pixels, drawn.frame)
    if len(shown) == 1:
        if not found:
            return None, None, drawn.notes
        obeyed = against(prompt, found[0], shown[0])
        also = recognised(found, shown) if len(found) > 1 else ()
        return likeness(found[:1], shown[0]), obeyed, (*drawn.notes, *filter(None, [obeyed.words]), *also)
    measured = likeness_of_all(found, shown)
    if measured is None:
        count = f"{len(found)} {'face was' if len(found) == 1 else 'faces were'} found"
        said = [f"{count} for {len(shown)} people, so that nobody's likeness is told"]
    else:
        said = [f"person {number}: {one.words}" for number, one in enumerate(measured[1:], 2)]
    return measured, None, (*drawn.notes, *said, *(recognised(found, shown) if found else ()))


def _plain(measured: Likeness) -> dict[str, Any]:
    return {**dataclasses.asdict(measured), "judge": JUDGES[0]}


def portraits(
    inputs: CreatePortrait,
    options: Mapping[str, Any] | None = None,
    *,
    album: str | os.PathLike[str] | None = None,
    ask: Ask | None = None,
    tell: Callable[[str], None] = lambda note: None,
    named: Sequence[int] = (),
    load: Load | None = None,
) -> Run:
    """A run of `create.portrait`. options: of the system, by name; ask: decides where a consent is missing; tell: hears
    what is to be said of the photos, before the system is loaded; named: numbers of people of the album who are meant;
    load: in place of `loaded`, as for many runs of one system.

    Raises InputError for what is no photo, has no face or cannot be asked of the system, RefusedError for want of
    consent or permissive terms; the photos and consents are looked at before anything is loaded that takes long.
    """
    check(inputs)
    card = registry.card(inputs.system or system_for(inputs.prompt, bool(inputs.beside)))
    if "create.portrait" not in card.tasks:
        able = ", ".join(one.slug for one in registry.systems_for("create.portrait"))
        raise InputError(f"{card.slug} makes no portraits; {able} do.")
    most, count = card.most_people, 1 + len(inputs.beside)
    if count > most:
        able = (
            "makes pictures of one person; leave --beside out"
            if most == 1
            else f"puts up to {most} people into a picture, not {count}"
        )
        raise InputError(f"{card.slug} {able}.")
    chosen = chosen_options(card, options or {})
    provenance.ready()
    weights.fetch([*needs("yunet", embedding=True), "cohort", *JUDGES, ANCHORS])
    people = _people(inputs)
    notes = _poor(people)
    for note in notes:
        tell(note)
    consents = (
        [Consent("not checked") for _ in people] if inputs.no_consent_check else look_up(people, album, ask, named)
    )
    asked = Asked(people, inputs.prompt, inputs.n, inputs.steps, inputs.guidance)
    spec = Spec(inputs.base or card.base, chosen, str(inputs.published or ""))
    if not spec.published:
        needs_weights(card)
        for note in elsewhere(card, spec):
            tell(note)
            notes += (note,)
    ready = (load or loaded)(card, spec)
    ready.check(asked)
    facts = {
        **facts_of("create.portrait", card, spec, ready, inputs),
        "prompt": inputs.prompt,
        "published": bool(spec.published),
        "consent": [consent.plain() for consent in consents],
        "photos": [len(faces) for faces in people],
    }
    return Run(card, asked, ready, inputs.seed, consents, notes, facts)


def system_for(prompt: str, beside: bool = False) -> str:
    """Which system makes portraits where none was asked for: one that hears the prompt where there is one and, where
    such a one ships, has permissive weights. beside: of several people."""
    if beside:
        return "withanyone"
    return "instantid" if prompt.strip() else "arc2face"


def facts_of(
    task: str, card: Card, spec: Spec, ready: Ready, inputs: CreatePortrait | CreateIdentity
) -> dict[str, Any]:
    """What is recorded of every picture of a run, whatever the task."""
    own = () if spec.published or spec.run else card.weights
    return {
        "task": task,
        "system": card.slug,
        "steps": inputs.steps,
        "guidance": inputs.guidance,
        "options": plain(spec.options),
        "base": spec.base,
        "terms": ready.terms,
        "weights": weights.told(*getattr(ready, "loaded", (spec.base, *own))),
        "version": version("visavis"),
    }


def loaded(card: Card, spec: Spec) -> Ready:
    """The system, made ready. Raises RefusedError where only permissive terms are allowed and its are not, even if its
    own code does not look."""
    if spec.published:
        weights.allow_folder(spec.published)
    ready: Ready = registry.part(card.slug, "use").load(spec)
    weights.allow(card.slug, ready.terms)
    return ready


def needs_weights(card: Card) -> None:
    """Raises InputError where weights of a system are not here."""
    lacking = [name for name in card.weights if not weights.found(name)]
    if lacking:
        raise InputError(
            f"{card.slug} lacks its weights {', '.join(lacking)}: train them (visavis train {card.slug}, then --ship), "
            "or name a folder with the authors' own by --published."
        )


def elsewhere(card: Card, spec: Spec) -> tuple[str, ...]:
    """What is to be said where a system's own weights stand on a base that they did not learn on."""
    if not card.weights or spec.base == card.base:
        return ()
    return (f"{card.slug} learnt on {card.base}: on {spec.base} its pictures may show nobody, or nothing.",)


def chosen_options(card: Card, given: Mapping[str, Any]) -> Any:
    """The card's options with those that were given. Raises InputError for an unknown name or a value out of range."""
    names = [field.name for field in dataclasses.fields(card.options)]
    for name in given:
        if name not in names:
            hint = f"has no option {name!r}: {nearest(name, names)}" if names else "has no options."
            raise InputError(f"{card.slug} {hint}")
    made = card.options(**given)
    check(made)
    return made


def _people(inputs: CreatePortrait) -> tuple[tuple[Face, ...], ...]:
    first = choose(inputs.person, inputs.face), *map(_only, inputs.more)
    return first, *((_only(photo),) for photo in inputs.beside)


def _only(photo: PhotoLike) -> Face:
    """Of a further photo: --face is said of the first one."""
    try:
        return choose(photo)
    except InputError as error:
        said, several, _ = str(error).partition(" Choose one")
        raise InputError(f"{said} Cut out the one who is meant." if several else said) from error


def _poor(people: Sequence[Sequence[Face]]) -> tuple[str, ...]:
    """A sentence on each poor photo and, of several of one person, how many are used: all of them."""
    faces = [face for faces in people for face in faces]
    said = [
        f"{face.photo.name} is poor for this: {', '.join(face.quality.words)}." for face in faces if face.quality.words
    ]
    for number, theirs in enumerate(people, 1):
        if len(theirs) > 1:
            said.append(f"{len(theirs)} photos {f'of person {number} ' if len(people) > 1 else ''}are used.")
    return tuple(said)
