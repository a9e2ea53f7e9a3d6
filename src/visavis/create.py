"""`visavis.create`: pictures of faces, from words and from photos of a person (extra [ml])."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from visavis.core.task import PhotoLike
from visavis.core.tasks import CreateIdentity, CreatePortrait

if TYPE_CHECKING:
    from visavis.core.types import Face
    from visavis.people.persons import Person
    from visavis.run.identities import MadeUp
    from visavis.run.output import Made

_DEFAULTS, _PEOPLE = CreatePortrait("", ""), CreateIdentity()


def portrait(
    person: PhotoLike | Face | Person,
    prompt: str = "",
    *,
    more: Sequence[PhotoLike | Face] = (),
    beside: Sequence[PhotoLike | Face] = (),
    system: str = _DEFAULTS.system,
    n: int = _DEFAULTS.n,
    seed: int = 0,
    face: int = 0,
    base: str = "",
    published: str | None = None,
    steps: int = _DEFAULTS.steps,
    guidance: float = _DEFAULTS.guidance,
    album: str | None = None,
    consent_check: bool = True,
    **options: Any,
) -> list[Made]:
    """n portraits of a person, each with its likeness to the photo: `Made.pixels`, `.likeness`, `.copy_paste`, `.save`.

    person: a photo, a face that `look` found, or somebody of an album; more: further photos of them; beside: of other
    people in the same picture. face: which face of the photo, from 1 (0: the main one). base: in place of the system's
    own: a folder in diffusers' layout, or OWNER/NAME@REVISION of a hub. published: a folder with the authors' weights.
    album: where consents are looked up, left out: the person's, else the one of the settings. options: of the system
    (`visavis card`).

    Raises InputError for what cannot be used, RefusedError for want of consent or of permissive terms.
    """
    from visavis.app.library import photos_of
    from visavis.core.errors import InputError
    from visavis.core.settings import settings
    from visavis.people.persons import Person
    from visavis.run.runner import portraits

    shown: Sequence[Any] = [person]
    named = list[int]()
    if isinstance(person, Person):
        own = person.album or settings().album
        if album not in (None, own):
            raise InputError(f"{person.called} is of the album {own}, where their consent is: leave `album` out.")
        shown, album, named = photos_of(person), own, [person.id]
    inputs = CreatePortrait(
        person=shown[0],
        prompt=prompt,
        more=[*shown[1:], *more],  # type: ignore[list-item]
        beside=list(beside),  # type: ignore[arg-type]
        face=face,
        system=system,
        n=n,
        seed=seed,
        base=base,
        published=published,
        steps=steps,
        guidance=guidance,
        no_consent_check=not consent_check,
    )
    return list(portraits(inputs, options, album=album, named=named).pictures())


def identity(
    n: int = _PEOPLE.n,
    photos: int = _PEOPLE.photos,
    *,
    system: str = _PEOPLE.system,
    seed: int = 0,
    base: str = "",
    steps: int = _PEOPLE.steps,
    guidance: float = _PEOPLE.guidance,
    **options: Any,
) -> list[MadeUp]:
    """n people whom nobody has met, each on so many pictures: `MadeUp.pictures`, and `.alike`, how alike these are for
    the judge. Person i follows from seed + i alone. options: of the system (`visavis card`).

    Raises InputError for what the system cannot do or lacks, RefusedError for want of permissive terms.
    """
    from visavis.run.identities import identities

    inputs = CreateIdentity(n, photos, system, "", seed, base, steps, guidance)
    return list(identities(inputs, options).people())
