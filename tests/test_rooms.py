"""The house: what is public can be imported and called, and no name of a room is taken by a function."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import visavis as vv

HAS_TORCH = importlib.util.find_spec("torch") is not None
HEAVY = ("visavis.training.", "visavis.blocks.", "visavis.bases.", "visavis.systems.")
ROOMS = ("core", "media", "faces", "people", "training", "blocks", "bases", "systems", "run", "bench", "app")


def test_public_verbs_survive_importing_every_module(portraits: dict[str, Path]) -> None:
    for module in pkgutil.walk_packages(vv.__path__, "visavis.", onerror=lambda name: None):
        if module.name.endswith(("__main__", "peer_face_recognition")):
            continue
        # The rooms of training need the extra [ml]; where it is installed they are imported too.
        if HAS_TORCH or not module.name.startswith(HEAVY):
            importlib.import_module(module.name)
    photo = vv.open_photo(portraits["biden"])
    (face,) = vv.look(photo)
    assert vv.compare(photo, face).same is True
    assert not set(ROOMS) & set(vv.__all__)
    assert face._repr_png_()[:4] == photo._repr_png_()[:4] == b"\x89PNG"


def test_importing_visavis_is_light() -> None:
    code = "import sys, visavis; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"onnxruntime", "onnx", "ai_edge_litert", "PIL", "safetensors", "rich", "typer"} & set(loaded)


def test_the_shipped_files_are_what_the_index_says() -> None:
    from visavis.core import weights

    shipped = [entry for entry in weights.entries() if entry.source == "shipped"]
    assert {"cohort", "child", "false_match_table", "face_geometry", "face_cover"} <= {entry.name for entry in shipped}
    assert all(entry.state == "ok" and entry.terms in ("permissive", "research-only") for entry in shipped)
    assert max(entry.bytes for entry in shipped) <= 16e6
    assert sum(entry.bytes for entry in shipped) <= 250e6


def test_every_result_says_where_it_came_from() -> None:
    results = sorted((Path(__file__).parents[1] / "results").glob("*.json"))
    assert results
    for path in results:
        made = json.loads(path.read_text())
        assert {"command", "commit", "machine", "date", "seed", "seconds", "figures"} <= made.keys(), path
        for figure in made["figures"]:
            assert figure["name"] == figure["name"].lower() and isinstance(figure["value"], int | float), figure
