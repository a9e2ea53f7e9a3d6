"""What a stranger asks about FreeCure."""

from dataclasses import dataclass
from typing import Literal

from visavis.core.card import Card, Claim
from visavis.core.task import option


@dataclass(frozen=True)
class Options:
    on: str = option("photoverse", "the system whose portraits are cured", metavar="SLUG")
    told: str = option("", "that system's own options, as m=1,sigma=0.8", metavar="KEY=VALUE,...", here=True)
    stages: Literal["both", "fasa", "apg"] = option(
        "both", "self-attention for what has a place, asymmetric prompts for what the whole picture shows, or both"
    )
    omega: float = option(1.5, "how much the run without identity counts inside the mask", low=0, high=4)
    rule: Literal["add", "multiply"] = option(
        "add", "omega is added to its similarities, as in the authors' code, or multiplies them, as in the paper (2.0)"
    )
    layers: float = option(0.4, "share of the self-attention layers that look at it, the last ones", low=0.05, high=1)
    mask: Literal["named", "all"] = option("named", "where they look: at the parts that the prompt names, or all over")
    gamma: float = option(0.5, "how far asymmetric prompts go back towards noise", low=0, high=1)


CARD = Card(
    slug="freecure",
    title="Foundation Cures Personalization: Improving Personalized Models' Prompt Consistency via Hidden Foundation "
    "Knowledge",
    paper="arXiv 2411.15277",
    tasks=("create.portrait",),
    idea=(
        "With its identity switched off a personalised model still does what the prompt says. So the run with identity "
        "looks, inside a mask and in self-attention alone, at a run without it."
    ),
    limits=(
        "Cures another system that stands on an intact base. Lips and eyes come from the face mesh of the picture "
        "without identity, where there must be a face; hair and glasses are left out. Two runs of two pictures and "
        "an inversion make one: four to five times the work."
    ),
    options=Options,
    claim=Claim(
        question="Is more of the prompt obeyed after the cure (smile, open mouth, closed eyes)?",
        arms=("the system with FreeCure", "the system alone"),
        measure="obeyed",
        made=(("freecure", "on=photoverse"), ("photoverse",)),
        prompts=("smiling", "mouth open", "eyes closed"),
        expected="more, for slightly less likeness: +7.9 % and -3.0 % for InstantID (table 1)",
    ),
)
