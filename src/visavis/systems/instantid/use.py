"""InstantID at work: who by the vector, where by five points, how by the words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.bases import prompts, who
from visavis.bases.load import Base, with_unet
from visavis.bases.parts import Parts
from visavis.bases.sampling import pictures
from visavis.blocks.diffusion.sample import Network
from visavis.blocks.identity.spatial import key_points
from visavis.core import weights
from visavis.core.card import Asked, Drawn, Progress, Spec
from visavis.core.catalogue import Terms, strictest
from visavis.core.types import Pixels
from visavis.faces import align
from visavis.faces.frame import frame_of, points_in
from visavis.faces.mesh import five_points
from visavis.systems.instantid import published
from visavis.systems.instantid.card import Options
from visavis.systems.instantid.model import InstantID
from visavis.training.checkpoint import origin, unpacked

SIZE = align.SIZES["portrait"]
KEPT = 1000  # prompts whose points are remembered


class Ready:
    def __init__(self, base: Base, module: InstantID, options: Options, terms: Terms) -> None:
        module = module.to(base.pipeline.device).eval()
        self.base, self.module, self.options, self.terms = base, module, options, terms
        # The next person's pictures of a prompt follow from the same points.
        self._of_prompt = lru_cache(KEPT)(self._of_prompt)  # type: ignore[method-assign]
        module.adapter.scale, module.identity_net_scale = options.adapter_scale, options.identity_net_scale

    def check(self, asked: Asked) -> None:
        self.base.check(asked.prompt)

    def __call__(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        return self.parts(asked, seed).drawn(asked, seed, progress)

    def parts(self, asked: Asked, seed: int) -> Parts:
        """The points stay when the identity is switched off, as in FreeCure's own script for InstantID."""
        pipeline = self.base.pipeline
        length = self.module.projector.proj_in.in_features
        vectors = who.vector(asked.people[0], str(self.options.recogniser), length).expand(asked.n, -1)
        places, notes = self._points(asked, range(seed, seed + asked.n))
        points = resized(pipeline, drawn(places))

        def told(part: slice, prompt: str, identity: bool = True) -> list[dict[str, Tensor]]:
            said, empty = (prompts.encoded(pipeline, [text] * (part.stop - part.start)) for text in (prompt, ""))
            return ladder(self.module, vectors[part], points[part], said | {"empty": empty["text"]}, identity)

        return Parts(pipeline, network(self.module), told, (asked.guidance,), notes)

    def _points(self, asked: Asked, seeds: Sequence[int]) -> tuple[NDArray[np.float64], list[tuple[str, ...]]]:
        """[N, 5, 2] in a portrait frame, and what is to be said of each."""
        if self.options.points == "reference":
            own = five_points(frame_of(asked.people[0][0]).mesh).astype(np.float64)
            return np.tile(own, (asked.n, 1, 1)), [()] * asked.n
        places, notes = list[NDArray[np.float64]](), list[tuple[str, ...]]()
        for found in self._of_prompt(asked.prompt, asked.n, seeds[0], asked.steps, asked.guidance):
            places.append(_TEMPLATE if found is None else found)
            notes.append(("the prompt alone gave no face: points of a frontal one",) if found is None else ())
        return np.stack(places), notes

    def _of_prompt(
        self, prompt: str, n: int, seed: int, steps: int, guidance: float
    ) -> list[NDArray[np.float64] | None]:
        return [points_in(one) for one in self.base.pictures(prompt, n, seed=seed, steps=steps, guidance=guidance)]


_TEMPLATE = align.apply(align.invert(align.between_templates("portrait")), align.ARCFACE)


def drawn(points: NDArray[Any]) -> Tensor:
    """float32 [N, 3, 128, 128] in 0..1: pictures of points [N, 5, 2] in a portrait frame."""
    made = np.stack([key_points(five, (SIZE, SIZE)) for five in points])
    return torch.from_numpy(made).permute(0, 3, 1, 2).float() / 255


def sampled(
    pipeline: Any,
    module: InstantID,
    vectors: Tensor,
    points: Tensor,
    told: dict[str, Tensor],
    seeds: Sequence[int],
    *,
    steps: int = 20,
    guidance: float = 3.0,
    progress: Progress = lambda share: None,
) -> Iterator[Pixels]:
    """A picture uint8 [H, W, 3] of each vector [N, 128] and picture of points [N, 3, 128, 128], from its seed alone.

    told: `text` and `empty` [N, L, width], for SDXL also `text_embeds` and `time_ids`.
    """
    points = resized(pipeline, points)

    def of(part: slice) -> list[dict[str, Tensor]]:
        return ladder(module, vectors[part], points[part], {name: value[part] for name, value in told.items()})

    return pictures(pipeline, network(module), of, seeds, [guidance], steps=steps, progress=progress)


def ladder(
    module: InstantID, vectors: Tensor, points: Tensor, told: dict[str, Tensor], identity: bool = True
) -> list[dict[str, Tensor]]:
    """Nothing, and all that is said; `told` as in `sampled`."""
    device = module.projector.latents.device
    vectors = vectors.to(device)
    nobody = module.without_identity(vectors)
    same = {"points": points.to(device), **{k: v for k, v in told.items() if k not in ("text", "empty")}}
    tokens = module.tokens(vectors) if identity else nobody
    return [{"text": told["empty"], "tokens": nobody, **same}, {"text": told["text"], "tokens": tokens, **same}]


def network(module: InstantID) -> Network:
    def call(noisy: Tensor, time: Tensor, text: Tensor, tokens: Tensor, points: Tensor, **added: Tensor) -> Tensor:
        made: Tensor = module(noisy, time, text, tokens, points, added or None)
        return made

    return call


def resized(pipeline: Any, points: Tensor) -> Tensor:
    """Pictures of points as large as those of the base."""
    side = pipeline.unet.config.sample_size * 8
    return points if side == points.shape[-1] else torch.nn.functional.interpolate(points, (side, side))


def load(spec: Spec) -> Ready:
    """Raises InputError where base or weights cannot be had, RefusedError where their terms are not allowed."""
    chosen = with_unet(spec.base)
    parts = chosen.pipeline.unet, getattr(chosen.pipeline, "text_encoder", None)
    who.check_recogniser(spec.published, str(spec.options.recogniser))
    if spec.published:
        weights.allow_folder(spec.published)
        return Ready(chosen, published.load(Path(spec.published).expanduser(), *parts), spec.options, "unknown")
    if spec.run:
        facts = origin(Path(spec.run))
        module = InstantID(*parts, hears=facts["hears"])
        module.load_state_dict(unpacked(Path(spec.run), "instantid", whole=False))
        return Ready(chosen, module, spec.options, facts["terms"])
    terms = strictest(chosen.terms, weights.parts("instantid")[0].terms)
    return Ready(chosen, published.load(weights.folder("instantid"), *parts), spec.options, terms)
