"""What other recognisers see of a portrait frame is what they see of the photo, as far as the frame goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import visavis as vv
from visavis.bench.portraits import Portraits
from visavis.faces import align


@pytest.fixture(scope="module")
def frames(portraits: dict[str, Path]) -> tuple[Portraits, list[vv.Face]]:
    faces = [vv.look(portraits[name])[0] for name in ("obama", "obama2", "biden")]
    crops = [face.crop("portrait") for face in faces]
    meshes = np.stack([face.mesh for face in faces])
    for mesh, crop in zip(meshes, crops, strict=True):
        mesh[:, :2] = align.apply(crop.to_crop, mesh[:, :2])
    pixels = np.stack([crop.pixels for crop in crops])
    return Portraits(np.ones(3, bool), pixels, meshes, {"name": np.array(["o", "o", "b"])}), faces


def test_the_arcface_crop_of_a_frame_is_that_of_the_photo(frames: tuple[Portraits, list[vv.Face]]) -> None:
    made, faces = frames
    for ours, face in zip(made.arcface(), faces, strict=True):
        straight = face.crop("recognise").pixels.astype(int)
        # The frame ends 8 px outside of eyes and mouth in the ArcFace crop: inside of it both are the same picture.
        assert np.abs(ours.astype(int) - straight)[35:95, 30:82].mean() < 6


def test_recogniser_a_tells_people_apart_on_frames(frames: tuple[Portraits, list[vv.Face]]) -> None:
    made, faces = frames
    vectors = made.vectors_a()
    assert min(float(v @ f.embedding) for v, f in zip(vectors, faces, strict=True)) > 0.97
    assert vectors[0] @ vectors[1] > max(vectors[0] @ vectors[2], vectors[1] @ vectors[2]) + 0.03


def test_a_part_keeps_its_labels(frames: tuple[Portraits, list[vv.Face]]) -> None:
    part = frames[0].take(np.array([False, False, True]))
    assert len(part) == 1 and list(part.labels["name"]) == ["b"] and part.crops.shape == (1, 128, 128, 3)
