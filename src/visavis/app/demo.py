"""`visavis demo`: one page that says who is on a folder of photos, which show the same person, and how sure that is.

Where a system can, it also shows portraits that were made of one of them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from itertools import combinations
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.app import words
from visavis.app.draw import draw_faces
from visavis.app.drawn import Drawn, draw, section
from visavis.app.say import say
from visavis.app.story import Story, tell
from visavis.core import weights
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.types import Face, Match, Photo, Pixels
from visavis.faces.analyse import embed_faces, find_faces, needs
from visavis.faces.score import match
from visavis.media.folder import walk
from visavis.media.photo import open_photo
from visavis.media.write import write_bytes

MAX_FALSE_MATCH = 1e-3
# How many false joins a whole page may expect for one face.
EXPECTED = 0.05
PORTRAITS = "portrait_"
RECEIPT = "receipt.json"


@dataclass(frozen=True)
class Findings:
    """photos: each opened photo with its faces; failed: (name, reason) of what could not be read."""

    photos: list[tuple[Photo, list[Face]]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def faces(self) -> list[Face]:
        return [face for _, faces in self.photos for face in faces]


def demo(folder: Path | None, out: Path) -> Path:
    """Writes OUT/index.html, beside it what was made; without a folder for the six free portraits."""
    found = _look(folder)
    faces = found.faces
    matches = {pair: match(faces[pair[0]], faces[pair[1]]) for pair in combinations(range(len(faces)), 2)}
    groups = group(faces, matches)
    members = [faces[i] for i in groups[0]] if groups else []
    story = tell([own for _, own in found.photos], members)
    drawn = draw(faces[groups[0][0]], out, folder is None) if groups else None
    page = _page(found, matches, groups, folder, story, drawn)
    target = out / "index.html"
    write_bytes(target, page.encode())
    if story:
        write_bytes(out / RECEIPT, story.proof)
    told = [*(_told(story) if story else ()), *([drawn.line()] if drawn else ())]
    for line in (*_summary(found, groups), *told):
        say(line)
    return target


def group(faces: Sequence[Face], matches: dict[tuple[int, int], Match]) -> list[list[int]]:
    """Average linkage over the logarithm of the rates; two faces of one photo are never joined."""
    n = len(faces)
    limit = np.log(min(MAX_FALSE_MATCH, EXPECTED / max(1, n - 1)))
    far = np.zeros((n, n))
    for (i, j), one in matches.items():
        apart = faces[i].photo is faces[j].photo
        far[i, j] = far[j, i] = np.inf if apart else np.log(one.false_match_rate)
    groups = [[i] for i in range(n)]
    while len(groups) > 1:
        links = [(_mean(far, a, b), i, j) for (i, a), (j, b) in combinations(enumerate(groups), 2)]
        best, i, j = min(links)
        if best > limit:
            break
        groups[i] += groups.pop(j)
    return sorted(groups, key=lambda members: (-len(members), members))


def _mean(far: NDArray[np.float64], a: list[int], b: list[int]) -> float:
    return float(far[np.ix_(a, b)].mean())


def _look(folder: Path | None) -> Findings:
    if folder is None:
        names = [entry.name for entry in weights.entries() if entry.name.startswith(PORTRAITS)]
        sources: list[tuple[Path, str | None]] = [(weights.path(name), None) for name in names]
    else:
        sources = list(walk([folder]))
    weights.fetch([*needs("yunet", embedding=True), "cohort", "false_match_table", "child"])
    found = Findings()
    for path, problem in track(sources, "looking"):
        try:
            if problem:
                raise InputError(f"{path.name} is {problem}.")
            photo = open_photo(path)
            faces = find_faces(photo)
        except InputError as error:
            found.failed.append((path.name, str(error)))
            continue
        embed_faces(faces)
        found.photos.append((photo, faces))
    if not found.photos:
        raise InputError(f"{folder} holds no photo that can be read.")
    return found


def _summary(found: Findings, groups: list[list[int]]) -> list[str]:
    shared = [members for members in groups if len(members) > 1]
    people = f"{len(groups)} {'person' if len(groups) == 1 else 'people'}"
    photos = f"{len(found.photos)} photo{'s' if len(found.photos) > 1 else ''}"
    lines = [f"{photos}, {words.counted(len(found.faces))}: {people}, {len(shared)} of them on more than one photo."]
    faces = found.faces
    for number, members in enumerate(groups, 1):
        names = ", ".join(faces[i].photo.name for i in members)
        lines.append(f"  person {number}: {names}")
    return lines


def _page(
    found: Findings,
    matches: dict[tuple[int, int], Match],
    groups: list[list[int]],
    folder: Path | None,
    story: Story | None,
    drawn: Drawn | None,
) -> str:
    faces = found.faces
    of = {i: number for number, members in enumerate(groups) for i in members}
    same = [members for members in groups if len(members) > 1]
    apart = {pair: one for pair, one in matches.items() if of[pair[0]] != of[pair[1]]}
    closest = max(apart.values(), key=lambda one: one.score, default=None)
    doubtful = [one for one in apart.values() if one.same is not False and one is not closest]
    template = Template((resources.files("visavis.app") / "demo.html").read_text())
    failed = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in found.failed)
    open_pairs = "".join(_pair("Not told apart for certain", one, "open") for one in doubtful[:20])
    return template.substitute(
        title="Who is on these photos" if folder is None else f"Who is on {escape(str(folder))}",
        summary=escape(_summary(found, groups)[0]),
        groups="".join(_group(faces, members, matches) for members in same)
        or "<p>No two photos show the same person.</p>",
        stranger=_pair("The two most alike of different people", closest, "")
        if closest
        else "<p>There is only one person.</p>",
        undecided=f"<h2>Left open</h2>{open_pairs}" if doubtful else "",
        album=_album(story) if story else "",
        portraits=section(drawn, _face(drawn.face)) if drawn else "",
        photos="".join(_photo(photo, own) for photo, own in found.photos),
        failed=f"<h2>Not read</h2><ul>{failed}</ul>" if failed else "",
        origin=escape(_origin(next(iter(matches.values()), None))),
    )


def _told(story: Story) -> tuple[str, str, str]:
    """What the album did, in three sentences."""
    receipt = story.receipt
    found = story.before.hits[0]
    name = story.kept_back.photo.name
    return (
        f"Album: {name} was kept back; searched among {words.people(story.before.searched)} it "
        + (
            f"finds {found.called} ({found.expected:.1g} strangers expected to score as well)."
            if story.before.verdict == "found"
            else "is not told from chance."
        ),
        f"Forgotten: {words.counted(receipt.faces)}; {len(receipt.searched)} files read byte by byte, "
        f"traces of a vector or picture: {receipt.bytes_found}.",
        "The same photo again: " + ("somebody is found." if story.after.verdict == "found" else "nobody is found."),
    )


def _album(story: Story) -> str:
    receipt = story.receipt
    lines = "".join(f"<p>{escape(line)}</p>" for line in _told(story))
    kept = "Kept, so that the same files do not bring the person back: file hash and box of each face."
    unreached = f"Cannot be reached from here: {'; '.join(receipt.out_of_reach)}."
    return (
        '<h2>Found and forgotten</h2><div class="card">'
        f'<div class="row">{_face(story.kept_back)}<div>{lines}<p class="soft">{escape(kept)} {escape(unreached)} '
        f'<a href="{RECEIPT}">Receipt</a></p></div></div></div>'
    )


def _group(faces: list[Face], members: list[int], matches: dict[tuple[int, int], Match]) -> str:
    pairs = [matches[min(i, j), max(i, j)] for i, j in combinations(members, 2)]
    weakest = max(pairs, key=lambda m: (m.false_match_rate, -m.score))
    strongest = min(pairs, key=lambda m: (m.false_match_rate, -m.score))
    text = f"The weakest pair: {words.strangers(weakest)}."
    if len(pairs) > 1:
        text += f" The strongest: {words.strangers(strongest)}."
    pictures = "".join(_face(faces[i]) for i in members)
    return (
        f'<div class="card same"><h3>{len(members)} faces of one person</h3><p>{escape(text)}</p>'
        f'<div class="row">{pictures}</div></div>'
    )


def _pair(title: str, one: Match, kind: str) -> str:
    pictures = "".join(_face(face) for face in one.faces)
    text = f"{one.verdict}: {words.strangers(one)}. {' '.join(one.reasons)}"
    return (
        f'<div class="card {kind}"><h3>{escape(title)}</h3><p>{escape(text)}</p><div class="row">{pictures}</div></div>'
    )


def _face(face: Face) -> str:
    caption = f"{face.photo.name}, face {face.id}: {words.condition(face)}"
    source = _data(face.crop("portrait").pixels)
    return f'<figure><img alt="" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>'


def _photo(photo: Photo, faces: list[Face]) -> str:
    picture = Image.fromarray(draw_faces(photo, faces))
    picture.thumbnail((600, 600))
    caption = f"{photo.name}: {words.counted(len(faces))}"
    source = _data(np.asarray(picture))
    return f'<figure class="photo"><img alt="" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>'


def _origin(one: Match | None) -> str:
    if one is None:
        return ""
    measured = f"Measured on {one.table['data']} by {one.table['command']}"
    return f"{measured}; twins and close relatives are not strangers."


def _data(pixels: Pixels) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
