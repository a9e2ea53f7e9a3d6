"""What the page shows, as HTML: parts that take texts of people, files and photos and escape them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from PIL import Image

from visavis.app.serve.jobs import Job
from visavis.app.serve.leftovers import ENDED
from visavis.core.types import Pixels
from visavis.run.likeness import Likeness

WIDEST = 1200  # pixels of a photo as it is shown
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
SAID = "vv-say"  # of what the page's script gives to screen readers, which would miss it in what is new
SHOWN = 60  # of anything of which there may be thousands


def alert(sentence: str) -> str:
    """Why something was not done; read out at once by a screen reader."""
    return f'<div class="vv vv-alert" role="alert">{escape(sentence)}</div>'


def status(sentence: str) -> str:
    return block(paragraph(sentence, SAID))


def block(*parts: str) -> str:
    """Parts that are HTML already."""
    return f'<div class="vv">{"".join(parts)}</div>'


def heading(text: str) -> str:
    """What came of it in a few words."""
    return f'<h3 class="{SAID}">{escape(text)}</h3>'


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def listed(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in sentences)}</ul>" if sentences else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """caption: read out before it, and shown above it."""
    # The roles stay when a narrow screen shows each row as a block.
    first = "".join(f'<th scope="col" role="columnheader">{escape(cell)}</th>' for cell in head)
    rest = "".join(
        '<tr role="row">'
        + "".join(
            f'<td role="cell" data-label="{escape(name)}">{escape(cell)}</td>'
            for name, cell in zip(head, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="vv-scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table role="table">'
        f'<caption>{escape(caption)}</caption><thead role="rowgroup"><tr role="row">{first}</tr></thead>'
        f'<tbody role="rowgroup">{rest}</tbody></table></div>'
    )


def figure(source: str, alt: str, caption: Sequence[str], link: str = "") -> str:
    """source: a data URI or a path of this server; caption: lines below it, the first one strongest."""
    image = f'<img src="{escape(source)}" alt="{escape(alt)}" loading="lazy">'
    if link:
        image = f'<a href="{escape(link)}" target="_blank" rel="noopener">{image}</a>'
    lines = [
        f"<strong>{escape(line)}</strong>" if len(caption) > 1 and not i else escape(line)
        for i, line in enumerate(caption)
    ]
    return f"<figure>{image}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def gallery(figures: Sequence[str], kind: str = "") -> str:
    return f'<div class="vv-row {kind}">{"".join(figures)}</div>' if figures else ""


def data_uri(picture: Pixels | bytes, widest: int = WIDEST) -> str:
    """A picture, or the bytes of a JPEG, inside the page itself: nothing of it lies in a file or at an address."""
    if not isinstance(picture, bytes):
        image, out = Image.fromarray(picture), io.BytesIO()
        image.thumbnail((widest, widest))
        image.save(out, "JPEG", quality=85)
        picture = out.getvalue()
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()


def job(job: Job, files: Sequence[str], document: Mapping[str, Any] | None, told: str = "") -> str:
    """A job so far or at its end. told: HTML that its task has to say of the document, in place of the usual."""
    if job.state == "failed":
        said = alert(job.failure or "It failed.")
    else:
        said = f"{alert(job.failure) if job.failure else ''}{_progress(job)}"
    return f'<div class="vv">{said}{told or made(job.id, document or {}, files)}</div>'


def _progress(job: Job) -> str:
    if job.state in ENDED:
        return paragraph("Done." if job.state == "done" else "Cancelled; what was finished is kept.", SAID)
    label = job.label or ("waiting for its turn" if job.state == "waiting" else "starting")
    share = f'value="{job.done}" max="{job.total}"' if job.total else ""
    count = f" {job.done} of {job.total}" if job.total else f" {job.done}" if job.done else ""
    # Only what is done, not each step of it.
    said = f'<p class="{SAID}" data-say="{escape(label)}">{escape(label)}{count}</p>'
    return f'{said}<progress aria-label="{escape(label)}" {share}></progress>'


def made(id: str, document: Mapping[str, Any], files: Sequence[str]) -> str:
    """Pictures that a job wrote, with what its document says of each; its other files as links; its plain facts."""
    captions = dict(_captions(document))
    seen = [name for name in files if PurePosixPath(name).suffix.lower() in PICTURES]
    several = [name for name in seen if name in captions] or seen
    figures = [_made(id, name, captions.get(name) or [PurePosixPath(name).name]) for name in several[:SHOWN]]
    rest = [name for name in files if name not in several[:SHOWN] and not _belongs(name, seen)]
    links = "".join(
        f'<li><a href="{escape(address(id, name))}" target="_blank" rel="noopener">{escape(name)}</a></li>'
        for name in rest[:SHOWN]
    )
    notes = document.get("notes")
    return "".join(
        (
            listed([str(note) for note in notes]) if isinstance(notes, list) else "",
            gallery(figures, "vv-made"),
            facts({key: value for key, value in document.items() if value not in files}),
            f"<p>Files</p><ul>{links}</ul>" if links else "",
        )
    )


def _made(id: str, name: str, caption: Sequence[str]) -> str:
    where = address(id, name)
    return figure(where, f"{PurePosixPath(name).name}: {'; '.join(caption)}", caption, where)


def _belongs(name: str, pictures: Sequence[str]) -> bool:
    """Whether it is the record beside a picture."""
    path = PurePosixPath(name)
    return path.suffix == ".json" and any(PurePosixPath(one).with_suffix(".json") == path for one in pictures)


def address(id: str, name: str) -> str:
    """Where a job's file is; below the page's own address, also behind a proxy that adds to it."""
    return f"api/jobs/{quote(id)}/files/{quote(name)}"


def facts(document: Mapping[str, Any]) -> str:
    """The plain facts of any document, with its lists of records as tables."""
    told = paragraph(str(document["said"])) if "said" in document else ""
    plain = {key: value for key, value in document.items() if isinstance(value, str | int | float | bool)}
    left = ("schema", "device", "said")
    rows = [(key.replace("_", " "), _said(value)) for key, value in plain.items() if key not in left]
    tables = []
    for name, value in document.items():
        records = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
        head = [key for key in (records[0] if records else {}) if _plain(records[0][key])]
        if head and name != "pictures":
            cells = [[_said(one.get(key)) for key in head] for one in records[:SHOWN]]
            tables.append(table([key.replace("_", " ") for key in head], cells, name.replace("_", " ")))
    listed_ = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in rows)
    return told + "".join(tables) + (f"<dl>{listed_}</dl>" if rows else "")


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _captions(part: Any) -> Iterator[tuple[str, list[str]]]:
    """(file, lines on it), wherever in a document a record names pictures."""
    if isinstance(part, dict):
        if isinstance(part.get("path"), str):
            yield part["path"], _caption(part)
        for value in part.values():
            if isinstance(value, list) and all(isinstance(one, str) for one in value):
                own = ", ".join(f"{key} {_said(one)}" for key, one in part.items() if _plain(one) and key != "schema")
                yield from ((one, [own]) for one in value if PurePosixPath(one).suffix.lower() in PICTURES)
            else:
                yield from _captions(value)
    elif isinstance(part, list):
        for value in part:
            yield from _captions(value)


def _caption(record: Mapping[str, Any]) -> list[str]:
    said = []
    measured = record.get("likeness")
    if isinstance(measured, dict):
        told = Likeness(measured["likeness"], measured["a"], measured["copy_paste"])
        said.append(f"Likeness {told.likeness:.2f}, copy-paste {told.copy_paste:.2f}")
        # What the command line says behind the number.
        said += [told.words.partition("; ")[2]] if "; " in told.words else []
    elif "likeness" in record:
        said.append("Not judged: no face was found on it, or not one a person")
    if isinstance(record.get("terms"), str):
        said.append(f"Terms of the weights: {record['terms']}")
    said += [str(note) for note in record.get("notes") or ()]
    return said
