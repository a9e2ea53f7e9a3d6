"""`visavis bench mark`: is the invisible mark read back after what happens to pictures, found where there is none, seen
by an eye or by the judge?

run/mark.py holds the breadths measured here on FairFace's train photos; everything else is measured on other photos.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visavis.bench.autoencoder import psnr
from visavis.bench.figures import Figure, bootstrap, write
from visavis.bench.portraits import portraits
from visavis.bench.vectors import data_folder, decode, parquet_rows
from visavis.core import weights
from visavis.core.progress import track
from visavis.core.settings import settings
from visavis.core.types import Affine, Pixels
from visavis.faces import align
from visavis.faces.analyse import find_faces, needs
from visavis.faces.judge import judge_portraits
from visavis.media.sheet import grid
from visavis.run import mark
from visavis.training.prepare import one_thread

Item = TypeVar("Item")
Made = TypeVar("Made")
KEYS = [f"bench {number}".encode() for number in range(10)]
SEARCHED = 400  # photos for each breadth
ONE_IN = 100  # of the highest peaks: where a breadth is read off
REPEATS, TIMED = 3, 32
CLOSE = 1.3  # sides of a face's frame that are left of a large picture, too little for the mark on the whole
NOTES = [
    "frame: FairFace's validation photos cut to portrait frames of 128 pixels; large: the photos of wild_photos with "
    "their faces, found again after what was done to the picture; close: the square around one face of them, of at "
    "least 64 pixels, so that only the face's own mark is left",
    "crop10: 90 % of both sides are left, at a random place; half: bilinear; the two together in both orders",
    "false_alarms: photos without mark, read as portrait frame and as picture, with the key that everybody has",
    "breadth: what mark.BREADTH holds, from FairFace's train photos and ten other keys; picture4 reads four of them "
    "side by side",
    "large.psnr_face: inside the frames of marked faces",
]


def run(folder: Path | None = None) -> None:
    """Writes results/mark.json and, where a folder is named, a sheet: as it was, marked, ten times the difference."""
    started = time.time()
    weights.fetch([*needs("yunet"), "judge_b"])
    breadths = _breadths()
    columns = ("age", "gender", "race", "file")
    val = portraits("fairface", ["fairface_val_00.parquet"], columns)
    frames = val.crops[val.found]
    figures = [*breadths, *_frames(frames, folder), *_false_alarms(frames), *_large(), *_times(frames)]
    write("mark", figures, seed=0, started=started, notes=NOTES)


def jpeg(pixels: Pixels, seed: int = 0) -> Pixels:
    """Through JPEG at quality 80."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return np.asarray(Image.open(file))


def half(pixels: Pixels, seed: int = 0) -> Pixels:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR))


def crop(pixels: Pixels, seed: int = 0) -> Pixels:
    """90 % of both sides."""
    height, width = (round(0.9 * side) for side in pixels.shape[:2])
    random = np.random.default_rng(seed)
    top, left = random.integers(pixels.shape[0] - height + 1), random.integers(pixels.shape[1] - width + 1)
    return pixels[top : top + height, left : left + width]


ATTACKS: dict[str, Sequence[Callable[[Pixels, int], Pixels]]] = {
    "nothing": (),
    "jpeg80": (jpeg,),
    "crop10": (crop,),
    "half": (half,),
    "jpeg80_half": (jpeg, half),
    "half_jpeg80": (half, jpeg),
    "crop10_half_jpeg80": (crop, half, jpeg),
}


def attacked(pixels: Pixels, name: str, seed: int) -> Pixels:
    for change in ATTACKS[name]:
        pixels = change(pixels, seed)
    return pixels


def _breadths() -> list[Figure]:
    train = portraits("fairface", ["fairface_train_00.parquet"], ("file",))
    frames = train.crops[train.found]
    four = [grid(frames[i : i + 4], 2) for i in range(0, 4 * SEARCHED, 4)]
    figures = []
    for place in mark.BREADTH:
        shown = four if place == "picture4" else frames[:SEARCHED]
        heights = np.concatenate(_spread(_peaks, [(place, one) for one in shown], f"no mark: {place}"))
        height = float(np.quantile(heights, 1 - 1 / ONE_IN))
        breadth = -math.log1p(-1 / ONE_IN) / (height**2 * math.exp(-(height**2) / 2))
        figures.append(Figure(f"breadth.{place}", breadth, unit="peaks", better="neither", n=len(heights)))
    return figures


def _peaks(job: tuple[mark.Place, Pixels]) -> list[float]:
    place, pixels = job
    one = place == "face"
    windows = list(
        mark.face_windows(pixels, _frame(pixels)) if one else mark.picture_windows(pixels, mark.TILES[place])
    )
    return [mark.search(windows, key, place) for key in KEYS]


def _frames(frames: Pixels, folder: Path | None) -> list[Figure]:
    done = _spread(_framed, list(enumerate(frames)), "mark frames")
    marked = np.stack([made for made, _ in done])
    found = np.array([hits for _, hits in done])
    loss = psnr(frames, marked)
    cosine = (judge_portraits(frames) * judge_portraits(marked)).sum(1)
    if folder:
        _sheet(folder, frames, marked, [*np.argsort(loss)[:12], *range(12)])
    return [
        *(_share(f"frame.read.{name}", column) for name, column in zip(ATTACKS, found.T, strict=True)),
        *_spans("frame.psnr", loss, "dB"),
        *_spans("frame.judge_cosine", cosine, "cosine"),
    ]


def _framed(job: tuple[int, Pixels]) -> tuple[Pixels, list[bool]]:
    number, frame = job
    made = mark.embed(frame, [_frame(frame)])
    seen = [attacked(made, name, number) for name in ATTACKS]
    return made, [mark.read(pixels, [_frame(pixels)]).found for pixels in seen]


def _frame(pixels: Pixels) -> Affine:
    """A portrait frame that is the whole picture."""
    return np.asarray(np.eye(2, 3) * (align.SIZES["portrait"] / max(pixels.shape[:2])))


def _false_alarms(frames: Pixels) -> list[Figure]:
    sets = [frames]
    for name, file, labels in (
        ("lfw", "lfw.parquet", ("name", "index")),
        ("identity", "celeba_identity.parquet", ("name", "file")),
    ):
        more = portraits(name, [file], labels)
        sets.append(more.crops[more.found])
    pixels = np.concatenate(sets)
    found = np.array(_spread(_unmarked, list(pixels), "no mark"))
    figure = _share("false_alarms.share", found, better="lower")
    return [figure, Figure("false_alarms", float(found.sum()), unit="photos", better="lower", n=len(found))]


def _unmarked(pixels: Pixels) -> bool:
    return mark.read(pixels, [_frame(pixels)]).found


def _large() -> list[Figure]:
    rows = parquet_rows([data_folder("wild_photos") / "wild_photos.parquet"], ["image"])
    jobs = [(number, row["image"]) for number, row in enumerate(rows)]
    done = _spread(_enlarged, jobs, "mark photos")
    figures = []
    for place in ("large", "close"):
        found = np.array([hits for one in done for hits in one[place]])
        figures += [_share(f"{place}.read.{name}", column) for name, column in zip(ATTACKS, found.T, strict=True)]
    figures += _spans("large.psnr", np.array([one["psnr"] for one in done]), "dB")
    figures += _spans("large.psnr_face", np.array([loss for one in done for loss in one["psnr_face"]]), "dB")
    wrong = np.array([one["unmarked"] for one in done])
    return [*figures, Figure("large.false_alarms", float(wrong.sum()), unit="photos", better="lower", n=len(wrong))]


def _enlarged(job: tuple[int, bytes]) -> dict[str, Any]:
    number, image = job
    pixels = decode(image)
    frames = _frames_of(pixels)
    made = mark.embed(pixels, frames)
    close, losses = [], []
    for frame in frames:
        side = align.SIZES["portrait"] / math.sqrt(abs(np.linalg.det(frame[:, :2])))
        if side < mark.LEAST:
            continue
        x, y = align.apply(align.invert(frame), np.array([[64, 64]]))[0]
        before, after = (_around(picture, x, y, side) for picture in (pixels, made))
        losses.append(float(psnr(before[None], after[None])[0]))
        cut = _around(made, x, y, CLOSE * side)
        close.append([_read(attacked(cut, name, number)) for name in ATTACKS])
    return {
        "large": [[_read(attacked(made, name, number)) for name in ATTACKS]],
        "close": close,
        "psnr": float(psnr(pixels[None], made[None])[0]),
        "psnr_face": losses,
        "unmarked": mark.read(pixels, frames).found,
    }


def _read(pixels: Pixels) -> bool:
    return mark.read(pixels, _frames_of(pixels)).found


def _frames_of(pixels: Pixels) -> list[Affine]:
    return [face.crop().to_crop for face in find_faces(pixels)]


def _around(pixels: Pixels, x: float, y: float, side: float) -> Pixels:
    left, top = max(0, round(x - side / 2)), max(0, round(y - side / 2))
    return pixels[top : round(y + side / 2), left : round(x + side / 2)]


def _times(frames: Pixels) -> list[Figure]:
    large = decode(next(iter(parquet_rows([data_folder("wild_photos") / "wild_photos.parquet"], ["image"])))["image"])
    acts: dict[str, Callable[[Pixels, Sequence[Affine]], object]] = {"embed": mark.embed, "read": mark.read}
    figures = []
    for name, pictures in (("frame", frames[:TIMED]), ("large", [large])):
        for verb, act in acts.items():
            times = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                for picture in pictures:
                    act(picture, [_frame(picture)])
                times.append((time.perf_counter() - began) / len(pictures) * 1000)
            low, middle, high = sorted(times)
            figures.append(Figure(f"{name}.{verb}_ms", middle, low, high, "ms", "lower", REPEATS))
    return figures


def _share(name: str, found: NDArray[Any], better: Any = "higher") -> Figure:
    """With the exact 95 % interval of Clopper and Pearson, which is not empty where all or none were found."""
    from scipy.stats import binomtest

    span = binomtest(int(found.sum()), len(found)).proportion_ci()
    return Figure(name, float(found.mean()), float(span.low), float(span.high), better=better, n=len(found))


def _spans(name: str, values: NDArray[Any], unit: str) -> Iterable[Figure]:
    yield Figure(name, float(values.mean()), *bootstrap(values), unit, n=len(values))
    yield Figure(f"{name}_least", float(values.min()), unit=unit, n=len(values))


def _spread(work: Callable[[Item], Made], items: Sequence[Item], label: str) -> list[Made]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings().threads, context, one_thread) as pool:
        return list(track(pool.map(work, items, chunksize=16), label, len(items)))


def _sheet(folder: Path, frames: Pixels, marked: Pixels, rows: Sequence[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tiles = []
    for i in rows:
        apart = np.clip(128 + 10 * (marked[i].astype(int) - frames[i]), 0, 255).astype(np.uint8)
        tiles += [frames[i], marked[i], apart]
    Image.fromarray(grid(tiles, 6).repeat(2, 0).repeat(2, 1)).save(folder / "mark.png")
