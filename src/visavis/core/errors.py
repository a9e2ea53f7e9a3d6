"""The errors that a user can meet, each with the exit code of the command line."""

from __future__ import annotations


class VisavisError(Exception):
    """Base of all errors that visavis raises on purpose; the message is at most two sentences for a person."""

    exit_code = 1


class InputError(VisavisError):
    """The user or the machine can mend it: input, arguments, missing extra, no network, full disk, absent device."""

    exit_code = 2


class RefusedError(VisavisError):
    """Consent or licence forbids it."""

    exit_code = 3


def missing_extra(extra: str, what: str) -> InputError:
    """What an absent optional dependency is needed for, and the command that adds it."""
    text = f"{what} needs the extra [{extra}]: pip install 'visavis[{extra}]'"
    if extra == "ml":
        text += (
            ". On Linux that brings gigabytes of CUDA; where there is no GPU, install torch first: "
            "pip install torch --index-url https://download.pytorch.org/whl/cpu"
        )
    return InputError(text)
