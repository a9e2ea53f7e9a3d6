"""Faces that nobody has, made of two aligned ones: more faces for a student to learn its teacher's answers on.

A student that sees only the photos learns them by heart; with the teacher's answers on mixed pictures too, it learns
the teacher ("Knowledge distillation: A good teacher is patient and consistent", arXiv 2106.05237, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.core.types import Pixels, Template
from visavis.faces.align import SIZES, between_templates


@dataclass(frozen=True, eq=False)
class Mixes:
    """How each of N faces is mixed. partner: int [N]; blend: share of the partner, where the mix is even, else -1;
    line: float [N, 3], a border a x + b y = c in pixels of the ArcFace crop, beyond which the partner is seen."""

    partner: NDArray[np.int64]
    blend: NDArray[np.float32]
    line: NDArray[np.float32]

    @staticmethod
    def drawn(count: int, view: int, seed: int = 0) -> Mixes:
        """View 0 leaves every face as it is; the others mix all of them, half evenly and half along a soft line."""
        random = np.random.default_rng([seed, view])
        if view == 0:
            return Mixes(np.arange(count), np.zeros(count, np.float32), np.zeros((count, 3), np.float32))
        angle, offset = random.uniform(0, 2 * np.pi, count), random.uniform(-18, 18, count)
        a, b = np.cos(angle), np.sin(angle)
        middle = SIZES["recognise"] / 2
        line = np.stack([a, b, a * middle + b * (middle + 8) + offset], 1).astype(np.float32)
        blend = np.where(random.random(count) < 0.5, random.uniform(0.25, 0.75, count), -1).astype(np.float32)
        return Mixes(random.permutation(count), blend, line)

    def mixed(self, row: int, face: Pixels, partner: Pixels, template: Template) -> Pixels:
        """The mixed crop uint8 [S, S, 3]; the same mix in `recognise` and in `portrait`."""
        if self.partner[row] == row:
            return face
        share = self.blend[row] if self.blend[row] >= 0 else _side(self.line[row], template)
        return np.asarray(np.rint(face + (partner.astype(np.float32) - face) * share), np.uint8)


WIDTH = 5.0  # pixels of the ArcFace crop over which one face gives way to the other


def _side(line: NDArray[np.float32], template: Template) -> NDArray[np.float32]:
    """float32 [S, S, 1] in 0..1: the partner's share along a soft border."""
    size = SIZES[template]
    to_recognise = between_templates(template)
    x, y = np.meshgrid(np.arange(size, dtype=np.float32) + 0.5, np.arange(size, dtype=np.float32) + 0.5)
    x, y = to_recognise[0, 0] * x + to_recognise[0, 2], to_recognise[1, 1] * y + to_recognise[1, 2]
    away = (line[0] * x + line[1] * y - line[2]) / WIDTH
    return np.asarray(1 / (1 + np.exp(-4 * away)), np.float32)[..., None]
