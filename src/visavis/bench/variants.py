"""Many different photos from the six free portraits: shrunk, cropped, mirrored, so that each is another file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from visavis.core import weights

PORTRAITS = ("obama", "obama2", "obama3", "biden")


def write_variants(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` JPEGs of 400 to 700 px in the folder; the name tells whose they are."""
    random = np.random.default_rng(seed)
    written = []
    for number in range(count):
        name = PORTRAITS[number % len(PORTRAITS)]
        image = Image.open(weights.path(f"portrait_{name}")).convert("RGB")
        image.thumbnail((int(random.integers(400, 700)),) * 2)
        left, top = (int(random.integers(0, 20)) for _ in range(2))
        image = image.crop((left, top, image.width, image.height))
        image = ImageOps.mirror(image) if random.random() < 0.5 else image
        path = folder / f"{name.rstrip('23')}-{number}.jpg"
        image.save(path, quality=int(random.integers(80, 95)))
        written.append(path)
    return written
