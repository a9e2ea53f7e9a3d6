"""`visavis bench nano`: does it make faces, are they what was asked for, as varied as photos, and nobody's copy?

Pictures and FairFace's validation frames are treated alike, and every share stands beside the same share on photos,
captioned by the same rules. What wrote the captions judges nothing: age and gender are told by the heads that only
judge, turns and smiles by a peer's landmarks, whose thresholds come from training photos.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench.canvas import see
from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.obeyed import Asked, judged, learnt, obeyed
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core.errors import InputError, missing_extra
from visavis.core.progress import track
from visavis.core.types import Floats, Pixels
from visavis.faces.analyse import central, find_faces
from visavis.faces.judge import judge_portraits
from visavis.faces.score import standardised
from visavis.media.sheet import grid

PICTURES, PLAIN, SWEEP = 1300, 1000, 500  # of FairFace val 2,635 frames are usable
STEPS, SWEPT = 20, (4, 8, 50)
NEAREST = 20


def run(folder: Path | None = None, name: str = "nano") -> None:
    """Writes results/nano.json and, where a folder is named, sheets of samples and of the nearest training photos."""
    try:
        from visavis.bases.load import base
    except ModuleNotFoundError as error:
        raise missing_extra("ml", "Making pictures") from error
    started = time.time()
    made = base(name)
    notes = [
        "pictures: guidance 3, 20 steps, captions of the first half of the photos; photos: FairFace val, frames with "
        "at most 15 % outside the photo; asked.*: by heads and landmarks that wrote no caption, over faces found",
        "frechet.*: N pictures or photos against the first N photos; .photos: of the other photos, .autoencoder: of "
        "the first through the autoencoder",
        "copy.*: largest cosine to a training photo, pictures above the 99th percentile of photos; diversity: total "
        "variation of the shares of gender and race, empty prompt",
    ]
    photos, captions = _photos(2 * PICTURES)
    first = judged(see(photos[:PICTURES], "photos"), captions[:PICTURES])
    other = judged(see(photos[PICTURES:], "other photos"), captions[PICTURES:])
    pictures = judged(see(sampled(made, captions[:PICTURES], STEPS), "pictures"), captions[:PICTURES])
    plain = judged(see(sampled(made, [""] * PLAIN, STEPS), "plain pictures"), [""] * PLAIN)
    figures = [
        _share("face_found", pictures.seen.found),
        _share("face_found.photos", first.seen.found),
        _share("face_found.plain", plain.seen.found),
        *_asked("", pictures),
        *_asked(".judge_on_photos", first),
        *_frechet(pictures, first, other),
        *_steps(made, captions, first),
        *_diversity(plain, other),
    ]
    copies, pairs = _copies(pictures, first)
    figures += copies
    figures += _training(notes)
    write("nano", figures, seed=0, started=started, notes=notes)
    if folder:
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grid(list(pictures.seen.frames[:64]), 8)).save(folder / "nano-captions.png")
        Image.fromarray(grid(list(plain.seen.frames[:64]), 8)).save(folder / "nano-plain.png")
        Image.fromarray(grid(pairs, 10)).save(folder / "nano-nearest.png")


def sampled(made: Any, prompts: Sequence[str], steps: int) -> Pixels:
    """One picture of each prompt; picture i from seed i."""
    return np.stack(list(track(made.each(prompts, steps=steps), f"{steps} steps", len(prompts))))


def _photos(count: int) -> tuple[Pixels, list[str]]:
    """Frames of FairFace val and a caption of each, none empty."""
    from visavis.bases.faces import PADDED
    from visavis.bases.nano.captions import describe, light
    from visavis.training.prepare import padding

    frames, labels, padded = list[Pixels](), list[dict[str, Any]](), list[float]()
    path = data_folder("fairface") / "fairface_val_00.parquet"
    for row in track(parquet_rows([path], ["image", "age", "gender"]), "frames of photos"):
        face = central(find_faces(decode(row["image"])))
        if face is not None and padding(face) <= PADDED:
            frames.append(face.crop("portrait").pixels)
            labels.append({"age": row["age"], "gender": row["gender"]})
            padded.append(padding(face))
        if len(frames) == count:
            break
    else:
        raise InputError(f"FairFace val has {len(frames)} usable faces; {count} are needed.")
    pixels = np.stack(frames)
    facts = see(pixels, "describing photos").facts
    facts["padding"] = padded
    found, random = describe(facts, light(pixels), labels), np.random.default_rng(0)
    captions = []
    for i in range(count):
        said = ""
        while not said:  # one in ten is empty
            said = found.caption(i, False, random)
        captions.append(said)
    return pixels, captions


def _asked(suffix: str, rows: Asked) -> list[Figure]:
    return [_share(f"asked.{name}{suffix}", answers.right) for name, answers in obeyed(rows).items()]


def _frechet(pictures: Asked, first: Asked, other: Asked) -> list[Figure]:
    from visavis.bases.autoencoder.use import through

    copied = judged(see(through(first.seen.frames), "through the autoencoder"), first.captions)
    figures = []
    for suffix, rows in (("", pictures), (".photos", other), (".autoencoder", copied)):
        n = len(rows.captions)
        value = frechet(_found(rows), _found(first))
        figures.append(Figure(f"frechet.a{suffix}", value, unit="distance", better="lower", n=n))
        value = frechet(_heads(rows), _heads(first))
        figures.append(Figure(f"frechet.attributes{suffix}", value, unit="distance", better="lower", n=n))
    return figures


def _found(rows: Asked) -> Floats:
    return rows.seen.vectors[rows.seen.found]


def _heads(rows: Asked) -> Floats:
    """What the heads say, in units of about 1: decades, share of Female, shares of race."""
    return np.concatenate([rows.age[:, :1] / 10, rows.female[:, None], rows.race[:, :-1]], 1)


def frechet(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Squared Frechet distance of two normal distributions fitted to the rows (Heusel 2017, section 3)."""
    (mean_a, cov_a), (mean_b, cov_b) = (
        (x.mean(0), np.cov(x, rowvar=False)) for x in (a.astype(float), b.astype(float))
    )
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    both = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * both)


def _steps(made: Any, captions: list[str], photos: Asked) -> list[Figure]:
    """Time and distance at other numbers of steps, all on the same captions and seeds."""
    figures, against = [], photos.seen.take(np.arange(SWEEP))
    for steps in sorted({STEPS, *SWEPT}):
        began = time.perf_counter()
        frames = sampled(made, captions[:SWEEP], steps)
        seconds = (time.perf_counter() - began) / SWEEP
        seen = see(frames, f"{steps} steps")
        value = frechet(seen.vectors[seen.found], against.vectors[against.found])
        figures += [
            Figure(f"seconds_per_picture.steps_{steps}", seconds, unit="s", better="lower", n=SWEEP),
            Figure(f"frechet.a.steps_{steps}", value, unit="distance", better="lower", n=SWEEP),
            _share(f"face_found.steps_{steps}", seen.found),
        ]
    return figures


def _diversity(plain: Asked, photos: Asked) -> list[Figure]:
    groups = [_group(rows)[rows.seen.found] for rows in (plain, photos)]
    half = len(groups[1]) // 2
    apart = Figure("diversity.by_group", variation(groups[0], groups[1][:PLAIN]), better="lower", n=len(groups[0]))
    floor = variation(groups[1][:half], groups[1][half:])
    return [apart, Figure("diversity.by_group.photos", floor, better="lower", n=half)]


def _group(rows: Asked) -> NDArray[np.int64]:
    return np.asarray(2 * rows.race.argmax(1) + (rows.female > 0.5), np.int64)


def variation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Total variation between the shares of two lists of groups, 0..1."""
    count = int(max(a.max(), b.max())) + 1
    return float(np.abs(np.bincount(a, minlength=count) / len(a) - np.bincount(b, minlength=count) / len(b)).sum() / 2)


def _copies(pictures: Asked, photos: Asked) -> tuple[list[Figure], list[Pixels]]:
    """Nearest training photos by the judge, and by A: how often nearer than photos ever are; the nearest pairs."""
    shown = learnt()
    stored = shown.column("portrait")
    chunks = np.array_split(np.arange(len(shown)), max(1, len(shown) // 512))
    places = stored.rows(shown.keys)
    known = np.concatenate(
        [judge_portraits(np.asarray(stored.take(places[c]))) for c in track(chunks, "training photos")]
    )
    ours, real = (judge_portraits(rows.seen.frames[rows.seen.found][:PLAIN]) for rows in (pictures, photos))
    near, at = _nearest(ours, known)
    figures = [_share("copy.share_above_real_p99", near > np.percentile(_nearest(real, known)[0], 99), "lower")]
    chosen = np.argsort(-near)[:NEAREST]
    frames = pictures.seen.frames[pictures.seen.found][:PLAIN]
    pairs = [picture for i in chosen for picture in (frames[i], np.asarray(stored.take(places[at[i : i + 1]]))[0])]

    vectors = shown.column("vector_a")
    known = standardised(vectors.take(vectors.rows(shown.keys)))
    near, real_near = (_nearest(_found(rows)[:PLAIN], known)[0] for rows in (pictures, photos))
    figures.append(_share("copy.a.share_above_real_p99", near > np.percentile(real_near, 99), "lower"))
    return figures, pairs


def _nearest(vectors: Floats, known: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """[N] largest cosine of each of vectors [N, D] to known [M, D], and [N] whose."""
    scores = vectors @ known.T
    return scores.max(1), scores.argmax(1)


def _training(notes: list[str]) -> list[Figure]:
    """Of the run on this machine, from its own records."""
    from visavis.training.checkpoint import Metrics
    from visavis.training.runs import run_folder

    folder = run_folder("nano")
    rows = [row for row in Metrics(folder / "metrics.jsonl").read() if "samples_per_second" in row]
    if not rows:
        notes.append("hours_trained, samples_seen: the run is not on this machine")
        return []
    config = json.loads((folder / "run.json").read_text())["config"]
    if config["start"]:
        notes.append("hours_trained, samples_seen: of the last run alone, which began from another's weights")
    batch = config["schedule"]["batch"]
    steps = np.diff([0.0, *(row["step"] for row in rows)])
    hours = float((steps * batch / [row["samples_per_second"] for row in rows]).sum() / 3600)
    return [
        Figure("hours_trained", hours, unit="h", better="neither"),
        Figure("samples_seen", rows[-1]["step"] * batch, unit="samples", better="neither"),
    ]


def _share(name: str, right: NDArray[Any], better: Any = "higher") -> Figure:
    return Figure(name, float(right.mean()), *bootstrap(right), better=better, n=len(right))
