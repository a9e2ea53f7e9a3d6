"""FreeCure at work: another system's portraits, and what their foundation adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.bases.parts import Foundation
from visavis.blocks.diffusion.sample import to_images
from visavis.blocks.images import to_pixels
from visavis.blocks.regions import Region, region
from visavis.core import registry
from visavis.core.card import Asked, Drawn, Progress, Spec
from visavis.core.config import changed
from visavis.core.errors import InputError
from visavis.core.task import check
from visavis.core.types import Photo, Pixels
from visavis.faces.analyse import central, find_faces
from visavis.faces.frame import BORDER, canvas
from visavis.faces.parse import Mask
from visavis.systems.freecure import words
from visavis.systems.freecure.card import Options
from visavis.systems.freecure.model import Cure

BATCH = 4  # pictures; each runs twice
GROWN = 0.05  # border of a mask, in sides of the picture: a mouth that opens needs room
FACELESS = "the words alone gave no face: nothing of it could be taken over"
NOTHING = "the prompt names nothing that freecure cures: " + ", ".join(words.ATTRIBUTES)


class Ready:
    """system: the other one, loaded, which is also a `Foundation`; loaded: names of what ships that it took."""

    def __init__(self, system: Any, options: Options, loaded: tuple[str, ...]) -> None:
        self.system, self.options, self.terms, self.loaded = system, options, system.terms, loaded

    def check(self, asked: Asked) -> None:
        self.system.check(asked)

    def __call__(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        foundation: Foundation = self.system
        parts = foundation.parts(asked, seed)
        if not words.named(asked.prompt):
            for drawn in parts.drawn(asked, seed, progress):
                yield Drawn(drawn.pixels, drawn.frame, (*drawn.notes, NOTHING))
            return
        for start in range(0, asked.n, BATCH):
            part = slice(start, min(start + BATCH, asked.n))
            seeds = range(seed + part.start, seed + part.stop)

            def shown(share: float, part: slice = part) -> None:
                progress((part.start + (part.stop - part.start) * share) / asked.n)

            cured, notes = self._cured(Cure(parts, part, seeds, asked.prompt, asked.steps), shown)
            pixels = _decoded(parts.pipeline.vae, cured)
            for picture, own, further in zip(pixels, parts.notes[part], notes, strict=True):
                yield Drawn(picture, notes=(*own, *further))

    def _cured(self, cure: Cure, progress: Progress) -> tuple[Tensor, list[tuple[str, ...]]]:
        """Latents [N, C, h, w], and what is to be said of each."""
        options, named = self.options, words.named(cure.prompt)
        places = {words.PLACES[name] for name in named if name in words.PLACES} if options.stages != "apg" else set()
        whole = [name for name in named if options.stages == "apg" or name in words.WHOLE]
        guided = bool(whole) and options.stages != "fasa" and options.gamma > 0
        stages = 1 + bool(places) + guided

        def step(stage: int) -> Any:
            return lambda done, of: progress((stage + done / of) / stages)

        made, other = cure.dual(on_step=step(0))
        notes: list[tuple[str, ...]] = [()] * len(made)
        if places:
            masks = [_mask(picture, places) for picture in _decoded(cure.parts.pipeline.vae, other)]
            if options.mask == "all":
                masks = [np.ones_like(mask) for mask in masks]
            notes = [() if mask.any() else (FACELESS,) for mask in masks]
            fasa = cure.fasa(torch.from_numpy(np.stack(masks)[:, None]).to(made), options.omega, options.rule)
            made, _ = cure.dual(fasa, cure.layers(options.layers), step(1))
        if guided:
            prompts = words.template(cure.prompt), words.with_attributes(cure.prompt)
            made = cure.apg(made, *prompts, options.gamma, step(stages - 1))
        return made, notes


@torch.no_grad()
def _decoded(vae: Any, latents: Tensor) -> Pixels:
    return to_pixels(to_images(vae, latents))


def _mask(picture: Pixels, places: set[Region]) -> Mask:
    """bool [S, S]: where these places are in a made portrait frame; nowhere without a face."""
    face = central(find_faces(Photo(canvas(picture), "made picture")))
    if face is None:
        return np.zeros(picture.shape[:2], np.bool_)
    side = len(picture)
    return region(face.mesh[:, :2] - np.float32(BORDER), places, side, round(GROWN * side))


def load(spec: Spec) -> Ready:
    """Raises InputError where the other system cannot be had or stands on no intact base, and what its own load
    raises. A base, published weights or a run that are named are the other system's."""
    options: Options = spec.options
    other = registry.card(options.on)
    told = changed(other.options(), [text for text in options.told.split(",") if text])
    check(told)
    inner = Spec(spec.base or other.base, told, spec.published, spec.run)
    system = registry.part(options.on, "use").load(inner)
    if not hasattr(system, "parts"):
        raise InputError(f"freecure cannot cure {options.on}: no intact base stands under it that could be asked.")
    own = () if inner.published or inner.run else other.weights
    return Ready(system, options, (inner.base, *own))
