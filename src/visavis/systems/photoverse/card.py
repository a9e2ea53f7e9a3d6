"""What a stranger asks about PhotoVerse."""

from dataclasses import dataclass

from visavis.core.card import Card, Claim
from visavis.core.task import option


@dataclass(frozen=True)
class Options:
    m: int = option(4, "how many pseudo-words and image tokens, the deepest first; the paper's test: 1", low=1, high=4)
    gamma: float = option(1.0, "how much the text branch counts", low=0, high=2)
    sigma: float = option(1.0, "how much the image branch counts", low=0, high=2)
    alpha: float = option(1.0, "how much the learnt change of the text branch counts", low=0, high=1)


CARD = Card(
    slug="photoverse",
    title="PhotoVerse: Tuning-Free Image Customization with Text-to-Image Diffusion Models",
    paper="arXiv 2309.05793",
    tasks=("create.portrait",),
    idea=(
        "A face goes two ways into the picture: as pseudo-words, which a prompt can bend, and as keys and values of "
        "their own, which carry detail. In training the two are mixed at random, so that each learns to work alone."
    ),
    limits=(
        "128 px, one face, near-frontal. Recogniser A's maps stand in for the paper's image tower, and the picture is "
        "the face's own frame where the paper's is three times as wide. Learnt from single photos: it partly copies "
        "their pose and light. Its pseudo-words take the place of nano's free word x0, which a prompt may name once. "
        "Not the paper's: in training the UNet's middle predicts what of recogniser A's maps tells people apart, and "
        "in the last 48,000 of 163,200 samples the identity loss weighs 0.05 in place of 0.01."
    ),
    base="nano",
    options=Options,
    dial="sigma",
    weights=("photoverse",),
    trains=True,
    claim=Claim(
        question="Is likeness higher with the visual branch beside the pseudo-words than without it?",
        arms=("both branches", "pseudo-words alone"),
        measure="likeness",
        trained=((), ("visual=no",)),
        prompts=("grey", "dark", "a person of 30", "a person of 60"),
        expected="higher: 0.696 against 0.556 (ArcFace similarity, section 4)",
    ),
)
