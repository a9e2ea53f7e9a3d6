"""Is what a system makes of a photo like another photo of the person, or a copy of the one that it was shown? Pairs of
photos of people whom no training saw, and the scores of MultiID-Bench (run/multiid.py) by the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from visavis.bench.canvas import see
from visavis.bench.people import Pooled, faces
from visavis.core.card import Asked, Ready
from visavis.core.errors import InputError
from visavis.core.progress import track
from visavis.core.types import Face, Floats, Pixels
from visavis.faces.frame import Frame, found_in, frame_of
from visavis.faces.judge import judge_portraits
from visavis.run.multiid import ALIKE, scores
from visavis.training.splits import Split

MOST = 4  # pairs of a person
UNSAID = {"sharp", "blurred", "padded"}


@dataclass(frozen=True, eq=False)
class Pair:
    """person: by number; reference: the face that is shown; truth: the frame of the other photo; prompt: its labels."""

    person: int
    reference: Face
    truth: Frame
    prompt: str


@dataclass(frozen=True, eq=False)
class Copying:
    """faceless: pictures without a face, which have no score."""

    copy_paste: Pooled
    sim_gt: Pooled
    sim_ref: Pooled
    faceless: int


def pairs(split: Split, people: int = 0) -> tuple[list[Pair], int]:
    """Up to 4 of each person (of the first `people`, 0: all), and how many were left out because the judge sees hardly
    two photos in them. Raises InputError without the data set."""
    couples = list[tuple[int, Face, Face]]()
    for number, theirs in enumerate(faces(split, count=people).values()):
        couples += [(number, *both) for both in pairwise(theirs[: MOST + 1])]
    truths = [frame_of(truth) for _, _, truth in couples]
    shown = [frame_of(reference) for _, reference, _ in couples]
    apart = np.arccos(np.clip((_judged(shown) * _judged(truths)).sum(1), -1, 1))
    said = prompts(np.stack([frame.pixels for frame in truths]))
    made = [Pair(couple[0], couple[1], truths[i], said[i]) for i, couple in enumerate(couples)]
    kept = [pair for pair, angle in zip(made, apart, strict=True) if angle >= ALIKE]
    return kept, len(made) - len(kept)


def prompts(frames: Pixels) -> list[str]:
    """What nano's captions would say of the looks on frames uint8 [N, 128, 128, 3], and that the picture is sharp."""
    from visavis.bases.nano.captions import describe, light

    seen = see(frames, "labels")
    told = describe(seen.facts, light(frames), [{}] * len(frames))
    words = [[w for w in told.words(i, False) if w not in UNSAID] if seen.found[i] else [] for i in range(len(frames))]
    return [", ".join([*clauses, "sharp"]) for clauses in words]


def copying(ready: Ready, shown: Sequence[Pair], noises: int, steps: int) -> Copying:
    """So many pictures of each pair, from seed 0 on. Raises InputError where none of them shows a face."""
    frames, whose, faceless = list[Frame](), list[int](), 0
    for number, pair in enumerate(track(shown, "pictures of pairs")):
        for drawn in ready(Asked(((pair.reference,),), pair.prompt, noises, steps), 0, lambda share: None):
            found = found_in(drawn.pixels, drawn.frame)
            if found is None:
                faceless += 1
                continue
            frames.append(found)
            whose.append(number)
    if not frames:
        raise InputError("No face was found on any picture: there is nothing to measure.")
    return scored(frames, [shown[i] for i in whose], 1 + max(pair.person for pair in shown), faceless)


def scored(made: Sequence[Frame], shown: Sequence[Pair], people: int, faceless: int = 0) -> Copying:
    """Of one picture of each pair; `people` in all."""
    truth, reference = [pair.truth for pair in shown], [frame_of(pair.reference) for pair in shown]
    found = scores(*map(_judged, (made, truth, reference)))
    persons = np.array([pair.person for pair in shown], np.int64)
    each = [Pooled.of(values, persons, people) for values in (found.copy_paste, found.sim_gt, found.sim_ref)]
    return Copying(each[0], each[1], each[2], faceless)


def _judged(frames: Sequence[Frame]) -> Floats:
    return judge_portraits(np.stack([frame.pixels for frame in frames]))
