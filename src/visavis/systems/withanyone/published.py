"""The authors' layout, `withanyone.safetensors`, beside a FLUX.1 transformer: as diffusers has it, with identity added
to the image tokens after each of its blocks. Sampling is the stock FluxPipeline's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.bases import who
from visavis.bases.load import Base, whole
from visavis.blocks.identity.attention import Boxes, MaskedAttention, box_mask
from visavis.blocks.identity.projector import MlpProjector
from visavis.blocks.images import to_tensor
from visavis.core.card import Asked, Drawn, Progress
from visavis.core.errors import InputError
from visavis.faces.frame import frame_of
from visavis.systems.withanyone import boxes
from visavis.systems.withanyone.card import Options

FILE = "withanyone.safetensors"
VECTOR, PATCH, PATCHES = 512, 768, 256  # of antelopev2's vectors and SigLIP's patches
SIDE, TOWER = 512, 256  # pixels of a picture, of what SigLIP sees
TOKEN = 16  # pixels
MOST = 4


class Published(nn.Module):
    """Beside a FluxTransformer2DModel; keys as published. state: of the file, from which the widths are read."""

    def __init__(self, transformer: Any, state: dict[str, Tensor]) -> None:
        super().__init__()
        blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
        width, heads = transformer.inner_dim, transformer.config.num_attention_heads
        inner = len(state["ipa_arc.0.to_q.weight"])
        tokens = len(state["arcface_in_arc.3.weight"]) // width
        self.arcface_in_arc = MlpProjector(VECTOR, 4 * width, width, tokens)
        self.arcface_in_sig = MlpProjector(VECTOR, 4 * width, width, tokens)
        self.siglip_in_sig = MlpProjector(PATCH, width, width)
        self.ipa_arc, self.ipa_sig = (
            nn.ModuleList(MaskedAttention(width, width, heads, inner // heads) for _ in blocks) for _ in range(2)
        )
        self.told: tuple[tuple[nn.ModuleList, Tensor, Tensor | None, float], ...] = ()
        for number, block in enumerate(blocks):
            block.register_forward_hook(partial(self._after, number))

    def _after(self, number: int, block: nn.Module, given: Any, made: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        text, image = made
        added = [scale * ipa[number](tokens, image, seen) for ipa, tokens, seen, scale in self.told]
        return text, sum(added, image)

    def tokens(self, vectors: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Of vectors [B, n, 512] and patches [B, n, 256, 768]: [B, n 8, H] and [B, n 264, H], face after face."""
        count, flat = len(vectors), vectors.flatten(0, 1)
        sig = torch.cat([self.siglip_in_sig(patches.flatten(0, 1)), self.arcface_in_sig(flat)], 1)
        arc = self.arcface_in_arc(vectors)
        return arc, sig.reshape(count, -1, sig.shape[-1])

    @contextmanager
    def shown(
        self, vectors: Tensor, patches: Tensor, placed: Boxes | None, w_id: float, w_sig: float
    ) -> Iterator[None]:
        """Calls of the transformer inside hear these people, each in a box; outside they are the base's. A weight of 0
        leaves its branch out."""
        arc, sig = self.tokens(vectors, patches)
        seen: list[Tensor | None] = [None, None]
        if placed is not None:
            inside = box_mask(placed, placed.size[0] // TOKEN, placed.size[1] // TOKEN)
            seen = [inside.repeat_interleave(made.shape[1] // vectors.shape[1], -1) for made in (arc, sig)]
        whole = ((self.ipa_arc, arc, seen[0], w_id), (self.ipa_sig, sig, seen[1], w_sig))
        self.told = tuple(one for one in whole if one[-1])
        try:
            yield
        finally:
            self.told = ()


def load(folder: Path, transformer: Any) -> Published:
    """Raises InputError where the file is missing, lacks keys (naming the first), or does not fit."""
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder} lacks {FILE}: is it the authors' folder?")
    if not hasattr(transformer, "single_transformer_blocks"):
        raise InputError("The authors' weights stand on FLUX.1: name its folder in diffusers' layout by --base.")
    try:
        state = {key: value.float() for key, value in load_file(path).items()}
        made = Published(transformer, state)
        lacking = sorted(made.state_dict().keys() - state.keys())
        if lacking:
            raise KeyError(lacking[0])
        made.load_state_dict(state)
    except KeyError as error:
        raise InputError(f"{path} lacks {error}: is it the authors' file?") from error
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{path} does not fit this base: {' '.join(str(error).split())[:200]}") from error
    return made.eval().requires_grad_(False)


class Ready:
    """The authors' weights on a FluxPipeline, with their own recogniser and image tower."""

    terms = "unknown"

    def __init__(self, base: Base, folder: Path, options: Options) -> None:
        from transformers import SiglipVisionModel

        self.base, self.options = base, options
        self.module = load(folder, getattr(base.pipeline, "transformer", None)).to(base.pipeline.device)
        if not options.tower:
            raise InputError("The authors' weights read SigLIP's patches [256, 768]: name its folder by --tower.")
        tower = whole(SiglipVisionModel, Path(options.tower).expanduser())
        self.tower = tower.eval().to(base.pipeline.device)

    def check(self, asked: Asked) -> None:
        if len(asked.people) > MOST:
            raise InputError(f"withanyone puts up to {MOST} people into a picture, not {len(asked.people)}.")
        self._boxes(len(asked.people))

    @torch.no_grad()
    def __call__(self, asked: Asked, seed: int, progress: Progress) -> Iterator[Drawn]:
        pipeline, s = self.base.pipeline, self.options.s
        vectors = torch.stack([who.vector(faces, str(self.options.recogniser), VECTOR) for faces in asked.people])
        patches = torch.stack([self._patches(faces) for faces in asked.people])
        placed = Boxes(self._boxes(len(asked.people))[None].to(pipeline.device), (SIDE, SIDE))
        for i in range(asked.n):

            def on_step(pipe: Any, step: int, time: Any, told: dict[str, Any], i: int = i) -> dict[str, Any]:
                progress((i + (step + 1) / asked.steps) / asked.n)
                return told

            with self.module.shown(vectors[None].to(pipeline.device), patches[None], placed, 1 - s, s):
                made = pipeline(
                    asked.prompt,
                    height=SIDE,
                    width=SIDE,
                    num_inference_steps=asked.steps,
                    guidance_scale=asked.guidance,
                    generator=torch.Generator().manual_seed(seed + i),
                    callback_on_step_end=on_step,
                    output_type="np",
                ).images[0]
            yield Drawn(np.rint(made * 255).astype(np.uint8), frame=False)

    def _boxes(self, count: int) -> Tensor:
        if self.options.boxes:
            return boxes.asked(self.options.boxes, count, SIDE, SIDE)
        return boxes.columns(count, SIDE, SIDE)

    def _patches(self, faces: Any) -> Tensor:
        """[256, 768]: the mean over one person's photos."""
        frames = to_tensor(np.stack([frame_of(face).pixels for face in faces])).to(self.tower.device)
        seen = F.interpolate(frames, (TOWER, TOWER), mode="bilinear", align_corners=False)
        made: Tensor = self.tower(seen).last_hidden_state.mean(0)
        if made.shape != (PATCHES, PATCH):
            raise InputError(f"{self.options.tower} gives {list(made.shape)} patches where [256, 768] are needed.")
        return made
