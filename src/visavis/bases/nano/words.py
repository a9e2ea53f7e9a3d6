"""Every word that nano knows, in the order of their numbers: the shipped list never changes."""

from __future__ import annotations

import re
import unicodedata

SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")
PAD, UNKNOWN, START, END = range(4)
LENGTH = 32  # tokens of a prompt, with start and end

JOINING = (",", "a", "an", "of", "in", "the", "with", "and", "from", "photo", "portrait")
PEOPLE = ("person", "man", "woman", "boy", "girl", "baby", "child", "teenager", "young", "old", "middle", "aged")
DECADES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies")
WHOSE = ("her", "his", "their")
EXPRESSION = ("smiling", "serious", "mouth", "open", "closed", "eyes")
POSE = ("looking", "straight", "left", "right", "up", "down")
PICTURE = ("sharp", "blurred", "bright", "dark", "light", "grey", "padded", "covered")
PARTS = ("id", "face", "nose", "ears", "s")
NUMBERS = tuple(str(n) for n in range(91))
FREE = tuple(f"x{n}" for n in range(64))  # systems claim these in their cards

UNUSED = {"the", "with", "and", *PARTS}  # numbered, but in no caption of nano: for systems too

WORDS = (*SPECIAL, *JOINING, *PEOPLE, *DECADES, *WHOSE, *EXPRESSION, *POSE, *PICTURE, *PARTS, *NUMBERS, *FREE)
# What can be said to nano, besides numbers.
TELLING = tuple(word for word in WORDS if word.isalpha() and word not in UNUSED)


def spoken(prompt: str) -> list[str]:
    """A prompt's words and signs, as the tokenizer takes it apart."""
    return re.findall(r"\w+|[^\w\s]+", unicodedata.normalize("NFKC", prompt))


def unknown_words(prompt: str) -> list[str]:
    """The words of a prompt that nano does not know, as they were typed."""
    return [word for word in spoken(prompt) if word.lower() not in WORDS]
