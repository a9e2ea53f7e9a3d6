"""Bases by name: what ships, a folder in diffusers' layout, or a repository of a hub at a pinned revision."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline

from visavis.bases.nano.words import LENGTH, WORDS, spoken, unknown_words
from visavis.bases.quiet import quiet
from visavis.core import weights
from visavis.core.catalogue import Terms
from visavis.core.config import nearest
from visavis.core.errors import InputError
from visavis.core.progress import say
from visavis.core.settings import settings
from visavis.core.types import Pixels
from visavis.training.precision import asked_threads

SHIPPED = ("nano",)
BATCH = 8
READ = ["*.json", "*/*.txt", "*/*.safetensors", "*/*.model"]  # of a hub's repository: nothing that runs code
TWICE = ["*.fp16.*", "*.non_ema.*"]
HUB = re.compile(r"[\w.-]+/[\w.-]+@[\w./-]+")


@dataclass(frozen=True, eq=False)
class Base:
    """A text-to-image pipeline. words: all that it knows, or None where it reads free text."""

    name: str
    pipeline: Any
    terms: Terms
    words: tuple[str, ...] | None

    def check(self, prompt: str) -> None:
        """Raises InputError for a prompt that is too long or has words that the base does not know, naming them."""
        if not self.words:
            return
        unknown = unknown_words(prompt)
        if unknown:
            hint = nearest(unknown[0].lower(), [word for word in WORDS if word.isalpha()])
            hint = f" ({hint})" if hint.startswith("did you mean") else ""
            raise InputError(
                f"{self.name} does not know {', '.join(map(repr, unknown))}{hint}; "
                "`visavis bases nano --words` shows what it knows."
            )
        count = len(spoken(prompt))
        if count > LENGTH - 2:
            raise InputError(f"The prompt has {count} words and signs; {self.name} reads {LENGTH - 2}.")

    def pictures(
        self, prompt: str, n: int, *, seed: int = 0, steps: int = 20, guidance: float = 3.0
    ) -> Iterator[Pixels]:
        """n pictures uint8 [H, W, 3], each as soon as its batch is done. Picture i follows from seed + i alone."""
        yield from self.each([prompt] * n, seed=seed, steps=steps, guidance=guidance)

    def each(
        self, prompts: Sequence[str], *, seed: int = 0, steps: int = 20, guidance: float = 3.0
    ) -> Iterator[Pixels]:
        """A picture uint8 [H, W, 3] of each prompt; picture i follows from its prompt and seed + i alone."""
        for prompt in dict.fromkeys(prompts):
            self.check(prompt)
        for start in range(0, len(prompts), BATCH):
            batch = list(prompts[start : start + BATCH])
            made = self.pipeline(
                batch,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(seed + start + i) for i in range(len(batch))],
                output_type="np",
            ).images
            yield from np.asarray(np.rint(made * 255), np.uint8)


def base(name: str) -> Base:
    """nano, a folder, or OWNER/NAME@REVISION. Raises InputError where there is none or parts are missing, RefusedError
    where only permissive terms are allowed and its terms are not."""
    folder, terms = place(name)
    pipeline = read(folder)
    vocabulary = getattr(pipeline, "tokenizer", None)
    own = vocabulary is not None and vocabulary.get_vocab().keys() == set(WORDS)
    return Base(name, pipeline, terms, WORDS if own else None)


def with_unet(name: str) -> Base:
    """As `base`, for systems that stand on a UNet; raises InputError for a base that has none, as FLUX has."""
    made = base(name)
    if not hasattr(made.pipeline, "unet"):
        raise InputError(f"{name} has no UNet, on which this system stands: take nano or a Stable Diffusion folder.")
    return made


def place(name: str) -> tuple[Path, Terms]:
    """The folder of a base and its terms; raises as `base` does."""
    terms: Terms = "unknown"
    if name in SHIPPED:
        folder, terms = weights.folder(name), weights.parts(name)[0].terms
    elif HUB.fullmatch(name) and not Path(name).exists():
        weights.allow(name, terms)
        folder = hub(name)
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser()
    else:
        known = f"{', '.join(SHIPPED)}, a folder in diffusers' layout, or OWNER/NAME@REVISION of a hub"
        raise InputError(f"There is no base {name!r}; known are {known}.")
    weights.allow(name, terms)
    return folder, terms


def read(folder: Path) -> Any:
    """The pipeline of a folder, in float32 on the device of the settings. Raises InputError naming what is missing."""
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no pipeline folder of diffusers: it has no readable model_index.json."
        ) from error
    missing = [name for name in _parts(index) if not (folder / name).is_dir()]
    if missing:
        raise InputError(f"{folder} lacks {', '.join(missing)}, which its model_index.json names.")
    options = {"dtype": torch.float32, "use_safetensors": True}
    with quiet():
        kinds = dict(_models(index))
    models = {name: whole(kind, folder / name, **options) for name, kind in kinds.items()}
    try:
        with quiet():
            made = DiffusionPipeline.from_pretrained(folder, local_files_only=True, **models, **options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{folder} cannot be read: {' '.join(str(error).split())[:200]}") from error
    made.set_progress_bar_config(disable=True)
    asked_threads()
    return made.to(settings().device)


def whole(kind: Any, folder: Path, **options: Any) -> Any:
    """A model of diffusers or transformers from its folder. Raises InputError for what cannot be read, and where the
    files lack weights: both libraries would only warn and begin them at random."""
    try:
        with quiet():
            made, told = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    except Exception as error:  # both have many ways to say that a file is not what it should be
        raise InputError(f"{folder} cannot be read: {' '.join(str(error).split())[:200]}") from error
    lacking = sorted(told["missing_keys"])
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise InputError(f"{folder} lacks the weights {lacking[0]}{more}, which its config.json asks for.")
    return made


def hub(name: str) -> Path:
    """The folder of OWNER/NAME@REVISION in the cache, fetched where it is not there yet: safetensors and settings only.
    A revision is a commit, a tag or a branch; a branch stays what it was when it was fetched first.

    The licence that its card names is shown before anything is fetched. Raises InputError where it cannot be had.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, revision = name.split("@", 1)
    cache = settings().cache / "hub"
    place: dict[str, Any] = {"revision": revision, "cache_dir": cache, "allow_patterns": READ, "ignore_patterns": TWICE}
    try:
        return Path(snapshot_download(repository, local_files_only=True, **place))
    except LocalEntryNotFoundError:
        pass
    try:
        facts = HfApi().model_info(repository, revision=revision, files_metadata=True)
        size = sum(file.size or 0 for file in facts.siblings or () if file.rfilename.endswith(".safetensors"))
        licence = facts.card_data.get("license") if facts.card_data else None
        say(f"{name}: licence {licence or 'not stated'}, about {size / 1e9:.1f} GB")
        return Path(snapshot_download(repository, **place))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(f"{name} cannot be fetched: {' '.join(str(error).split())[:160]}") from error


def _parts(index: dict[str, Any]) -> Sequence[str]:
    return [name for name, value in index.items() if isinstance(value, list) and value and value[0] is not None]


def _models(index: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and classes of the networks that a model_index.json names, without tokenizers and samplers."""
    for name in _parts(index):
        library, kind = index[name]
        if library in ("diffusers", "transformers"):
            found = getattr(importlib.import_module(library), str(kind), None)
            if isinstance(found, type) and issubclass(found, torch.nn.Module):
                yield name, found
