"""PhotoVerse at work: a photo as pseudo-words of the prompt and as tokens of the image branch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.bases.load import Base, with_unet
from visavis.bases.parts import Parts
from visavis.blocks.images import to_tensor
from visavis.blocks.regions import region
from visavis.core import weights
from visavis.core.card import Asked, Drawn, Progress, Spec
from visavis.core.catalogue import Terms, strictest
from visavis.core.errors import InputError
from visavis.core.types import Floats, Pixels
from visavis.faces.frame import frame_of
from visavis.systems.photoverse.card import Options
from visavis.systems.photoverse.model import WORD, PhotoVerse, tokens
from visavis.training.checkpoint import origin, unpacked


class Ready:
    def __init__(self, base: Base, module: PhotoVerse, options: Options, terms: Terms) -> None:
        self.base, self.module, self.options, self.terms = base, module.eval(), options, terms
        module.scale(options.gamma, options.sigma, options.alpha)

    def check(self, asked: Asked) -> None:
        self.base.check(asked.prompt)
        if int((self._ids(asked.prompt, 1) == self.module.placeholder).sum()) > 1:
            raise InputError(f"{WORD} stands for the person: name it once, or leave it out.")

    def __call__(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        return self.parts(asked, seed).drawn(asked, seed, progress)

    @torch.no_grad()
    def parts(self, asked: Asked, seed: int) -> Parts:
        """Of several photos the mean of what the adapters make of each."""
        frames = [frame_of(face) for face in asked.people[0]]
        shown = to_tensor(np.stack([masked(frame.pixels, frame.mesh) for frame in frames]))
        words, seen = (made.mean(0, keepdim=True)[:, -self.options.m :] for made in self.module.read(self._here(shown)))

        def told(part: slice, prompt: str, identity: bool = True) -> list[dict[str, Tensor]]:
            count = part.stop - part.start
            own = words.expand(count, -1, -1), seen.expand(count, -1, -1)
            return ladder(self.module, self._ids(prompt, count), *own, identity)

        return Parts(self.base.pipeline, self.module, told, (asked.guidance,), [()] * asked.n)

    def _ids(self, prompt: str, count: int) -> Tensor:
        return self._here(tokens(self.base.pipeline.tokenizer, [prompt] * count))

    def _here(self, values: Tensor) -> Tensor:
        return values.to(self.module.front.device)


def masked(pixels: Pixels, mesh: Floats) -> Pixels:
    """uint8 [S, S, 3]: the reference x_m, a frame with everything but the face of this mesh [468, 2 or 3] black."""
    return np.where(region(mesh, ["face"], len(pixels))[..., None], pixels, np.uint8(0))


def ladder(
    module: PhotoVerse, ids: Tensor, words: Tensor, seen: Tensor, identity: bool = True
) -> list[dict[str, Tensor]]:
    """Nothing, and all that is said: of tokens [B, L], pseudo-words and image tokens [B, m, width]."""
    silent = torch.zeros_like(seen)
    nothing = module.without_identity(module.empty).expand(len(ids), -1, -1)
    text = module.said(ids, words) if identity else module.without_identity(ids)
    return [{"text": nothing, "tokens": silent}, {"text": text, "tokens": seen if identity else silent}]


def load(spec: Spec) -> Ready:
    """Raises InputError where base or weights cannot be had, RefusedError where their terms are not allowed."""
    if spec.published:
        raise InputError("The authors of PhotoVerse published no weights; leave --published out.")
    chosen = with_unet(spec.base)
    if spec.run:
        facts = origin(Path(spec.run))
        module = filled(
            chosen.pipeline, unpacked(Path(spec.run), "photoverse", whole=False), spec.base, facts["visual"]
        )
        return Ready(chosen, module, spec.options, facts["terms"])
    from safetensors.torch import load_file

    stored = {name: value.float() for name, value in load_file(weights.path("photoverse")).items()}
    terms = strictest(chosen.terms, weights.entry("photoverse").terms)
    return Ready(chosen, filled(chosen.pipeline, stored, spec.base), spec.options, terms)


def filled(pipeline: Any, stored: dict[str, Tensor], name: str, visual: bool = True) -> PhotoVerse:
    """The module of a base with what was learnt."""
    module = PhotoVerse(pipeline, visual)
    try:
        module.load_state_dict(stored)
    except RuntimeError as error:
        raise InputError(f"photoverse's weights were made for nano and do not fit {name}.") from error
    return module.to(pipeline.device)
