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


# Packages, as they are imported, of the extra [ml].
ML = {"torch", "diffusers", "transformers", "accelerate", "peft", "datasets", "pytorch_metric_learning", "c2pa"}
ML |= {"huggingface_hub", "tokenizers", "pyarrow", "matplotlib"}  # the last two for figures and data sets


def absent(error: ModuleNotFoundError, what: str) -> InputError:
    """What an import that failed is needed for. Raises the error itself where it is one of visavis' own."""
    package = (error.name or "").partition(".")[0]
    if package in ML:
        return missing_extra("ml", what)
    if package in ("", "visavis"):
        raise error
    return InputError(f"{what} needs the Python package {package!r}, which is not installed.")


def missing_extra(extra: str, what: str) -> InputError:
    """What an absent optional dependency is needed for, and the command that adds it."""
    text = f"{what} needs the extra [{extra}]: pip install '.[{extra}]' in visavis' checkout"
    if extra == "ml":
        text += (
            ". On Linux that brings gigabytes of CUDA; where there is no GPU, install torch first: "
            "pip install torch --index-url https://download.pytorch.org/whl/cpu"
        )
    return InputError(text)
