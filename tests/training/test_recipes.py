"""Each recipe from photos to an ONNX file that the base install runs, on a set that the test makes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.training.made_sets import parquet_of

torch = pytest.importorskip("torch")
pytest.importorskip("datasets")

from visavis.app.cli import run  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.core.weights import shipped_folder  # noqa: E402
from visavis.training import launch  # noqa: E402
from visavis.training.recipes import attributes, judge, parser  # noqa: E402

COUNT = 70
QUICK = ["schedule.steps=3", "schedule.batch=8", "schedule.workers=0", "schedule.warmup=1"]


@pytest.fixture(scope="module")
def faces(small: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Portraits in many lights, with made-up ages and masks: enough to run every step once."""
    names, rows = [name for name in small if name != "sky"], []
    for i in range(COUNT):
        image = ImageEnhance.Brightness(Image.open(io.BytesIO(small[names[i % len(names)]]))).enhance(0.7 + i / COUNT)
        image.thumbnail((200, 200))
        file, mask = io.BytesIO(), io.BytesIO()
        image.save(file, "JPEG")
        labels = np.zeros((64, 64), np.uint8)
        labels[16:, 16:48] = 1
        Image.fromarray(labels).save(mask, "PNG")
        split = "val" if i % 7 == 0 else "train"
        row = {"image": file.getvalue(), "mask": mask.getvalue(), "person": f"{split}{i}", "split": split}
        rows.append(row | {"age": f"{i}-{i + 9}", "gender": "Male" if i % 2 else "Female", "race": "White"})
    return parquet_of(tmp_path_factory.mktemp("set") / "faces.parquet", rows)


def session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path.read_bytes())


def portraits_of(faces: Path) -> Any:
    from visavis.training.prepare import prepare
    from visavis.training.rows import source

    return judge.crops(prepare(source(faces), ["portrait"]).part("val"))


def test_judge_from_photos_to_onnx(faces: Path, teacher: Path, home: Path, ship_to: Path) -> None:
    settings = [*QUICK, f"teachers={teacher}", "views=2"]
    result, folder = launch.start("judge", data=str(faces), settings=settings)
    assert result.finished and -1 <= result.figures["cosine"] <= 1
    assert {"curve.png", "sheet.png", "best.safetensors", "metrics.jsonl"} <= {p.name for p in folder.iterdir()}
    path = launch.ship("judge")
    facts = json.loads((ship_to / "index.json").read_text())
    assert facts["judge_b_research"]["terms"] == "unknown"  # a user's own data and teacher
    crops = portraits_of(faces)
    (vectors,) = session(path).run(None, {"crops": crops})
    ours = judge.vectors(result.modules["judge"], crops)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert (vectors * ours).sum(1).min() > 0.995  # fp16 weights, and a picture resized by another hand


def test_a_run_goes_on_where_it_stopped(faces: Path, teacher: Path, home: Path) -> None:
    settings = [*QUICK, f"teachers={teacher}", "views=1"]
    first, _ = launch.start("judge", data=str(faces), settings=settings, minutes=0)
    assert not first.finished and first.step == 1
    with pytest.raises(InputError, match="--resume"):
        launch.start("judge", data=str(faces), settings=settings)
    with pytest.raises(InputError, match=r"plain: 0.35 -> 0.5"):
        launch.start("judge", data=str(faces), settings=[*settings, "plain=0.5"], resume=True)
    second, _ = launch.start("judge", data=str(faces), settings=settings, resume=True)
    assert second.finished and second.step == 3


def test_a_margin_draws_one_person_s_photos_together(
    faces: Path, teacher: Path, small: dict[str, bytes], home: Path, tmp_path: Path
) -> None:
    settings = [*QUICK, f"teachers={teacher}", "views=2"]
    _, first = launch.start("judge", data=str(faces), settings=settings)
    with pytest.raises(InputError, match="names none such"):  # one photo a person
        launch.start("judge", data=str(faces), settings=[*settings, "margin=0.1"], run="single")
    rows = [
        {"image": small[name] + f"{split}{i}".encode(), "person": f"{split}-{name}", "split": split}
        for split, count in (("train", 30), ("val", 4))
        for name in ("obama", "biden")
        for i in range(count)
    ]
    data = parquet_of(tmp_path / "people.parquet", rows)
    begun = [*settings, f"start={first / 'best.safetensors'}", "rate=0", "weight_decay=0", "margin=1"]
    result, _ = launch.start("judge", data=str(data), settings=begun, run="margin")
    assert result.modules["people"].W.shape == (32, 2)  # begins anew beside what the first run had

    step = judge.Step(judge.Config(margin=1.0))
    vectors = torch.nn.functional.normalize(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)), dim=1)
    batch = {"images": vectors.requires_grad_(), "targets": vectors.detach(), "who": torch.tensor([0, 1, -1, -1])}
    step({"judge": torch.nn.Identity(), "people": result.modules["people"]}, batch).backward()
    drawn = [float(g.norm()) for g in vectors.grad + vectors.detach() / 4]  # beside the teacher's draw
    assert min(drawn[:2]) > 1e-3 and max(drawn[2:]) < 1e-6  # a mix is nobody's photo


def test_attributes_from_photos_to_onnx(faces: Path, home: Path, ship_to: Path) -> None:
    both = []
    for copy in ("no", "yes"):
        settings = [*QUICK, f"judge={copy}"]
        result, _ = launch.start("attributes", data=str(faces), settings=settings, run=f"attributes-{copy}")
        assert result.finished and result.figures["age_off"] > 0
        both.append(launch.ship("attributes", f"attributes-{copy}"))
    assert [path.stem for path in both] == ["attributes_research", "attributes_research_judge"]
    age, gender, race = session(both[0]).run(None, {"crops": portraits_of(faces)})
    assert age.shape == (len(gender), 2) and (age[:, 1] > 0).all()
    assert ((gender > 0) & (gender < 1)).all() and np.allclose(race.sum(1), 1, atol=1e-4)


def test_the_two_copies_see_different_photos(faces: Path, home: Path) -> None:
    from visavis.training.prepare import prepare
    from visavis.training.rows import source

    rows = prepare(source(faces), ["portrait"])
    one, other = (set(attributes._half(rows, judge).part("train").keys) for judge in (False, True))
    assert one and other and not one & other
    assert one | other == set(rows.part("train").keys)


def test_parser_from_photos_to_onnx(faces: Path, home: Path, ship_to: Path) -> None:
    result, _ = launch.start("parser", data=str(faces), settings=[*QUICK, "width=8"])
    assert result.finished and 0 <= result.figures["miou"] <= 1
    path = launch.ship("parser")
    (logits,) = session(path).run(None, {"crops": portraits_of(faces)})
    assert logits.shape[1:] == (19, 128, 128)


def test_a_mirror_swaps_left_and_right() -> None:
    from visavis.faces.parse import CLASSES

    maker: Callable[..., Any] = parser.Faces.__new__
    faces = maker(parser.Faces)
    picture, labels = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8)
    picture[40:50, 80:90], labels[40:50, 80:90] = 255, CLASSES.index("l_eye")
    faces.pictures, faces.labels, faces.seed = picture[None], labels[None], 0
    faces.mirrored = parser.mirrored()
    faces.place = parser.Augment(scale=(1, 1), turn=0, shift=0, mirror=1)
    faces.look = parser.Augment(scale=(1, 1), turn=0, shift=0, mirror=0, blur=0, jpeg=0, shrink=0, grey=0, light=0)
    seen, made = faces._moved(0, np.random.default_rng(0))
    assert (made[40:50, 38:48] == CLASSES.index("r_eye")).all() and made[45, 85] == 0
    assert seen[45, 43].min() == 255  # the picture went the same way


def test_ages_of_any_label() -> None:
    assert attributes.interval({"age": 31}) == (30.5, 31.5)
    assert attributes.interval({"age": "20-29"}) == (20, 30)
    assert attributes.interval({"age": "70+"}) == (70, attributes.OLDEST)
    with pytest.raises(InputError, match="not 'old'"):
        attributes.interval({"age": "old"})


def test_the_age_loss_is_least_where_the_distribution_is_right() -> None:
    interval = torch.tensor([[30.0, 31.0]]).repeat(5, 1)
    middles = torch.tensor([10.0, 25.0, 30.5, 36.0, 60.0])
    losses = [float(attributes.age_loss(torch.stack([m, torch.tensor(3.0)])[None], interval[:1])) for m in middles]
    assert np.argmin(losses) == 2 and losses[1] == pytest.approx(losses[3], rel=1e-4)
    # Far away it is finite and still says in which direction to go.
    age = torch.tensor([[-400.0, 0.7]], requires_grad=True)
    attributes.age_loss(age, interval[:1]).backward()
    assert float(age.grad[0, 0]) < 0


def test_command_line(faces: Path, teacher: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "juge"]) == 2
    assert "did you mean 'judge'" in capsys.readouterr().err
    assert run(["train", "judge", "--set", "rte=1"]) == 2
    assert "did you mean 'rate'" in capsys.readouterr().err
    assert run(["train", "judge", "--ship"]) == 2
    assert "train first" in capsys.readouterr().err
    assert run(["train", "judge", "--ship", "--set", "views=1"]) == 2
    assert "leave --data and --set out" in capsys.readouterr().err
    options = [part for setting in (*QUICK, f"teachers={teacher}", "views=1") for part in ("--set", setting)]
    assert run(["train", "judge", "--data", str(faces), "--minutes", "5", *options]) == 0
    assert "finished at step 3" in capsys.readouterr().out
    assert run(["train", "judge", "--data", str(faces.parent / "nothing"), "--run", "other"]) == 2


def test_the_device_that_was_asked_for(
    faces: Path, teacher: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISAVIS_DEVICE", "cpu")
    monkeypatch.setenv("VISAVIS_THREADS", "1")
    before = torch.get_num_threads()
    assert run(["train", "judge", "--device", "tpu"]) == 2
    monkeypatch.setenv("VISAVIS_DEVICE", "cpu")  # the command line writes what it was told there
    if not torch.cuda.is_available():
        assert run(["train", "judge", "--device", "cuda"]) == 2
        assert "torch sees no GPU" in capsys.readouterr().err
    monkeypatch.setenv("VISAVIS_DEVICE", "cpu")
    options = [part for setting in (*QUICK, f"teachers={teacher}", "views=1") for part in ("--set", setting)]
    try:
        assert run(["train", "judge", "--data", str(faces), "--device", "cpu", "--threads", "1", *options]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_too_little_data_is_said(small: dict[str, bytes], home: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(small["obama"])
    with pytest.raises(InputError, match=r"has \d photos for training.* are needed"):
        launch.start("judge", data=str(tmp_path / "photos"))


def test_shipped_folder_is_the_distribution() -> None:
    assert (shipped_folder() / "index.json").exists()


def test_a_run_may_begin_from_another_s_weights(faces: Path, teacher: Path, home: Path) -> None:
    settings = [*QUICK, f"teachers={teacher}", "views=1"]
    first, folder = launch.start("judge", data=str(faces), settings=settings)
    still = [*settings, "rate=0", "schedule.steps=1", "weight_decay=0", f"start={folder / 'best.safetensors'}"]
    second, _ = launch.start("judge", data=str(faces), settings=still, run="second")
    names = [name for name, _ in first.modules["judge"].named_parameters()]
    ours, theirs = (result.modules["judge"].state_dict() for result in (first, second))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in names)  # stored as fp16
    more = [*still, f"teachers={teacher},{teacher}"]
    third, _ = launch.start("judge", data=str(faces), settings=more, run="more")
    wide = third.modules["judge"].state_dict()
    assert all(
        torch.allclose(value, wide[name][: len(value)] if value.ndim else wide[name], atol=1e-3)
        for name, value in ours.items()
        if name in names
    )  # what a second teacher knows is yet to be learnt
    assert len(wide["head.project.bias"]) == 2 * len(ours["head.project.bias"])
    with pytest.raises(InputError, match=r"nothing is no best\.safetensors"):
        launch.start("judge", data=str(faces), settings=[*settings, "start=nothing"], run="third")


def test_terms_follow_the_weights_that_a_run_began_from(
    faces: Path, home: Path, ship_to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Research weights stay research weights, and the copy that judges never becomes the other one."""
    import pyarrow.parquet as pq

    table = pq.read_table(faces)
    packs = {}
    for terms in ("permissive", "research-only"):
        packs[terms] = faces.parent / f"{terms}.parquet"
        pq.write_table(table.replace_schema_metadata({"terms": terms}), packs[terms])
    _, folder = launch.start("attributes", data=str(packs["research-only"]), settings=QUICK, run="research")
    begun = [*QUICK, f"start={folder / 'best.safetensors'}"]
    launch.start("attributes", data=str(packs["permissive"]), settings=begun, run="begun")
    launch.ship("attributes", "begun")
    assert json.loads((ship_to / "index.json").read_text())["attributes_research"]["terms"] == "research-only"
    with pytest.raises(InputError, match="the other copy"):
        launch.start("attributes", data=str(packs["permissive"]), settings=[*begun, "judge=yes"], run="judge")


@pytest.mark.parametrize(
    ("column", "value", "says"), [("gender", "man", "Female or Male, not 'man'"), ("age", "young", "not 'young'")]
)
def test_labels_that_mean_nothing_are_said(faces: Path, home: Path, column: str, value: str, says: str) -> None:
    import pyarrow.parquet as pq

    rows = [{**row, column: value} for row in pq.read_table(faces).to_pylist()]
    path = parquet_of(faces.parent / f"{column}.parquet", rows)
    with pytest.raises(InputError, match=says):
        launch.start("attributes", data=str(path), settings=QUICK)
    without = parquet_of(
        faces.parent / f"no-{column}.parquet", [{k: v for k, v in r.items() if k != column} for r in rows]
    )
    with pytest.raises(InputError, match=f"no column '{column}'"):
        launch.start("attributes", data=str(without), settings=QUICK)
