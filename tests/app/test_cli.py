"""The command line as a user meets it: JSON, exit codes, messages, folders of mixed files, interruption."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visavis.app.cli import run
from visavis.core import registry

COMMAND = [sys.executable, "-m", "visavis"]


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from visavis.app.cli import run; run(['--help']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "look" in out and "compare" in out
    heavy = {"onnxruntime", "onnx", "ai_edge_litert", "PIL", "pyarrow", "scipy", "matplotlib", "torch", "safetensors"}
    loaded = {name.split(".")[0] for name in out.splitlines()[-1].split()}
    assert not heavy & loaded


def test_every_task_is_a_command_and_can_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    for name, task in registry.tasks().items():
        module, _, function = task.use.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), name
        verb, _, rest = name.rpartition(".")
        assert run([verb, rest, "--help"] if verb else [rest, "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert task.help in shown and ("--album" in shown) == task.album and "--json" in shown


def test_look_json_is_one_document_and_nothing_else(
    portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["look", str(portraits["biden"]), "--json", "--mesh"]) == 0
    out = capsys.readouterr()
    document = json.loads(out.out)
    assert document["schema"] == "visavis.look/1"
    (photo,) = document["photos"]
    (face,) = photo["faces"]
    assert photo["error"] is None and photo["frames"] == 1
    x1, y1, x2, y2 = face["box"]
    assert 0 <= x1 < x2 <= photo["width"] and 0 <= y1 < y2 <= photo["height"]
    assert len(face["mesh"]) == 468 and len(face["points5"]) == 5
    assert face["age"]["low"] < face["age"]["years"] < face["age"]["high"]
    assert face["age"]["band"] in ("50-59", "60-69", "70+")
    assert {"yunet", "face_mesh", "attributes"} <= document["weights"].keys()
    yunet = document["weights"]["yunet"]
    assert len(yunet["sha256"]) == 64 and (yunet["terms"], yunet["trained_on"]) == ("permissive", "WIDER FACE")
    assert document["device"].startswith("cpu")
    assert not {"embedding", "labels", "gender", "race"} & face.keys()


def test_look_says_what_a_face_looks_like_and_labels_it_only_when_asked(
    portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["look", str(portraits["biden"])]) == 0
    plain = capsys.readouterr().out
    assert "looks about " in plain and "Male" not in plain
    assert run(["look", str(portraits["biden"]), "--labels"]) == 0
    assert "Male " in capsys.readouterr().out
    assert run(["look", str(portraits["biden"]), "--labels", "--json"]) == 0
    (face,) = json.loads(capsys.readouterr().out)["photos"][0]["faces"]
    assert face["labels"]["female"] < 0.5 and sum(face["labels"]["race"].values()) == pytest.approx(1, abs=0.01)


def test_compare_says_same_and_how_often_a_stranger_would(
    portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(portraits["obama"]), str(portraits["obama2"]), "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert run(["compare", str(portraits["obama"]), str(portraits["biden"]), "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert same["same"] is True and other["same"] is False
    assert same["false_match_rate"] <= 1e-3 < other["false_match_rate"]
    assert same["false_match_rate_worst_group"] >= same["false_match_rate"]
    assert same["table"]["command"] == "visavis calibrate"
    assert run(["compare", str(portraits["obama"]), str(portraits["obama2"])]) == 0
    said = capsys.readouterr().out
    assert said.startswith("same person: ") and "strangers scores this high" in said
    assert "%" not in said


def test_max_false_match_moves_the_verdict(portraits: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["compare", str(portraits["obama2"]), str(portraits["obama3"]), "--json"]
    verdicts = {}
    for limit in ("1e-3", "1e-7"):
        assert run([*pair, "--max-false-match", limit]) == 0
        found = json.loads(capsys.readouterr().out)
        verdicts[limit] = found["same"]
        assert (found["same"] is True) == (found["false_match_rate"] <= float(limit))
    assert verdicts == {"1e-3": True, "1e-7": None}
    assert run([*pair, "--max-false-match", "0.9"]) == 2
    assert "--max-false-match is a number from 1e-07 to 0.5" in capsys.readouterr().err


def test_no_face_is_a_result_for_look_and_no_verdict_for_compare(
    portraits: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "sky.png"
    Image.new("RGB", (300, 200), (90, 140, 220)).save(empty)
    assert run(["look", str(empty)]) == 0
    assert "no face" in capsys.readouterr().out
    for extra in ([], ["--all"], ["--face", "1"]):
        assert run(["compare", str(empty), str(portraits["biden"]), *extra]) == 2
        said = capsys.readouterr()
        assert said.out == "" and "sky.png" in said.err


def test_several_faces_need_a_choice(
    portraits: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "both.png"
    left, right = (Image.open(portraits[name]).convert("RGB").resize((400, 500)) for name in ("obama", "biden"))
    wide = Image.new("RGB", (800, 500))
    wide.paste(left, (0, 0))
    wide.paste(right, (400, 0))
    wide.save(both)
    command = ["compare", str(both), str(portraits["biden"]), "--json"]
    assert run(command) == 2
    assert "2 faces" in capsys.readouterr().err
    assert run([*command, "--all"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["photos"][0]["faces_found"] == 2
    verdicts = {pair["faces"][0]["box"][0] < 400: pair["same"] for pair in document["pairs"]}
    assert verdicts == {True: False, False: True}
    numbers = {pair["faces"][0]["box"][0] < 400: pair["faces"][0]["id"] for pair in document["pairs"]}
    assert run([*command, "--face", str(numbers[False])]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
    assert run([*command, "--face", "9"]) == 2
    assert "there is no face 9" in capsys.readouterr().err


def test_a_mixed_folder_is_done_and_its_bad_files_listed(
    portraits: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "Ana's photos 张 é"
    folder.mkdir()
    shutil.copy(portraits["biden"], folder / "good.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a photo")
    (folder / "cut.jpg").write_bytes(portraits["obama"].read_bytes()[:2000])
    os.mkfifo(folder / "pipe.jpg")
    assert run(["look", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    errors = {Path(row["path"]).name: row["error"] for row in document["photos"]}
    assert errors.pop("good.jpg") is None
    assert set(errors) == {"empty.jpg", "text.jpg", "cut.jpg", "pipe.jpg"}
    assert all(name.split(".")[0] in error for name, error in errors.items())
    assert run(["look", str(folder), "--strict", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["photos"] and "4 of 5 files" in said.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["look", "absent.jpg"], "absent.jpg"),
        (["look", "https://example.org/a.jpg"], "example.org"),
        (["compare", "a.jpg"], "Missing argument"),
        (["loook", "a.jpg"], "look"),
        (["look", "a.jpg", "--detector", "hog"], "hog"),
        (["look", "a.jpg", "--embedding", "out.txt"], "out.txt"),
        (["--device", "tpu", "look", "a.jpg"], "tpu"),
        (["weights", "fetch", "nonsense"], "nonsense"),
    ],
)
def test_bad_arguments_are_two_sentences_at_most(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VISAVIS_DEVICE", "VISAVIS_THREADS", "VISAVIS_LICENCE"):
        monkeypatch.setenv(name, "")
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and expected in said.err and "Traceback" not in said.err
    assert said.err.count("\n") == 1


def test_cuda_that_cannot_be_had_is_an_error_not_the_cpu(portraits: dict[str, Path]) -> None:
    made = subprocess.run(
        [*COMMAND, "look", str(portraits["biden"]), "--device", "cuda"], capture_output=True, text=True
    )
    assert made.returncode == 2 and "cuda" in made.stderr and "docs/gpu.md" in made.stderr


def test_draw_writes_a_picture_and_never_over_a_photo(portraits: dict[str, Path], tmp_path: Path) -> None:
    photo = tmp_path / "biden.png"
    Image.open(portraits["biden"]).save(photo)
    before = photo.read_bytes()
    assert run(["look", str(photo), "--draw", str(tmp_path)]) == 0
    assert photo.read_bytes() == before
    (drawn,) = [path for path in tmp_path.iterdir() if path != photo]
    difference = np.asarray(Image.open(drawn).convert("RGB")).astype(int) - np.asarray(Image.open(photo).convert("RGB"))
    assert np.abs(difference).max() > 50


def test_vectors_for_researchers(portraits: dict[str, Path], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from visavis.core import weights
    from visavis.faces.embed import RECIPE

    photos = [str(portraits[name]) for name in ("obama", "biden")]
    for suffix in ("npz", "parquet"):
        assert run(["look", *photos, "--embedding", str(tmp_path / f"v.{suffix}")]) == 0
    with np.load(tmp_path / "v.npz") as arrays:
        assert arrays["vector"].shape == (2, 128) and arrays["box"].shape == (2, 4)
        assert list(arrays["path"]) == photos
        assert str(arrays["recipe"]) == RECIPE and str(arrays["sha256"]) == weights.entry("recogniser_a").sha256
        np.testing.assert_allclose(np.linalg.norm(arrays["vector"], axis=1), 1, atol=1e-5)
        table = pq.read_table(tmp_path / "v.parquet")
        np.testing.assert_array_equal(np.stack(table["vector"].to_pylist()).astype(np.float32), arrays["vector"])
    assert table.schema.metadata[b"recipe"].decode() == RECIPE


def test_ctrl_c_leaves_finished_photos_and_exit_130(portraits: dict[str, Path], tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):
        shutil.copy(portraits["biden"], many / f"{number:03}.jpg")
    out = tmp_path / "drawn"
    running = subprocess.Popen(
        [*COMMAND, "look", str(many), "--draw", str(out), "--embedding", str(tmp_path / "v.npz")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (out.is_dir() and len(list(out.iterdir())) >= 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "Traceback" not in err
    drawn = [path for path in out.iterdir() if path.suffix == ".png"]
    for path in drawn:
        Image.open(path).load()
    with np.load(tmp_path / "v.npz") as arrays:
        assert 3 <= len(arrays["vector"]) < 400


def test_sigterm_and_a_closed_pipe_end_quietly(portraits: dict[str, Path], tmp_path: Path) -> None:
    photos = " ".join([str(portraits["biden"])] * 3)
    line = f"{sys.executable} -m visavis look {photos} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    made = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert made.stdout.strip() == "0" and made.stderr == ""
    running = subprocess.Popen(
        [*COMMAND, "look", *[str(portraits["biden"])] * 400], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert running.returncode == 143


def test_the_main_job_runs_without_a_network(portraits: dict[str, Path], tmp_path: Path) -> None:
    from visavis.core import weights

    weights.fetch(["yunet", "face_mesh", "recogniser_a"])
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("this machine does not allow a process without a network (unshare -n)")
    made = subprocess.run(["unshare", "-n", *COMMAND, "demo", "--out", str(tmp_path)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "6 photos" in made.stdout and (tmp_path / "index.html").stat().st_size > 50_000


def test_info_names_folders_versions_and_threads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_THREADS", "1")
    assert run(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["settings"]["threads"] == 1
    assert "CPUExecutionProvider" in facts["machine"]["providers"]
    assert facts["versions"]["onnxruntime"] != "not installed"


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
def test_making_pictures_without_torch_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["create", "faces", "a woman"]) == 2
    assert "pip install '.[ml]'" in capsys.readouterr().err
