"""Arc2Face at work: a vector in, pictures out; the prompt is not heard. The vector is a person's, or nobody's."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file
from torch import Tensor

from visavis.bases import who
from visavis.bases.load import Base, with_unet
from visavis.bases.sampling import pictures
from visavis.blocks.identity.drawn import Crowd
from visavis.core import weights
from visavis.core.card import Asked, Drawn, Invented, Progress, Spec
from visavis.core.catalogue import Terms, strictest
from visavis.core.errors import InputError
from visavis.core.types import Floats, Pixels
from visavis.systems.arc2face import published
from visavis.systems.arc2face.fewbits import add_differences
from visavis.systems.arc2face.model import Arc2Face
from visavis.training.checkpoint import origin, unpacked

DEAF = "arc2face hears no words; instantid does"
PHOTOS = 1000  # seeds of each made-up person


class Ready:
    """crowd: of the people it learnt, whence new ones are drawn."""

    def __init__(
        self, base: Base, module: Arc2Face, terms: Terms, recogniser: str = "", crowd: Crowd | None = None
    ) -> None:
        self.base, self.module, self.terms = base, module.to(base.pipeline.device).eval(), terms
        self.recogniser, self.crowd = recogniser, crowd

    def check(self, asked: Asked | Invented) -> None:
        if isinstance(asked, Invented) and self.crowd is None:
            raise InputError("arc2face makes up people with the weights that ship only.")

    def __call__(self, asked: Asked | Invented, seed: int, progress: Progress) -> Iterator[Drawn]:
        if isinstance(asked, Invented):
            yield from self._invented(asked, seed, progress)
            return
        notes = (DEAF,) if asked.prompt else ()
        vectors = who.vector(asked.people[0], self.recogniser).expand(asked.n, -1)
        how: dict[str, Any] = {"steps": asked.steps, "guidance": asked.guidance, "progress": progress}
        for picture in sampled(self.base.pipeline, self.module, vectors, range(seed, seed + asked.n), **how):
            yield Drawn(picture, notes=notes)

    def _invented(self, asked: Invented, seed: int, progress: Progress) -> Iterator[Drawn]:
        people = [self._person(seed + i) for i in range(asked.n)]  # a seed that there is not is said before any picture
        for i, (vector, refused) in enumerate(people):
            notes = (f"{refused} draws were too near to somebody who was learnt",) if refused else ()
            seeds = range((seed + i) * PHOTOS, (seed + i) * PHOTOS + asked.photos)

            def shown(share: float, i: int = i) -> None:
                progress((i + share) / asked.n)

            vectors = torch.from_numpy(vector).expand(asked.photos, -1)
            how: dict[str, Any] = {"steps": asked.steps, "guidance": asked.guidance, "progress": shown}
            for picture in sampled(self.base.pipeline, self.module, vectors, seeds, **how):
                yield Drawn(picture, notes=notes)

    def _person(self, seed: int) -> tuple[Floats, int]:
        assert self.crowd is not None
        try:
            return self.crowd.person(seed)
        except ValueError as error:
            raise InputError(f"arc2face makes up nobody of seed {seed}: {error}.") from error


def sampled(
    pipeline: Any,
    module: Arc2Face,
    vectors: Tensor,
    seeds: Sequence[int],
    *,
    steps: int = 20,
    guidance: float = 3.0,
    progress: Progress = lambda share: None,
) -> Iterator[Pixels]:
    """A picture uint8 [H, W, 3] of each vector [N, 128], from its seed alone."""

    def told(part: slice) -> list[dict[str, Tensor]]:
        who = vectors[part].to(module.sentence.device)
        return [{"said": module.without_identity(len(who))}, {"said": module.conditions(who)}]

    def network(noisy: Tensor, time: Tensor, said: Tensor) -> Tensor:
        made: Tensor = module.unet(noisy, time, said, return_dict=False)[0]
        return made

    return pictures(pipeline, network, told, seeds, [guidance], steps=steps, progress=progress)


def load(spec: Spec) -> Ready:
    """Raises InputError where base or weights cannot be had, RefusedError where their terms are not allowed."""
    chosen = with_unet(spec.base)
    pipeline = chosen.pipeline
    recogniser = str(spec.options.recogniser)
    who.check_recogniser(spec.published, recogniser)
    if spec.published:
        return Ready(chosen, published.load(spec.published, pipeline), "unknown", recogniser)
    module = Arc2Face(copy.deepcopy(pipeline.text_encoder), copy.deepcopy(pipeline.unet), pipeline.tokenizer)
    if spec.run:
        module.load_state_dict(unpacked(Path(spec.run), "arc2face", whole=False))
        return Ready(chosen, module, origin(Path(spec.run))["terms"])
    put(module, load_file(weights.path("arc2face")), spec.base)
    crowd = Crowd.from_arrays(load_arrays(weights.path("arc2face_people")))
    return Ready(chosen, module, strictest(chosen.terms, weights.entry("arc2face").terms), crowd=crowd)


def put(module: Arc2Face, stored: dict[str, Tensor], name: str) -> None:
    """Fills a module made of the base with what ships."""
    try:
        for part in ("text", "unet"):
            theirs = {
                key.removeprefix(f"{part}."): value for key, value in stored.items() if key.startswith(f"{part}.")
            }
            add_differences(getattr(module, part), theirs)
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"arc2face's weights were made for nano and do not fit {name}; name the authors' own."
        ) from error
