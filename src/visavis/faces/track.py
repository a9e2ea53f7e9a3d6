"""tracks: which faces on successive frames of a video are one person's path, and the best looks of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from visavis.core.errors import InputError
from visavis.core.tasks import Detector
from visavis.core.types import Face, Floats
from visavis.faces.analyse import embed_faces, find_faces
from visavis.faces.score import calibration, scores
from visavis.media.video import Frame

GAP = 1.0  # seconds that a face may be away from the picture, or go on without its vector being looked at
APART = 0.5  # seconds between the faces kept, where possible
SAME = 1e-3
_SURE = 0.5
# Above this overlap a second face makes the join doubtful: people who cross could swap their tracks.
_RIVAL = 0.1
# One face correlates with itself a few tenths of a second later by 0.97, two portraits by at most 0.7.
_ALIKE = 0.8
_PATCH = 16


@dataclass(frozen=True, eq=False)
class Track:
    """One face along a video.

    faces, seconds: the best looks, best first, and when they were
    first, last:    seconds of the first and last frame that shows it; count: frames that show it
    """

    faces: list[Face]
    seconds: list[float]
    first: float
    last: float
    count: int


def tracks(frames: Iterable[Frame], *, keep: int = 3, detector: Detector = "yunet") -> Iterator[Track]:
    """The tracks of all faces, in the order in which they end; each keeps at most `keep` faces and their frames.

    A face goes on with the track that its box overlaps most. Where that is in doubt (little overlap or none, a gap, a
    second face near by, another look inside the box), once a GAP, and for a face to be kept, the vectors must agree at
    a false-match rate of SAME; else a new track begins. A cut, where no box overlaps any of the frame before, ends all
    tracks. Where `frames` raises InputError, the tracks so far come first.
    """
    if keep < 1:
        raise InputError(f"A track keeps 1 face or more, not {keep}.")
    running: list[_Running] = []
    before, broken, source = 0.0, None, iter(frames)
    while True:
        try:
            frame = next(source, None)
        except InputError as error:
            frame, broken = None, error
        if frame is None:
            break
        faces, now = find_faces(frame.photo, detector=detector), frame.seconds
        cut = _is_cut([track for track in running if track.last == before], faces)
        ended = [track for track in running if cut or not 0 <= now - track.last <= GAP]
        running = [track for track in running if track not in ended]
        yield from (track.done() for track in ended)
        joined = _join(running, faces, before, now)
        for number, face in enumerate(faces):
            if number in joined:
                joined[number].add(face, now)
            else:
                running.append(_Running(face, now, keep))
        before = now
    yield from (track.done() for track in running)
    if broken is not None:
        raise broken


class _Running:
    """A track that may go on."""

    def __init__(self, face: Face, seconds: float, keep: int) -> None:
        self.keep, self.first, self.last, self.count = keep, seconds, seconds, 1
        self.face, self.best = face, [(face, seconds)]
        self.checked = seconds

    def add(self, face: Face, seconds: float) -> None:
        self.face, self.last, self.count = face, seconds, self.count + 1
        self.best = self._with(face, seconds)
        if seconds - self.checked >= GAP:
            self.checked = seconds

    def is_due(self, face: Face, seconds: float) -> bool:
        """Whether its vector must be looked at, however surely the boxes meet."""
        return seconds - self.checked >= GAP or self._would_keep(face, seconds)

    def _would_keep(self, face: Face, seconds: float) -> bool:
        return any(face is other for other, _ in self._with(face, seconds))

    def _with(self, face: Face, seconds: float) -> list[tuple[Face, float]]:
        """The best looks with this one among them, where it is: good ones apart in time first."""
        ranked = sorted([*self.best, (face, seconds)], key=lambda look: _rank(look[0]), reverse=True)
        chosen: list[tuple[Face, float]] = []
        for look in ranked:
            if all(abs(look[1] - other[1]) >= APART for other in chosen):
                chosen.append(look)
        chosen += [look for look in ranked if look not in chosen]
        return sorted(chosen[: self.keep], key=lambda look: _rank(look[0]), reverse=True)

    def agrees(self, face: Face, seconds: float) -> bool:
        """Whether the vectors say that it is the person of one of the best looks; of all, where it would join them."""
        # Never of the last frame: through a cross-fade each frame agrees with the one before.
        vectors, ready = embed_faces([face, *(other for other, _ in self.best)]), calibration()
        statistics = ready.cohort.statistics(vectors)
        found = scores(vectors[:1], vectors[1:], statistics[:1], statistics[1:])
        score = float(found.min() if self._would_keep(face, seconds) else found.max())
        curve = ready.children if ready.may_be_child(vectors).any() else ready.everyone
        return bool(curve.at(score)[0] <= SAME)

    def done(self) -> Track:
        faces, seconds = [face for face, _ in self.best], [when for _, when in self.best]
        return Track(faces, seconds, self.first, self.last, self.count)


def _is_cut(shown: list[_Running], faces: list[Face]) -> bool:
    return bool(shown and faces) and not any(_overlap(track.face, face) > 0 for track in shown for face in faces)


def _join(running: list[_Running], faces: list[Face], before: float, now: float) -> dict[int, _Running]:
    """Which track each face (by its index) goes on with; most overlap first, one face a track."""
    overlaps = np.array([[_overlap(track.face, face) for face in faces] for track in running])
    joined: dict[int, _Running] = {}
    pairs = [(t, f) for t in range(len(running)) for f in range(len(faces))]
    for t, f in sorted(pairs, key=lambda pair: -overlaps[pair]):
        track, face, overlap = running[t], faces[f], overlaps[t, f]
        if f in joined or track in joined.values():
            continue
        alone = (overlaps[t] > _RIVAL).sum() <= 1 and (overlaps[:, f] > _RIVAL).sum() <= 1
        sure = overlap >= _SURE and track.last == before and alone and _alike(track.face, face)
        if (sure and not track.is_due(face, now)) or track.agrees(face, now):
            joined[f] = track
    return joined


def _overlap(a: Face, b: Face) -> float:
    """Intersection of the boxes over their union."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a.area + b.area - shared)


def _alike(a: Face, b: Face) -> bool:
    return float(_patch(a) @ _patch(b)) >= _ALIKE


def _patch(face: Face) -> Floats:
    """float32 [256]: the inside of the box, small and gray, mean 0 and length 1."""
    from PIL import Image

    x1, y1, x2, y2 = (round(value) for value in face.box)
    inside = face.photo.pixels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    small = Image.fromarray(inside).convert("L").resize((_PATCH, _PATCH), Image.Resampling.BOX)
    patch = np.asarray(small, np.float32).ravel()
    patch = patch - patch.mean()
    return np.asarray(patch / max(float(np.linalg.norm(patch)), 1e-6), np.float32)


def _rank(face: Face) -> tuple[bool, float]:
    return not face.quality.words, face.quality.size_px.value * face.quality.sharpness.value
