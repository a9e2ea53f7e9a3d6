"""What a stranger asks about InstantID."""

from dataclasses import dataclass
from typing import Literal

from visavis.core.card import Card, Claim
from visavis.core.task import FolderIn, option


@dataclass(frozen=True)
class Options:
    # 1 as in training: on left-out people alike with the prompt and nearer to the person than the authors' 0.8.
    adapter_scale: float = option(1.0, "how much the identity tokens count beside the text", low=0, high=1.5)
    identity_net_scale: float = option(1.0, "how much IdentityNet counts, for who and where", low=0, high=1.5)
    points: Literal["prompt", "reference"] = option(
        "prompt", "where the five points come from: a picture of the prompt alone, or the photo"
    )
    recogniser: FolderIn = option("", "ONNX file of the authors' recogniser, which published weights need")


CARD = Card(
    slug="instantid",
    title="InstantID: Zero-shot Identity-Preserving Generation in Seconds",
    paper="arXiv 2401.07519",
    tasks=("create.portrait",),
    idea=(
        "A recogniser's vector says who, five points say where; neither says how the picture should look. A branch "
        "that hears identity in place of text learns only identity, and the prompt keeps its say."
    ),
    limits=(
        "128 px, one face on one template: the points carry yaw and mouth, hardly place. Small faces in large scenes "
        "are not covered. Not the paper's: in training the UNet's middle predicts what of recogniser A's maps tells "
        "people apart."
    ),
    base="nano",
    options=Options,
    dial="adapter_scale",
    weights=("instantid",),
    trains=True,
    claim=Claim(
        question="Does IdentityNet keep more likeness when it hears identity tokens than when it hears the text?",
        arms=("identity tokens", "text"),
        measure="likeness",
        trained=((), ("hears=text",)),
        prompts=("grey", "dark", "a person of 30", "a person of 60"),
        expected="pictures only (section 4.3); no figure",
    ),
)
