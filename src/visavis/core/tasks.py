"""The tasks of visavis, each declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from visavis.core.album_tasks import ALBUM_TASKS
from visavis.core.card import GUIDANCE, STEPS
from visavis.core.task import BaseIn, FolderIn, OutPath, PhotoIn, Task, argument, option

Detector = Literal["yunet", "centerface"]


@dataclass(frozen=True)
class Look:
    """Inputs of `look`."""

    photos: list[PhotoIn | FolderIn] = argument("photos, or folders of photos", metavar="PHOTO|FOLDER")
    detector: Detector = option("yunet", "which detector finds the faces")
    mesh: bool = option(False, "add the 468 mesh points of each face to the JSON")
    draw: OutPath | None = option(None, "write every photo with its numbered boxes and mesh into this folder")
    embedding: OutPath | None = option(
        None, "write the 128 numbers of each face with its box and origin to this .npz or .parquet"
    )
    labels: bool = option(
        False, "add gender presentation and race as FairFace would label each face: to measure bias, for nothing else"
    )
    strict: bool = option(False, "exit 2 when any photo could not be read", here=True)


@dataclass(frozen=True)
class Compare:
    """Inputs of `compare`."""

    a: PhotoIn = argument("a photo")
    b: PhotoIn = argument("another photo")
    face: list[int] = option(
        (),
        "which face to compare, by the number that look draws beside it; twice for both photos (0: the main face)",
        low=0,
        metavar="N",
    )
    all: bool = option(False, "compare every face of the first photo with every face of the second")
    max_false_match: float = option(
        1e-3, "call it the same person only where at most this share of strangers scores as high", low=1e-7, high=0.5
    )
    detector: Detector = option("yunet", "which detector finds the faces")


@dataclass(frozen=True)
class CreateFaces:
    """Inputs of `create.faces`."""

    prompt: str = argument('what they look like: "a smiling woman of 40, looking left"; "" for anybody')
    n: int = option(12, "how many faces", low=1, high=1000, label="How many")
    out: OutPath = option("visavis-faces", "folder of the pictures and of sheet.png")
    seed: int = option(
        0, "the same number makes the same pictures again; each further picture counts up", low=0, high=2**31
    )
    base: BaseIn = option(
        "nano", "nano, a folder in diffusers' layout, or OWNER/NAME@REVISION of a hub", label="Generator"
    )
    steps: int = option(20, "of the sampler: more are finer and take longer", low=1, high=200)
    guidance: float = option(3.0, "how strictly the words are followed", low=1, high=20)


@dataclass(frozen=True)
class CreatePortrait:
    """Inputs of `create.portrait`."""

    person: PhotoIn = argument("a photo of the person", metavar="PHOTO|FOLDER")
    prompt: str = argument('how they look: "smiling, looking left"; "" for anyhow', metavar="PROMPT", default="")
    prompts: str | None = option(None, "file with a prompt on each line, in place of PROMPT", metavar="FILE", here=True)
    more: list[PhotoIn] = option((), "a further photo of this person; may be repeated", metavar="PHOTO")
    beside: list[PhotoIn] = option((), "a photo of somebody else in the same picture; may be repeated", metavar="PHOTO")
    face: int = option(0, "which face of the photo, by the number that look draws beside it (0: the main one)", low=0)
    system: str = option(
        "",
        "which system makes it; left out, the prompt decides: arc2face, which takes no words, for none, instantid for "
        "words, withanyone for several people",
        metavar="SLUG",
    )
    n: int = option(4, "how many pictures", low=1, high=1000, label="How many")
    out: OutPath = option(
        "visavis-portraits", "folder of the pictures, their JSON, and a sheet of each photo and prompt"
    )
    seed: int = option(
        0, "the same number makes the same pictures again; each further picture counts up", low=0, high=2**31
    )
    base: BaseIn = option(
        "",
        "in place of the system's own base: a folder in diffusers' layout, or OWNER/NAME@REVISION",
        label="Generator",
    )
    published: FolderIn | None = option(
        None, "folder with the authors' own weights, in place of ours", label="Authors' weights"
    )
    steps: int = option(STEPS, "of the sampler; bases other than nano may want 20 or more", low=1, high=200)
    guidance: float = option(GUIDANCE, "how strictly the words are followed", low=1, high=20)
    no_consent_check: bool = option(False, "leave the album's consents alone; the pictures record that", here=True)


@dataclass(frozen=True)
class CreateIdentity:
    """Inputs of `create.identity`."""

    n: int = option(4, "how many people", low=1, high=1000, label="How many people")
    photos: int = option(6, "how many pictures of each", low=1, high=100, label="Pictures of each")
    system: str = option("arc2face", "which system makes them; `visavis systems` lists them", metavar="SLUG")
    out: OutPath = option("visavis-people", "folder of a folder for each person, and of sheet.png")
    seed: int = option(
        0, "the same number makes the same people again; each further person counts up", low=0, high=2**31
    )
    base: BaseIn = option(
        "",
        "in place of the system's own base: a folder in diffusers' layout, or OWNER/NAME@REVISION",
        label="Generator",
    )
    steps: int = option(STEPS, "of the sampler; bases other than nano may want 20 or more", low=1, high=200)
    guidance: float = option(3.0, "how strictly the person is followed", low=1, high=20)


@dataclass(frozen=True)
class MeasureLikeness:
    """Inputs of `measure.likeness`."""

    folder: FolderIn = argument(
        "folder with made/NAME.png (or a folder NAME of pictures), reference/NAME.jpg, the photo that was shown, and "
        "truth/NAME.jpg, another photo of the same people (or, of each, a folder NAME with one photo a person)"
    )


LOOK = Task(
    "look",
    Look,
    "Who is on a photo: boxes, landmarks, head pose, expression and quality of every face.",
    "visavis.app.look:use",
)
COMPARE = Task(
    "compare",
    Compare,
    "Is it the same person on two photos, and how often would a stranger score this high?",
    "visavis.app.compare:use",
)
CREATE_FACES = Task(
    "create.faces", CreateFaces, "Faces that nobody has, from words alone.", "visavis.app.create:use", long=True
)
CREATE_PORTRAIT = Task(
    "create.portrait",
    CreatePortrait,
    "Portraits of this person, from one photo and words, with the likeness measured.",
    "visavis.app.portrait:use",
    long=True,
    album=True,
    systems=True,
)
CREATE_IDENTITY = Task(
    "create.identity",
    CreateIdentity,
    "People whom nobody has met, each on several pictures, with how alike these are.",
    "visavis.app.identity:use",
    long=True,
    systems=True,
)
MEASURE_LIKENESS = Task(
    "measure.likeness",
    MeasureLikeness,
    "Are made pictures the people, or copies of the photos that were shown: three scores against another photo.",
    "visavis.app.measure:use",
    long=True,
)
TASKS = (LOOK, COMPARE, CREATE_FACES, CREATE_PORTRAIT, CREATE_IDENTITY, MEASURE_LIKENESS, *ALBUM_TASKS)
