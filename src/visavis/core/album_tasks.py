"""The tasks of the album, of the people in it, and of pictures read back, each declared once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from visavis.core.task import FolderIn, Form, OutPath, PhotoIn, Task, argument, option

ExportKind = Literal["json", "csv", "links", "xmp"]
PERSON = "a name, or #ID"
FACES = "ids, as `album show` lists them"


@dataclass(frozen=True)
class AlbumAdd:
    """Inputs of `album.add`."""

    # Not uploads: the album goes on naming these files.
    sources: list[FolderIn] = argument(
        "photos, videos, or folders of them", metavar="FOLDER|PHOTO|VIDEO", label="Photos or folders"
    )
    every: str | None = option(None, "look again after this time (s, m, h), until Ctrl-C", metavar="60s", here=True)
    read_names: bool = option(False, "take names from XMP as suggestions")
    bring_back: bool = option(False, "faces of forgotten people too")


@dataclass(frozen=True)
class AlbumPeople:
    """Inputs of `album.people`."""

    all: bool = option(False, "also who is on one photo only")
    again: bool = option(False, "group anew even where nothing changed")


@dataclass(frozen=True)
class AlbumFind:
    """Inputs of `album.find`."""

    photo: PhotoIn = argument("a photo of whom to find", metavar="PHOTO")
    face: int = option(0, "which face of the photo (0: the main one)", low=0)


@dataclass(frozen=True)
class AlbumName:
    """Inputs of `album.name`."""

    called: str = argument(PERSON, metavar="PERSON")
    new: str = argument("what they are called from now on", metavar="NAME")


@dataclass(frozen=True)
class AlbumMerge:
    """Inputs of `album.merge`."""

    kept: str = argument(PERSON, metavar="PERSON")
    other: str = argument(PERSON, metavar="PERSON")


@dataclass(frozen=True)
class AlbumDiffer:
    """Inputs of `album.differ`."""

    first: str = argument(PERSON, metavar="PERSON")
    second: str = argument(PERSON, metavar="PERSON")


@dataclass(frozen=True)
class AlbumSplit:
    """Inputs of `album.split`."""

    called: str = argument(PERSON, metavar="PERSON")
    faces: list[int] = argument(FACES, metavar="FACE")
    to: str | None = option(None, "whose they are")


@dataclass(frozen=True)
class AlbumReject:
    """Inputs of `album.reject`."""

    faces: list[int] = argument(FACES, metavar="FACE")


@dataclass(frozen=True)
class AlbumShow:
    """Inputs of `album.show`."""

    called: str = argument(PERSON, metavar="PERSON")


@dataclass(frozen=True)
class AlbumUndo:
    """Inputs of `album.undo`: none."""


@dataclass(frozen=True)
class AlbumExport:
    """Inputs of `album.export`."""

    out: OutPath = dataclasses.field(
        default="", metadata={"form": Form("file or folder; not used for xmp", positional=True, default="")}
    )
    as_: ExportKind = option("json", "what to write", metavar="json|csv|links|xmp")


@dataclass(frozen=True)
class PersonAdd:
    """Inputs of `person.add`."""

    name: str = argument("what they are called", metavar="NAME")
    # Not uploads: the album goes on naming these files.
    photos: list[FolderIn] = argument("photos with one clear main face each", metavar="PHOTO")
    consent: str | None = option(None, "what they agreed to")
    until: str | None = option(None, "last day of that", metavar="YYYY-MM-DD")


@dataclass(frozen=True)
class Verify:
    """Inputs of `verify`."""

    files: list[PhotoIn] = argument("pictures, with NAME.json, the record of each, where there is one", metavar="FILE")


@dataclass(frozen=True)
class Forget:
    """Inputs of `forget`."""

    called: str = argument(PERSON, metavar="PERSON")


ALBUM_ADD = Task(
    "album.add",
    AlbumAdd,
    "Add photos, videos and folders; what is known is skipped, what went is reported.",
    "visavis.app.album:add",
    long=True,
    album=True,
)
ALBUM_PEOPLE = Task(
    "album.people",
    AlbumPeople,
    "Who is in the album, grouped by face; and who may be the same person.",
    "visavis.app.album:people",
    album=True,
)
ALBUM_FIND = Task(
    "album.find",
    AlbumFind,
    "Who in the album is on this photo, and how many strangers in an album of this size would look as alike.",
    "visavis.app.album:find",
    album=True,
)
ALBUM_NAME = Task("album.name", AlbumName, "Name a person.", "visavis.app.album:name", album=True)
ALBUM_MERGE = Task(
    "album.merge",
    AlbumMerge,
    "Two people are one; later photos go to the first.",
    "visavis.app.album:merge",
    album=True,
)
ALBUM_DIFFER = Task(
    "album.differ",
    AlbumDiffer,
    "Two people are not one; never joined, not asked about again.",
    "visavis.app.album:differ",
    album=True,
)
ALBUM_SPLIT = Task("album.split", AlbumSplit, "Take faces out of a person.", "visavis.app.album:split", album=True)
ALBUM_REJECT = Task("album.reject", AlbumReject, "These are no faces.", "visavis.app.album:reject", album=True)
ALBUM_SHOW = Task(
    "album.show", AlbumShow, "The faces of a person: ids, files, boxes.", "visavis.app.album:show", album=True
)
ALBUM_UNDO = Task(
    "album.undo",
    AlbumUndo,
    "Take back the last name, merge, split, reject or person.",
    "visavis.app.album:undo",
    album=True,
)
ALBUM_EXPORT = Task(
    "album.export",
    AlbumExport,
    "Write who is where: a JSON or CSV file, folders of links, or XMP sidecars beside the photos.",
    "visavis.app.album:export",
    album=True,
)
PERSON_ADD = Task(
    "person.add",
    PersonAdd,
    "A person by name, with photos of them and what they agreed to.",
    "visavis.app.album:person_add",
    album=True,
)
VERIFY = Task(
    "verify",
    Verify,
    "Read back what a picture says of its making: signed manifest, invisible mark, the record beside it.",
    "visavis.app.verify:use",
)
FORGET = Task(
    "forget",
    Forget,
    "Forget a person for good: vectors, pictures, name; with a proof. Cannot be undone.",
    "visavis.app.album:forget",
    album=True,
)
ALBUM_TASKS = (
    ALBUM_ADD,
    ALBUM_PEOPLE,
    ALBUM_FIND,
    ALBUM_NAME,
    ALBUM_MERGE,
    ALBUM_DIFFER,
    ALBUM_SPLIT,
    ALBUM_REJECT,
    ALBUM_SHOW,
    ALBUM_UNDO,
    ALBUM_EXPORT,
    PERSON_ADD,
    VERIFY,
    FORGET,
)
