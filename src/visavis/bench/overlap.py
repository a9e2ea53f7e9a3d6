"""`visavis bench overlap`: are people of CelebA (thresholds) also in LFW (test)? The closest pairs, for eyes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from visavis.bench.figures import Figure, write
from visavis.bench.vectors import data_folder, decode, parquet_rows, vector_set
from visavis.faces.score import calibration, scores

LOOKED_AT = 200
# People of CelebA who are, or may be, in LFW, by eye on the sheets: the same photo of Nicole Hiltz, Jane Russell, a
# Phelps twin, and a sister of Paris Hilton (who is somebody else, but no fair stranger).
DOUBLES = ("7261", "7355", "7418", "7286")
SHEET, COLUMNS, SIDE = 50, 10, 120


def run(folder: Path | None = None) -> None:
    """Writes results/overlap.json and, where a folder is named, sheets of the pairs (never to be published)."""
    started = time.time()
    celeba = vector_set("identity", ["celeba_identity.parquet"], ("name", "file"))
    lfw = vector_set("lfw", ["lfw.parquet"], ("name", "index"))
    train = json.loads((data_folder("identity") / "split.json").read_text())["train"]
    ours = np.flatnonzero(celeba.found & np.isin(celeba.labels["name"], train))
    theirs = np.flatnonzero(lfw.found)
    cohort = calibration().cohort
    a, b = celeba.vectors[ours], lfw.vectors[theirs]
    score = scores(a, b, cohort.statistics(a), cohort.statistics(b))
    pairs: dict[tuple[str, str], tuple[float, int, int]] = {}
    order = np.argpartition(-score, 60_000, axis=None)[:60_000]
    for place in order[np.argsort(-score.ravel()[order])]:
        i, j = divmod(int(place), score.shape[1])
        names = str(celeba.labels["name"][ours[i]]), str(lfw.labels["name"][theirs[j]])
        pairs.setdefault(names, (float(score[i, j]), int(ours[i]), int(theirs[j])))
        if len(pairs) == LOOKED_AT:
            break
    left = [value[0] for names, value in pairs.items() if names[0] not in DOUBLES]
    write(
        "overlap",
        [
            Figure("pairs.looked_at", len(pairs), unit="pairs of people", better="neither"),
            Figure("people.left_out", len(DOUBLES), unit="people", better="neither", n=len(train)),
            Figure("score.highest", max(value[0] for value in pairs.values()), unit="score", better="neither"),
            Figure("score.highest_left", max(left), unit="score", better="lower"),
        ],
        seed=0,
        started=started,
        notes=[f"left out of thresholds and anchors: CelebA's people {', '.join(DOUBLES)}"],
    )
    if folder:
        _sheets(folder, pairs)


def _sheets(folder: Path, pairs: dict[tuple[str, str], tuple[float, int, int]]) -> None:
    celeba = [row["image"] for row in parquet_rows([data_folder("identity") / "celeba_identity.parquet"], ["image"])]
    lfw = [row["image"] for row in parquet_rows([data_folder("lfw") / "lfw.parquet"], ["image"])]
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(pairs), SHEET):
        part = list(pairs.items())[start : start + SHEET]
        sheet = Image.new("RGB", (COLUMNS * 2 * SIDE, -(-len(part) // COLUMNS) * (SIDE + 16)), "white")
        pen = ImageDraw.Draw(sheet)
        for n, ((ours, theirs), (score, i, j)) in enumerate(part):
            x, y = n % COLUMNS * 2 * SIDE, n // COLUMNS * (SIDE + 16)
            pen.text((x, y + 2), f"{score:.1f} {ours} {theirs}"[:36], fill="black")
            for k, image in enumerate((celeba[i], lfw[j])):
                sheet.paste(Image.fromarray(decode(image)).resize((SIDE, SIDE)), (x + k * SIDE, y + 16))
        sheet.save(folder / f"overlap-{start // SHEET + 1}.png")
