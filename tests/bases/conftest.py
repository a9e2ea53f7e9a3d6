"""A set of faces small enough to run every step of a base's training once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

COUNT = 70


@pytest.fixture(scope="session")
def faces(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in many lights: one to train on, the other to validate."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for i in range(COUNT):
        split, person = ("val", "biden") if i % 7 == 0 else ("train", ("obama", "obama2", "obama3")[i % 3])
        image = Image.open(portraits[person]).convert("RGB")
        image.thumbnail((200, 200))
        file = io.BytesIO()
        ImageEnhance.Brightness(image).enhance(0.7 + i / COUNT).save(file, "JPEG")
        row = {"image": file.getvalue(), "person": person[:5], "split": split}
        rows.append(row | {"age": f"{i}-{i + 9}", "gender": "Male" if i % 2 else "Female"})
    path = tmp_path_factory.mktemp("set") / "faces.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano's folder, untrained."""
    import torch

    from visavis.bases.autoencoder.model import autoencoder
    from visavis.bases.nano import folder

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("nano") / "nano"
    folder.write(path, autoencoder(), folder.unet(), folder.text_encoder())
    return path
