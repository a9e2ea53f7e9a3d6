"""What FreeCure can cure: which words of a prompt name an attribute, where on a face it lies, and what is left."""

from __future__ import annotations

import re

from visavis.blocks.regions import Region

# Through self-attention: what has a place.
PLACES: dict[str, Region] = {
    "smiling": "lips",
    "serious": "lips",
    "mouth open": "lips",
    "mouth closed": "lips",
    "eyes open": "eyes",
    "eyes closed": "eyes",
}
# Through asymmetric prompts: what the whole picture shows.
WHOLE = (
    "smiling", "serious", "looking straight", "looking left", "looking right", "looking up", "looking down",
    "light from left", "light from right", "dark", "bright", "grey",
)  # fmt: skip
ATTRIBUTES = tuple(dict.fromkeys([*PLACES, *WHOLE]))
NOBODY = "a person"


def named(prompt: str) -> list[str]:
    """The attributes that a prompt asks for."""
    return [words for words in ATTRIBUTES if _pattern(words).search(prompt)]


def template(prompt: str) -> str:
    """The prompt without its attributes."""
    for words in named(prompt):
        prompt = _pattern(words).sub(" ", prompt)
    clauses = [" ".join(clause.split()) for clause in prompt.split(",")]
    return ", ".join(clause for clause in clauses if clause.lower() not in ("", "a", "an", "and")) or NOBODY


def with_attributes(prompt: str) -> str:
    """The template and then the attributes."""
    return ", ".join([template(prompt), *named(prompt)])


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(r"\b" + r"\s+".join(words.split()) + r"\b", re.IGNORECASE)
