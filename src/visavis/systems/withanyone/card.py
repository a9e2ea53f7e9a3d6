"""What a stranger asks about WithAnyone."""

from dataclasses import dataclass

from visavis.core.card import Card, Claim
from visavis.core.task import FolderIn, option


@dataclass(frozen=True)
class Options:
    s: float = option(0.5, "form against spirit: 1 hears the face's looks alone, 0 who it is alone", low=0, high=1)
    boxes: str = option(
        "", "where each person may be, in pixels: X1,Y1,X2,Y2;X1,Y1,X2,Y2; left out: one beside the other"
    )
    recogniser: FolderIn = option("", "ONNX file of the authors' recogniser, which published weights need")
    tower: FolderIn = option("", "folder of the authors' image tower (SigLIP), which published weights need")


CARD = Card(
    slug="withanyone",
    title="WithAnyone: Towards Controllable and ID Consistent Image Generation",
    paper="arXiv 2510.14975",
    tasks=("create.portrait",),
    idea=(
        "Who learns to rebuild the very photo that is shown learns to copy its pose and smile. So reference and target "
        "are two photos of one person, thousands of others are pushed away, and each face acts in its own box only."
    ),
    limits=(
        "One person at 128 px, or two in a picture of 256 x 128 px that was learnt from two portraits side by side: a "
        "simulation of group photos. Recogniser A's map stands in for the paper's image tower. Pairs of photos come "
        "from fewer than 200 people where the paper's come from some 25,000. The authors' layout (beside FLUX.1) is "
        "tested; it was not run with the published weights here. Not the paper's: in training the UNet's "
        "middle predicts what of recogniser A's maps tells people apart, and both identity losses weigh 0.05 and 0.01 "
        "where the paper's weigh 0.1."
    ),
    base="nano",
    most_people=4,
    options=Options,
    dial="s",
    weights=("withanyone",),
    trains=True,
    claim=Claim(
        question="Does learning from pairs of photos of one person copy less than learning from the photo shown?",
        arms=("pairs", "reconstruction"),
        measure="copy_paste",
        trained=(("pairs=identity", "paired=yes"), ("pairs=identity",)),
        expected="copy-paste 0.161 against 0.239, likeness to the target 0.405 against 0.406 (section 5)",
    ),
)
