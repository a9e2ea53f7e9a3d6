"""`visavis bench speed`: time and memory against face_recognition, on the same photos in the same run.

Every time is the median of three interleaved repeats; a ratio's interval is its smallest and largest repeat. Both
sides may use all cores: ours does, dlib on a CPU takes one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import visavis
from visavis.bench import made, probe
from visavis.bench.figures import Figure, write
from visavis.bench.peer import Peer
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core import weights
from visavis.core.settings import scratch, settings
from visavis.faces import align
from visavis.faces.analyse import embed_faces, find_faces
from visavis.faces.embed import embed_chips

REPEATS = 3
CROPS, PHOTOS, BATCH, CHIPS = 64, 12, 32, 64
PORTRAITS = ("obama", "obama2", "obama3", "obama_partial", "obama_partial2", "biden")
MEGAPIXELS_50 = (8688, 5792)
Seconds = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Photos:
    """Files: crops of 160 px (LFW) and whole photos (wild_photos); chips: uint8 [64, 150, 150, 3] of the crops."""

    crops: list[Path]
    wholes: list[Path]
    chips: NDArray[np.uint8]


def run() -> None:
    """Writes results/speed.json."""
    started = time.time()
    with scratch("speed-") as folder, Peer() as peer:
        photos = _photos(Path(folder))
        facts = peer.ask("info")
        figures = _embed(peer, photos)
        figures += _path(peer, "path", photos.crops)
        figures += _path(peer, "path.whole", photos.wholes)
        figures += _batches(photos)
        figures += _memory(peer, photos, Path(folder))
        lacking = made.missing()
        if not lacking:
            figures += made.figures(weights.path("portrait_obama"), Path(folder))
    notes = [
        f"peer: face_recognition {facts['face_recognition']}, dlib {facts['dlib']} compiled with AVX "
        f"{_yes(facts['avx'])}, BLAS {_yes(facts['blas'])}, LAPACK {_yes(facts['lapack'])}, CUDA {_yes(facts['cuda'])}",
        "embed.*: 64 chips; ours with the mirror image unless the name says plain; dlib by the better of its two calls",
        f"path.*: {CROPS} LFW crops, path.whole.*: {PHOTOS} whole photos, file to vectors; ours as many at a time as "
        "there are cores, one_by_one: each after the other; the peer one by one, as its documentation shows",
        lacking or "portrait.*: one portrait at a time, loaded; after_seconds: judge, mark, manifest, file",
    ]
    write("speed", figures, seed=0, started=started, notes=notes)


def _embed(peer: Peer, photos: Photos) -> list[Figure]:
    chips = photos.chips

    def dlib() -> float:
        _, single, batch = peer.embed(chips)
        return min(single, batch)

    embed_chips(chips)
    ours, plain, single, theirs = interleaved(
        lambda: timed(lambda: embed_chips(chips)),
        lambda: timed(lambda: embed_chips(chips, mirror=False)),
        lambda: timed(lambda: [embed_chips(chips[i : i + 1]) for i in range(len(chips))]),
        dlib,
    )
    return [
        ratio("embed.ratio_to_dlib", theirs, ours),
        ratio("embed.plain.ratio_to_dlib", theirs, plain),
        ratio("embed.batch64_ratio_to_single", single, ours),
        spread("embed.milliseconds", ours / len(chips)),
        spread("embed.plain.milliseconds", plain / len(chips)),
        spread("embed.single.milliseconds", single / len(chips)),
        spread("peer.embed.milliseconds", theirs / len(chips)),
    ]


def _path(peer: Peer, name: str, files: Sequence[Path]) -> list[Figure]:
    _look(files)  # models load once
    together, alone, theirs = interleaved(
        lambda: timed(lambda: _look_together(files)),
        lambda: timed(lambda: _look(files)),
        lambda: float(peer.ask("photos", photos=[str(file) for file in files])["seconds"]),
    )
    return [
        ratio(f"{name}.ratio_to_face_recognition", theirs, together),
        ratio(f"{name}.one_by_one.ratio_to_face_recognition", theirs, alone),
        spread(f"{name}.milliseconds", together / len(files)),
        spread(f"{name}.one_by_one.milliseconds", alone / len(files)),
        spread(f"peer.{name}.milliseconds", theirs / len(files)),
    ]


def _batches(photos: Photos) -> list[Figure]:
    files = (photos.wholes + photos.crops)[:BATCH]
    single, batch = interleaved(
        lambda: timed(lambda: _look(files)),
        lambda: timed(lambda: _look_together(files)),
    )
    return [ratio("batch32.ratio_to_single", single, batch)]


def _memory(peer: Peer, photos: Photos, folder: Path) -> list[Figure]:
    large = folder / "50mp.jpg"
    _fifty_megapixels(large)
    big = [probe.ask("look", [large]) for _ in range(REPEATS)]
    everything = photos.wholes + photos.crops
    ours = probe.ask("look", everything)["megabytes"]
    growth = probe.ask("growth", photos.crops)["megabytes"]
    return [
        spread("photo50mp.seconds", np.array([b["total_seconds"] for b in big]), unit="seconds", scale=1),
        Figure("photo50mp.peak_mb", max(b["megabytes"] for b in big), unit="MB", better="lower", n=REPEATS),
        Figure("photo50mp.faces", min(b["faces"] for b in big), unit="faces", n=len(PORTRAITS)),
        Figure("memory.growth_mb_2000_looks", growth, unit="MB", better="lower", n=probe.LOOKS),
        Figure("memory.peak_mb", ours, unit="MB", better="lower", n=len(everything)),
        Figure("peer.memory.peak_mb", peer.ask("peak")["megabytes"], unit="MB", better="lower", n=len(everything)),
    ]


def interleaved(*jobs: Callable[[], float]) -> list[Seconds]:
    """Seconds [REPEATS] of each job; the jobs take turns, so that a slow minute hits all."""
    rows = [[job() for job in jobs] for _ in range(REPEATS)]
    return list(np.array(rows).T)


def timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def ratio(name: str, slow: Seconds, quick: Seconds) -> Figure:
    """How many times faster `quick` is: the median of the repeats, with the smallest and largest."""
    each = slow / quick
    return Figure(name, float(np.median(each)), float(each.min()), float(each.max()), unit="times", n=len(each))


def spread(name: str, seconds: Seconds, *, unit: str = "milliseconds", scale: float = 1000) -> Figure:
    values = seconds * scale
    low, high = float(values.min()), float(values.max())
    return Figure(name, float(np.median(values)), low, high, unit=unit, better="lower", n=len(values))


def _look(files: Sequence[Path]) -> None:
    for file in files:
        for face in visavis.look(file):
            _ = face.embedding


def _look_together(files: Sequence[Path]) -> None:
    """As many photos at a time as there are cores, then all vectors at once."""
    with ThreadPoolExecutor(settings().threads) as pool:
        found = list(pool.map(visavis.look, files))
    embed_faces([face for faces in found for face in faces])


def _photos(folder: Path) -> Photos:
    crops: list[Path] = []
    wholes: list[Path] = []
    chips = []
    for number, row in enumerate(parquet_rows([data_folder("lfw") / "lfw.parquet"], ["image"])):
        pixels = decode(row["image"])
        faces = find_faces(pixels)
        if faces and number % 7 == 0:  # the set is sorted by name: not only one person
            chips.append(align.crop(pixels, faces[0].mesh, "dlib").pixels)
            crops.append(folder / f"crop-{number}")
            crops[-1].write_bytes(row["image"])
        if len(crops) == CROPS:
            break
    for number, row in enumerate(parquet_rows([data_folder("wild_photos") / "wild_photos.parquet"], ["image"])):
        if number % 12 == 0 and len(wholes) < PHOTOS:
            wholes.append(folder / f"whole-{number}")
            wholes[-1].write_bytes(row["image"])
    return Photos(crops, wholes, np.stack(chips))


def _fifty_megapixels(path: Path) -> None:
    """The free portraits side by side on noise of 50 megapixels: the first as high as the photo, the last tiny."""
    width, height = MEGAPIXELS_50
    canvas = Image.effect_noise((width // 8, height // 8), 20).convert("RGB").resize((width, height))
    left = 0
    for name, share in zip(PORTRAITS, (1.0, 0.4, 0.25, 0.1, 0.06, 0.04), strict=True):
        portrait = Image.open(weights.path(f"portrait_{name}")).convert("RGB")
        scale = share * height / portrait.height
        canvas.paste(portrait.resize((round(portrait.width * scale), round(portrait.height * scale))), (left, 0))
        left += round(portrait.width * scale)
    canvas.save(path, quality=90)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
