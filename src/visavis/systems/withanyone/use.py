"""WithAnyone at work: one person in a portrait frame, or two beside each other, each in a box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.bases import prompts, who
from visavis.bases.load import Base, base
from visavis.bases.parts import Parts
from visavis.blocks.diffusion.sample import Network
from visavis.blocks.images import to_tensor
from visavis.core import weights
from visavis.core.card import Asked, Drawn, Progress, Spec
from visavis.core.catalogue import Terms, strictest
from visavis.core.errors import InputError
from visavis.faces.frame import frame_of
from visavis.systems.withanyone import boxes, published
from visavis.systems.withanyone.card import Options
from visavis.systems.withanyone.model import EIGHTH, WithAnyone
from visavis.training.checkpoint import origin, unpacked

MOST = 2


class Ready:
    def __init__(self, base: Base, module: WithAnyone, options: Options, terms: Terms) -> None:
        self.base, self.module, self.options, self.terms = base, module.eval(), options, terms
        module.weigh(options.s)

    def check(self, asked: Asked) -> None:
        count = len(asked.people)
        if count > MOST:
            raise InputError(f"withanyone puts up to {MOST} people into a picture, not {count}.")
        if count > 1 and not self.module.learnt_two:
            raise InputError("These weights of withanyone learnt pictures of one person; leave --beside out.")
        self._boxes(count)
        self.base.check(_of_all(asked.prompt, count))

    def __call__(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        return self.parts(asked, seed).drawn(asked, seed, progress)

    @torch.no_grad()
    def parts(self, asked: Asked, seed: int) -> Parts:
        """Of several photos of a person the mean of what is read off each."""
        pipeline, module, people = self.base.pipeline, self.module, len(asked.people)
        module.wide(people > 1)
        frames = [to_tensor(np.stack([frame_of(face).pixels for face in faces])) for faces in asked.people]
        places = torch.stack([module.read(some.to(pipeline.device)).mean(0) for some in frames])
        vectors = torch.stack([who.vector(faces) for faces in asked.people]).to(pipeline.device)
        placed = self._boxes(people)

        def told(part: slice, prompt: str, identity: bool = True) -> list[dict[str, Tensor]]:
            count = part.stop - part.start
            said, empty = (prompts.encoded(pipeline, [text] * count) for text in (_of_all(prompt, people), ""))
            said |= {"empty": empty["text"]}
            if placed is not None:
                said["boxes"] = placed.expand(count, -1, -1)
            return ladder(module, vectors.expand(count, -1, -1), places.expand(count, -1, -1, -1), said, identity)

        return Parts(pipeline, network(module), told, (asked.guidance,), [()] * asked.n, people)

    def _boxes(self, people: int) -> Tensor | None:
        """[people, 4], or None where one person may be everywhere. Raises InputError for what are none."""
        side = self.base.pipeline.unet.config.sample_size * EIGHTH
        if self.options.boxes:
            made = boxes.asked(self.options.boxes, people, people * side, side)
        elif people > 1:
            made = boxes.columns(people, people * side, side)
        else:
            return None
        return made.to(self.base.pipeline.device)


def _of_all(prompt: str, people: int) -> str:
    """Captions joined by "and"; what is said once is said of everybody."""
    return prompt if " and " in prompt or not prompt else " and ".join([prompt] * people)


def ladder(
    module: WithAnyone, vectors: Tensor, places: Tensor, told: dict[str, Tensor], identity: bool = True
) -> list[dict[str, Tensor]]:
    """Nothing, and all that is said. told: `text` and `empty` [N, L, width], perhaps `boxes` [N, n, 4]; for SDXL also
    `text_embeds` and `time_ids`."""
    same = {name: value for name, value in told.items() if name not in ("text", "empty")}
    nobody = module.without_identity(vectors, places)
    somebody = module.tokens(vectors, places) if identity else nobody
    return [{"text": told["empty"], **nobody, **same}, {"text": told["text"], **somebody, **same}]


def network(module: WithAnyone) -> Network:
    def call(
        noisy: Tensor, time: Tensor, text: Tensor, arc: Tensor, sig: Tensor, boxes: Any = None, **added: Tensor
    ) -> Tensor:
        made: Tensor = module(noisy, time, text, arc, sig, boxes, added or None)
        return made

    return call


def load(spec: Spec) -> Ready | published.Ready:
    """Raises InputError where base or weights cannot be had, RefusedError where their terms are not allowed."""
    who.check_recogniser(spec.published, str(spec.options.recogniser))
    if spec.published:
        weights.allow_folder(spec.published)
    chosen = base(spec.base)
    if spec.published:
        return published.Ready(chosen, Path(spec.published).expanduser(), spec.options)
    if spec.run:
        stored, terms = unpacked(Path(spec.run), "withanyone", whole=False), origin(Path(spec.run))["terms"]
    else:
        from safetensors.torch import load_file

        stored = {name: value.float() for name, value in load_file(weights.path("withanyone")).items()}
        terms = strictest(chosen.terms, weights.entry("withanyone").terms)
    misfit = InputError(f"withanyone's weights were made for nano and do not fit {spec.base}.")
    if not hasattr(chosen.pipeline, "unet"):
        raise misfit
    module = WithAnyone(chosen.pipeline)
    try:
        module.load_state_dict(stored)
    except RuntimeError as error:
        raise misfit from error
    return Ready(chosen, module.to(chosen.pipeline.device), spec.options, terms)
