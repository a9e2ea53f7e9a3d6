"""The demo's portraits: one photo in, six pictures of the person out, each with its likeness."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from visavis.core import registry
from visavis.core.errors import InputError, RefusedError
from visavis.core.tasks import CREATE_PORTRAIT, CreatePortrait
from visavis.core.types import Face
from visavis.run.output import Made
from visavis.run.runner import portraits, system_for

COUNT = 6


@dataclass(frozen=True)
class Drawn:
    """face: of the photo that was shown; made: the pictures and the names of their files, empty where there are none
    for this reason."""

    face: Face
    system: str
    made: list[tuple[str, Made]]
    reason: str = ""

    def line(self) -> str:
        if not self.made:
            return f"No portraits are made here: {self.reason}"
        known = [made.likeness for _, made in self.made if made.likeness is not None]
        told = f", likeness {min(known):.2f} to {max(known):.2f} (1: as two photos of one person usually are)"
        name = self.face.photo.name
        return f"Portraits: {len(self.made)} of the person on {name} by {self.system}{told if known else ''}."


def draw(face: Face, out: Path, own: bool) -> Drawn:
    """Writes OUT/portrait-1.png and so on, signed and marked, by the default system, else by the first that can. own:
    the photo is of the demo itself, so that no consent is looked up, which the pictures record."""
    default, reason = system_for(""), ""
    for system in dict.fromkeys([default, *(card.slug for card in registry.systems_for(CREATE_PORTRAIT.name))]):
        try:
            run = portraits(CreatePortrait(face, "", system=system, n=COUNT, no_consent_check=own))  # type: ignore[arg-type]
            made = [(f"portrait-{number}.png", picture) for number, picture in enumerate(run.pictures(), 1)]
            for name, picture in made:
                picture.save(out / name)
        except (InputError, RefusedError) as error:
            reason = reason or str(error)
            continue
        return Drawn(face, system, made)
    return Drawn(face, "", [], reason)


def section(drawn: Drawn, shown: str) -> str:
    """HTML of it; shown: the figure of the photo's face."""
    figures = "".join(
        f'<figure><img alt="" src="{name}"><figcaption>{escape(made.words)}</figcaption></figure>'
        for name, made in drawn.made
    )
    row = f'<div class="row">{shown}{figures}</div>' if drawn.made else ""
    return f'<h2>Made by AI</h2><div class="card"><p>{escape(drawn.line())}</p>{row}</div>'
