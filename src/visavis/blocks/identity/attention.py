"""Identity tokens beside the text in the cross-attention of diffusers' UNets.

Tokens travel with each call, `unet(noisy, time, text, cross_attention_kwargs=identity(tokens))`, and layers that
have no use for them ignore them. The trained layers lie in an Adapter outside of the UNet, whose own state stays that
of the base; at scale 0 the base's processor runs alone, so that the result equals the base's to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Form = Literal["decoupled", "masked"]
NAME = "identity"


@dataclass(frozen=True, eq=False)
class Boxes:
    """Where each face may act: pixels [B, faces, 4] (x1, y1, x2, y2) in pictures of `size` (height, width).

    The tokens of a call are then cut into as many equal parts as there are faces, and a place sees only the parts of
    the boxes that it lies in.
    """

    pixels: Tensor
    size: tuple[int, int]


def identity(tokens: Tensor | Mapping[str, Tensor], boxes: Boxes | None = None) -> dict[str, Any]:
    """The `cross_attention_kwargs` of a UNet's call: tokens [B, K, width], by an adapter's name where several are
    attached."""
    named = {NAME: tokens} if isinstance(tokens, Tensor) else dict(tokens)
    # These two names alone are taken by diffusers' attention without a warning from every layer that has no use for it.
    return {"ip_hidden_states": named, "ip_adapter_masks": boxes}


def published_order(unet: Any) -> list[str]:
    """Names of all attention layers as published adapters number them: down, up, middle (diffusers' own list)."""
    return [name.removesuffix(".processor") for name in unet.attn_processors]


def call_order(unet: Any) -> list[str]:
    """The same names in the order in which a call reaches them: down, middle, up."""
    return sorted(published_order(unet), key=lambda name: ("down", "mid", "up").index(name.split("_")[0]))


def attach(
    unet: Any,
    width: int,
    form: Form = "decoupled",
    *,
    mixing: bool = False,
    silent: bool = False,
    name: str = NAME,
) -> Adapter:
    """Puts identity into every cross-attention of a UNet; gives the new layers by their published numbers.

    width:  of the tokens
    form:   "decoupled": own keys and values for the same query (IP-Adapter, arXiv 2308.06721, section 3.2.2; InstantID,
            section 3.3); where shapes allow they start as copies of the text's, as in IP-Adapter's training.
            "masked": WithAnyone's attention with its own query (arXiv 2510.14975), added to the output; it
            starts as nothing. Several may be attached, each by its own name.
    silent: "decoupled" only: the values start as nothing, so that the base is heard as it was until identity is learnt
    mixing: PhotoVerse's random choice of branches in training (arXiv 2309.05793, concept injection), "decoupled" only
    """
    if mixing and form != "decoupled":
        raise ValueError("Branches are mixed at random in the decoupled form only.")
    made = Adapter()
    for number, place in enumerate(published_order(unet)):
        attention: Any = unet.get_submodule(place)
        if not attention.is_cross_attention:
            continue
        if isinstance(attention.processor, IdentityAttention) and (
            form == "decoupled" or name in attention.processor.names
        ):
            raise ValueError(f"An adapter is attached already: {', '.join(attention.processor.names)}.")
        inner, channels = attention.to_q.out_features, attention.to_q.in_features
        part: nn.Module
        if form == "decoupled":
            part = DecoupledAttention(width, inner, mixing)
            part.start_from(attention.to_k.weight, attention.to_v.weight)
            if silent:
                nn.init.zeros_(part.to_v_ip.weight)
        else:
            part = MaskedAttention(channels, width, attention.heads, inner // attention.heads)
        part.to(attention.to_q.weight)
        processor = IdentityAttention(part, attention.processor, name)
        attention.set_processor(processor)
        made[str(number)] = part
        made.processors.append(processor)
    if not made:
        raise ValueError("This network has no cross-attention.")
    return made


class Adapter(nn.ModuleDict):
    """The layers that `attach` made: {"1": DecoupledAttention, ...}, so that keys read `1.to_k_ip.weight` as published.

    scale:      how much identity counts in every layer, 0 or more; 0 = the base
    text_scale: how much the text counts beside it (PhotoVerse's gamma), "decoupled" only
    """

    def __init__(self) -> None:
        super().__init__()
        self.processors: list[IdentityAttention] = []

    @property
    def scale(self) -> float:
        return self.processors[0].scale

    @scale.setter
    def scale(self, value: float) -> None:
        for processor in self.processors:
            processor.scale = value

    @property
    def text_scale(self) -> float:
        return self.processors[0].text_scale

    @text_scale.setter
    def text_scale(self, value: float) -> None:
        for processor in self.processors:
            processor.text_scale = value


class IdentityAttention:
    """A processor of diffusers' Attention: the base's own, and `part` beside it. No module, so that the UNet's state
    stays the base's."""

    def __init__(self, part: nn.Module, base: Any, name: str = NAME) -> None:
        self.part, self.base, self.name = part, base, name
        self.scale = self.text_scale = 1.0

    @property
    def names(self) -> list[str]:
        return [*(self.base.names if isinstance(self.base, IdentityAttention) else []), self.name]

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        ip_hidden_states: Mapping[str, Tensor] | None = None,
        ip_adapter_masks: Boxes | None = None,
    ) -> Tensor:
        tokens = (ip_hidden_states or {}).get(self.name)
        if tokens is not None and isinstance(self.part, DecoupledAttention) and (self.scale or self.text_scale != 1):
            seen = _seen(ip_adapter_masks, hidden_states.shape[1], tokens.shape[1])
            text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            scales = (self.text_scale, self.scale)
            whole: Tensor = self.part(attn, hidden_states, text, attention_mask, tokens, seen, scales)
            return whole
        further = (ip_hidden_states, ip_adapter_masks) if isinstance(self.base, IdentityAttention) else ()
        out: Tensor = self.base(attn, hidden_states, encoder_hidden_states, attention_mask, temb, *further)
        if tokens is None or not self.scale:
            return out
        seen = _seen(ip_adapter_masks, hidden_states.shape[1], tokens.shape[1])
        added: Tensor = self.part(tokens, hidden_states, seen)
        return out + self.scale * added


class DecoupledAttention(nn.Module):
    """Own keys and values [inner, width] for identity tokens; the query and what follows are the base's."""

    def __init__(self, width: int, inner: int, mixing: bool = False) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(width, inner, bias=False)
        self.to_v_ip = nn.Linear(width, inner, bias=False)
        self.mixing = mixing

    @torch.no_grad()
    def start_from(self, key: Tensor, value: Tensor) -> None:
        """Copies the base's matrices where they have the same shape."""
        for own, base in ((self.to_k_ip, key), (self.to_v_ip, value)):
            if own.weight.shape == base.shape:
                own.weight.copy_(base)

    def forward(
        self,
        attn: Any,
        image: Tensor,
        text: Tensor,
        text_mask: Tensor | None,
        tokens: Tensor,
        seen: Tensor | None = None,
        scales: tuple[float, float] = (1.0, 1.0),
    ) -> Tensor:
        """image [B, P, C], text [B, T, C'], tokens [B, K, width] -> [B, P, C], the whole cross-attention.

        seen: bool [B, P, K], which tokens each place may see. scales: of text and identity.
        """
        if text_mask is not None:
            text_mask = attn.prepare_attention_mask(text_mask, text.shape[1], len(text))
            text_mask = text_mask.view(len(text), attn.heads, -1, text_mask.shape[-1])
        query = _heads(attn.to_q(image), attn.heads)
        key, value = _heads(attn.to_k(text), attn.heads), _heads(attn.to_v(text), attn.heads)
        told = F.scaled_dot_product_attention(query, key, value, attn_mask=text_mask)
        key, value = _heads(self.to_k_ip(tokens), attn.heads), _heads(self.to_v_ip(tokens), attn.heads)
        shown = _attend(query, key, value, seen)
        if self.mixing and self.training:
            draw = torch.rand(len(image), 1, 1, 1, device=image.device)
            # Who gives no tokens, all zero, leaves nothing to choose from.
            draw = torch.where(tokens.any(2).any(1).view(-1, 1, 1, 1), draw, 0.5)
            share = (draw <= 2 / 3).to(told.dtype) + (draw < 1 / 3).to(told.dtype)
            mixed = share * told + (2 - share) * shown
        else:
            mixed = scales[0] * told + scales[1] * shown
        out: Tensor = attn.to_out[1](attn.to_out[0](_joined(mixed)))
        return out


class MaskedAttention(nn.Module):
    """WithAnyone's attention of places [B, P, channels] to tokens [B, K, width]; keys as in its published file."""

    def __init__(self, channels: int, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * dim_head
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)
        nn.init.zeros_(self.to_out.weight)

    def forward(self, tokens: Tensor, image: Tensor, seen: Tensor | None = None) -> Tensor:
        """What is added to the image. seen: bool [B, P, K]; a place that sees nothing gets exactly zero."""
        key, value = self.to_kv(self.norm1(tokens)).chunk(2, -1)
        query = _heads(self.to_q(self.norm2(image)), self.heads)
        out: Tensor = self.to_out(_joined(_attend(query, _heads(key, self.heads), _heads(value, self.heads), seen)))
        return out


def box_mask(boxes: Boxes, rows: int, columns: int) -> Tensor:
    """bool [B, rows * columns, faces]: the places of a grid over the picture that each box touches.

    Edges are cut outwards to whole places (WithAnyone's code), so that no box is empty. Raises ValueError for others.
    """
    pixels = boxes.pixels
    if pixels.ndim != 3 or pixels.shape[-1] != 4 or bool((pixels[..., 2:] <= pixels[..., :2]).any()):
        raise ValueError(f"Boxes are [B, faces, 4] with x1 < x2 and y1 < y2, not {list(pixels.shape)}.")
    height, width = boxes.size
    inside = []
    for axis, count, length in ((1, rows, height), (0, columns, width)):
        places = torch.arange(count, device=pixels.device)
        first = (pixels[..., axis, None] * count / length).floor()
        last = (pixels[..., axis + 2, None] * count / length).ceil()
        inside.append((places >= first) & (places < last))
    both = inside[0][..., :, None] & inside[1][..., None, :]
    return both.flatten(2).transpose(1, 2)


def grid(places: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of `places` tokens that cover something of `size` (height, width): the divisors nearest to its
    proportions. Raises ValueError where none is near."""
    wanted = size[0] / size[1]
    pairs = [(rows, places // rows) for rows in range(1, places + 1) if places % rows == 0]
    apart, best = min((max(r / c / wanted, wanted * c / r), (r, c)) for r, c in pairs)
    if apart > 1.5:
        raise ValueError(f"{places} places do not lie on a grid of {size[0]} to {size[1]}.")
    return best


def _seen(boxes: Boxes | None, places: int, tokens: int) -> Tensor | None:
    if boxes is None:
        return None
    mask = box_mask(boxes, *grid(places, boxes.size))
    if tokens % mask.shape[-1]:
        raise ValueError(f"{tokens} tokens cannot be shared by {mask.shape[-1]} boxes.")
    return mask.repeat_interleave(tokens // mask.shape[-1], -1)


def _attend(query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None) -> Tensor:
    if seen is None:
        return F.scaled_dot_product_attention(query, key, value)
    seen = seen[:, None]
    # A softmax over nothing is NaN in some of torch's forms, backwards too: such a place looks at all and gets zero.
    some = seen.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen | ~some).masked_fill(~some, 0)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)
