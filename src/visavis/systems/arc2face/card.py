"""What a stranger asks about Arc2Face."""

from dataclasses import dataclass

from visavis.core.card import Card, Claim
from visavis.core.task import FolderIn, option


@dataclass(frozen=True)
class Options:
    recogniser: FolderIn = option("", "ONNX file of the authors' recogniser, which published weights need")


CARD = Card(
    slug="arc2face",
    title="Arc2Face: A Foundation Model of Human Faces",
    paper="arXiv 2403.11641",
    tasks=("create.portrait", "create.identity"),
    idea=(
        "A recogniser's vector already holds what makes a person; words beside it only mix things up. So one word of a "
        "fixed sentence becomes the vector, and the whole model learns to read it."
    ),
    limits=(
        "It hears no words: n pictures differ by chance alone. 128 px, one face, near-frontal. It saw some 23,000 "
        "people where the paper's saw a million: expect a cousin. Not the paper's: its text encoder begins anew, and "
        "in training the UNet's middle predicts what of recogniser A's maps tells people apart. One photo a person: "
        "here many people and many photos cannot be told apart, and nano has seen them all before."
    ),
    base="nano",
    options=Options,
    weights=("arc2face", "arc2face_people"),
    trains=True,
    claim=Claim(
        question="Does a map from vectors to faces need many people, or do few people with as many steps do?",
        arms=("all people", "3,000 people"),
        measure="likeness",
        trained=((), ("people=3000",)),
        prompts=("", "", "", ""),
        expected="sets of the size of FFHQ do not suffice (section 3.3); no figure",
    ),
)
