"""WithAnyone: trained, shipped and used on a tiny set, of one person and of two; pairs, boxes, the authors' layout."""

from __future__ import annotations

import dataclasses
import importlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from tests.systems.conftest import QUICK  # noqa: E402

import visavis as vv  # noqa: E402
from visavis.bases.load import read  # noqa: E402
from visavis.bases.nano import folder as nano_folder  # noqa: E402
from visavis.bases.nano import teach  # noqa: E402
from visavis.bases.nano.train import tokens  # noqa: E402
from visavis.blocks.identity.attention import Boxes, box_mask, grid  # noqa: E402
from visavis.blocks.identity.encoder import VectorA, chips  # noqa: E402
from visavis.blocks.images import to_tensor  # noqa: E402
from visavis.core import registry  # noqa: E402
from visavis.core.card import Spec  # noqa: E402
from visavis.core.errors import InputError  # noqa: E402
from visavis.core.ship import ship  # noqa: E402
from visavis.faces import align  # noqa: E402
from visavis.faces.analyse import find_faces  # noqa: E402
from visavis.faces.frame import frame_of  # noqa: E402
from visavis.systems.withanyone import boxes, data, published, train, use  # noqa: E402
from visavis.systems.withanyone.card import Options  # noqa: E402
from visavis.systems.withanyone.model import WithAnyone  # noqa: E402
from visavis.training import launch  # noqa: E402

ONE, BOTH = "a smiling man", "a smiling man and a serious man"


def test_from_photos_to_portraits(
    faces: Path, nano: Path, home: Path, own_weights: Path, portraits: dict[str, Path]
) -> None:
    settings = [f"base={nano}", "negatives=20", *QUICK]
    result, folder = launch.start("withanyone", data=str(faces), settings=settings)
    assert result.finished
    assert launch.ship("withanyone").stat().st_size < 16e6

    options: dict[str, Any] = {"system": "withanyone", "base": str(nano), "steps": 2}
    first, second = vv.create.portrait(portraits["obama"], ONE, n=2, seed=5, **options)
    (again,) = vv.create.portrait(portraits["obama"], ONE, n=1, seed=6, **options)
    assert np.abs(second.pixels.astype(int) - again.pixels).max() <= 2  # follows from its seed alone
    assert first.pixels.shape == (128, 128, 3) and "withanyone" in first.facts["weights"]
    own = use.load(Spec(str(nano), Options(), run=str(folder / "best.safetensors"))).module.state_dict()
    shipped = use.load(Spec(str(nano), Options())).module.state_dict()
    assert all(torch.allclose(value, own[key], atol=2e-3) for key, value in shipped.items())
    with pytest.raises(InputError, match="learnt pictures of one person"):
        vv.create.portrait(portraits["obama"], ONE, beside=[portraits["biden"]], n=1, **options)


def test_a_canvas_teaches_the_low_rank_change_alone(faces: Path, nano: Path, home: Path) -> None:
    schedule = train.Schedule(steps=1, batch=4, warmup=0, workers=0)
    config = train.Config(data=str(faces), base=str(nano), canvas=True, negatives=20, below=1.0, schedule=schedule)
    plan = train.plan(config)
    module, batch = plan.modules["withanyone"], plan.batches(0, 0, 1)
    assert batch["latents"].shape == (4, 8, 16, 32) and batch["vectors"].shape == (4, 2, 128)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert not module.learnt_two
    (_, total), *_ = plan.step(plan.modules, batch)
    total.backward()
    plan.optimizers["withanyone"].step()
    changed = {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and all(key.startswith(("lora.", "aligner.")) for key in changed) and module.learnt_two
    one = {key: value[:1] for key, value in batch.items()}
    (drawn,) = train._drawn(read(nano), module, one, [0], 1)
    assert drawn.shape == (128, 128, 3)


def test_two_people_are_put_into_one_picture(
    nano: Path, sd15: Path, flux_folder: Path, home: Path, own_weights: Path, portraits: dict[str, Path]
) -> None:
    torch.manual_seed(0)
    module = WithAnyone(read(nano))
    loud(module)
    options: dict[str, Any] = {"system": "withanyone", "base": str(nano), "steps": 1, "n": 1, "seed": 5}
    person, beside = portraits["obama"], [portraits["biden"]]

    def shipped(module: WithAnyone) -> None:
        state = {key: value.numpy() for key, value in module.state_dict().items()}
        ship("withanyone", state, terms="permissive", trained_on="nothing", command="a test")

    shipped(module)
    (alone,) = vv.create.portrait(person, ONE, **options)
    for parameter in module.lora.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    shipped(module)
    (same,) = vv.create.portrait(person, ONE, **options)
    assert np.abs(same.pixels.astype(int) - alone.pixels).max() <= 2  # one person is drawn as before
    for change in ({"prompt": "old"}, {"person": portraits["biden"]}, {"s": 1.0}, {"boxes": "0,0,64,128"}):
        (other,) = vv.create.portrait(**{"person": person, "prompt": ONE} | options | change)
        assert (other.pixels != alone.pixels).any(), change

    (made,) = vv.create.portrait(person, BOTH, beside=beside, **options)
    assert made.pixels.shape == (128, 256, 3) and made.likeness is None
    assert made.notes == ("0 faces were found for 2 people, so that nobody's likeness is told",)
    for change in ({"boxes": "128,0,256,128;0,0,128,128"}, {"beside": [portraits["obama2"]]}):
        (other,) = vv.create.portrait(**{"person": person, "prompt": BOTH, "beside": beside} | options | change)
        assert (other.pixels != made.pixels).any(), change

    for wrong, says in (
        ({"prompt": "a dragon"}, "dragon"),
        ({"beside": [*beside, portraits["obama2"]]}, "up to 2 people into a picture, not 3"),
        ({"prompt": "smiling, " * 10}, "reads 30"),
        ({"boxes": "0,0,128,128"}, r"\(2 here\)"),
        ({"boxes": "0,0,128;0,0,1,1"}, "X1,Y1,X2,Y2"),
        ({"boxes": "0,0,128,128;128,0,257,128"}, "256 x 128 px"),
        ({"boxes": "0,0,128,128;128,0,128,128"}, "lie inside"),
        ({"s": 1.5}, "--s is a number from 0 to 1"),
        ({"published": str(nano)}, "--recogniser"),
        ({"base": str(sd15)}, "do not fit"),
        ({"base": str(flux_folder)}, "do not fit"),
    ):
        with pytest.raises(InputError, match=says):
            vv.create.portrait(**{"person": person, "prompt": BOTH, "beside": beside} | options | wrong)


@pytest.mark.parametrize("system", ["arc2face", "instantid", "photoverse"])
def test_a_system_that_stands_on_a_unet_says_so(system: str, flux_folder: Path) -> None:
    use = importlib.import_module(f"visavis.systems.{system}.use")
    spec = Spec(str(flux_folder), registry.cards()[system].options())
    with pytest.raises(InputError, match=r"no UNet.*take nano"):
        use.load(spec)


@pytest.fixture
def module(nano: Path) -> WithAnyone:
    """With numbers in what starts as zero."""
    torch.manual_seed(0)
    made = WithAnyone(read(nano))
    loud(made)
    return made.eval()


def loud(module: WithAnyone) -> None:
    for ipa in (module.ipa_arc, module.ipa_sig):
        for name, parameter in ipa.named_parameters():
            if name.endswith("to_out.weight"):
                torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("name", ["nano", "sd15"])
@torch.no_grad()
def test_at_scale_0_it_is_the_base(name: str, request: pytest.FixtureRequest) -> None:
    pipeline = read(request.getfixturevalue(name))
    unet = pipeline.unet
    torch.manual_seed(0)
    width, channels = unet.config.cross_attention_dim, unet.config.in_channels
    given = torch.randn(2, channels, 16, 16), torch.tensor([300.0, 700.0]), torch.randn(2, 7, width)
    plain = unet(*given, return_dict=False)[0]
    module = WithAnyone(pipeline).eval()
    loud(module)
    seen = module.tokens(torch.randn(2, 1, 128), torch.rand(2, 1, 16, 256))
    assert seen["arc"].shape == (2, 4, width) and seen["sig"].shape == (2, 20, width)
    heard = [module.weigh(s) or module(*given, **seen) for s in (0.0, 0.5, 1.0)]
    assert all(not torch.allclose(made, other, atol=1e-3) for made, other in zip(heard, [plain, *heard], strict=False))
    module.ipa_arc.scale = module.ipa_sig.scale = 0.0
    assert torch.equal(module(*given, **seen), plain)


@torch.no_grad()
def test_places_outside_the_boxes_get_exactly_nothing(module: WithAnyone) -> None:
    pixels = torch.tensor([[[8.0, 8, 96, 120], [160, 40, 250, 100]]] * 2)
    placed, seen = Boxes(pixels, (128, 256)), list[tuple[Any, Any]]()
    for ipa in (module.ipa_arc, module.ipa_sig):
        for layer in ipa.values():
            layer.register_forward_hook(lambda _, given, made: seen.append((given[1], made)))
    people = module.tokens(torch.randn(2, 2, 128), torch.rand(2, 2, 16, 256))
    module(torch.randn(2, 8, 16, 32), torch.tensor(500.0), torch.randn(2, 32, 256), **people, boxes=pixels)
    assert len(seen) == len(module.ipa_arc) + len(module.ipa_sig)
    for image, made in seen:
        inside = box_mask(placed, *grid(image.shape[1], placed.size)).any(-1)
        assert int((~inside).sum()) > 0 and (made[~inside] == 0).all() and (made[inside] != 0).any(-1).all()


def test_what_all_faces_share_is_left_out_and_is_as_nobody(nano: Path) -> None:
    module, maps = WithAnyone(read(nano)), 3 + torch.rand(200, 256, 4, 4)
    module.apart.fit(maps)
    vectors = torch.randn(1, 1, 128)
    shared = maps.mean(0).flatten(1).T[None, None]
    somebody = maps[:1].flatten(2).transpose(1, 2)[None]
    with torch.no_grad():
        mean, none, one = (module.tokens(vectors, places)["sig"] for places in (shared, 0 * shared, somebody))
    assert torch.allclose(mean, none, atol=1e-5)
    assert (one - none)[:, :16].abs().mean() > 0.1


def test_every_part_learns_and_nothing_of_the_base(nano: Path, home: Path) -> None:
    pipeline = read(nano)
    config = train.Config(nobody=0.0, below=1.0, negatives=50, schedule=train.Schedule(steps=1, batch=4))
    module: Any = teach.aligning(config, WithAnyone(pipeline))
    loud(module)
    assert not any(part in key for key in module.state_dict() for part in ("unet", "tower", "vae", "base_layer"))
    batch = train.made_up(config)
    (_, total), *parts = train.Step(config)({"withanyone": module}, batch)
    figures = {name: float(value) for name, value in parts}
    assert figures.keys() == {"diffusion", "align", "identity", "contrastive"} and all(
        value > 0 for value in figures.values()
    )
    assert float(total.detach()) == pytest.approx(
        figures["diffusion"] + 0.5 * figures["align"] + 0.05 * figures["identity"] + 0.01 * figures["contrastive"]
    )
    total.backward()
    silent = [name for name, value in module.named_parameters() if value.grad is None or not value.grad.any()]
    assert all(name.startswith("lora.") for name in silent)
    for part in (module.unet, module.text, module.vae, module.tower):
        assert all(value.grad is None for value in part.parameters())
    fewer = train.Config(**{**vars(config), "negatives": 5})
    torch.manual_seed(1)
    many = dict(train.Step(config)({"withanyone": module}, batch))["contrastive"]
    torch.manual_seed(1)
    few = dict(train.Step(fewer)({"withanyone": module}, batch | {k: batch[k][:5] for k in ("gallery", "others")}))
    assert float(few["contrastive"]) < float(many)
    with pytest.raises(InputError, match="name it by pairs"):
        train.Config(paired=True)


def test_the_reference_of_a_pair_is_another_photo_of_the_target(faces: Path, nano: Path, home: Path) -> None:
    schedule = train.Schedule(steps=1, batch=8, workers=0)
    single, _ = teach.rows(train.Config(data=str(faces), base=str(nano)))
    names = np.array([f"p{i % 3}" for i in range(len(single))])
    rows = data.joined(single, dataclasses.replace(single, persons=names))
    drawn = list[int]()
    for paired in (True, False):
        coder = teach._coder(train.Config(base=str(nano)))
        how = {"single": len(single), "paired": paired, "canvas": False, "negatives": 20}
        people = data.People(rows, schedule, *coder, **how)
        for step in range(6):
            batch, chosen = people(step, 0, 1), people.order(step)
            shown = people.reference[chosen]
            assert (chosen[:4] < len(single)).all() and (chosen[4:] >= len(single)).all()
            assert (shown != chosen).tolist() == [False] * 4 + [paired] * 4
            assert (rows.persons[shown] == rows.persons[chosen]).all()
            # What the network is shown is the reference's, what it learns from the target's.
            assert (batch["shown"][:, 0].numpy() == people.vectors[shown]).all()
            assert (batch["vectors"][:, 0].numpy() == people.vectors[chosen]).all()
            places = people.read.take(people.read_at[shown]).astype(np.float32)
            read = batch["places"][:, 0].swapaxes(1, 2).reshape(8, 256, 4, 4).numpy()
            assert all((read[i] == places[i]).all((1, 2, 3)).any() for i in range(8))
            assert (batch["people"][:, 0].numpy() == people.numbers[chosen]).all()
            assert len(batch["gallery"]) == len(batch["others"]) == 20
            drawn += chosen[4:].tolist()
    counts = {name: sum(rows.persons[row] == name for row in drawn) for name in ("p0", "p1", "p2")}
    assert set(counts.values()) == {16}  # everybody as often
    assert len(set(drawn)) <= 3 * data.MOST_PAIRS


@torch.no_grad()
def test_a_canvas_has_each_face_where_its_chip_is_cut(portraits: dict[str, Path]) -> None:
    frames = [frame_of(find_faces(portraits[name])[0]) for name in ("obama", "biden")]
    images = to_tensor(np.stack([frame.pixels for frame in frames]))
    ways = np.stack([align.between(frame.mesh, "portrait", "dlib") for frame in frames]).astype(np.float32)
    alone = VectorA()(chips(images, torch.from_numpy(ways))).vector
    tokenizer = nano_folder.tokenizer()
    one = {
        "latents": images,
        "inside": torch.ones(2, 1, 128, 128),
        "vectors": alone[:, None],
        "shown": alone[:, None],
        "places": torch.rand(2, 1, 16, 256),
        "to_chip": torch.from_numpy(ways)[:, None],
        "people": torch.arange(2)[:, None],
        "tokens": tokens(tokenizer, ["a smiling man", "a serious man, dark"]),
    }
    made = data.side_by_side(one)
    assert made["latents"].shape == (2, 3, 128, 256) and made["people"].tolist() == [[0, 1], [1, 0]]
    for side in range(2):
        seen = VectorA()(chips(made["latents"], made["to_chip"][:, side])).vector
        cosine = torch.nn.functional.cosine_similarity(seen, made["vectors"][:, side])
        assert (cosine > 0.95).all(), cosine
    assert made["boxes"][0].tolist() == [[0, 0, 128, 128], [128, 0, 256, 128]]
    said = tokenizer.convert_ids_to_tokens(made["tokens"][0].tolist())
    assert said[:11] == ["<start>", *["a", "smiling", "man", "and", "a", "serious", "man", ",", "dark"], "<end>"]
    silent = one | {"tokens": tokens(tokenizer, ["a smiling man", ""])}
    assert torch.equal(data.side_by_side(silent)["tokens"], tokens(tokenizer, ["", ""]))


def flux(width: int, heads: int, **more: Any) -> Any:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"num_layers": 1, "num_single_layers": 1, "guidance_embeds": True}
    return FluxTransformer2DModel(num_attention_heads=heads, attention_head_dim=width // heads, **sizes | more).eval()


def test_network_of_the_authors(golden: Any, tmp_path: Path) -> None:
    from diffusers.loaders import single_file_utils
    from diffusers.models.attention import FeedForward
    from diffusers.models.transformers.transformer_flux import FluxSingleTransformerBlock
    from safetensors.torch import save_file

    file = golden("withanyone_identity")
    c, given = file.config, file.given
    width, heads, f = c["hidden"], c["heads"], c["flux"]
    sizes = {"in_channels": f["in_channels"], "joint_attention_dim": f["context"], "pooled_projection_dim": f["vec"]}
    network = flux(width, heads, axes_dims_rope=tuple(f["axes_dim"]), **sizes)
    # The file's network is narrower inside its blocks than diffusers' class allows.
    ratio = f["mlp_ratio"]
    for name in ("ff", "ff_context"):
        part = FeedForward(width, width, mult=int(ratio), activation_fn="gelu-approximate")
        setattr(network.transformer_blocks[0], name, part)
    network.single_transformer_blocks[0] = FluxSingleTransformerBlock(width, heads, width // heads, ratio)
    # diffusers' own way from the authors' names, with these widths in place of FLUX.1's.
    convert = single_file_utils.convert_flux_transformer_checkpoint_to_diffusers
    numbers = tuple({3072: width, 4.0: ratio}.get(value, value) for value in convert.__code__.co_consts)
    narrow = types.FunctionType(convert.__code__.replace(co_consts=numbers), convert.__globals__)
    network.load_state_dict(narrow(file.part("flux.")))
    save_file(file.part("withanyone."), tmp_path / published.FILE)
    module = published.load(tmp_path, network.eval())

    vectors = given["arcface"].transpose(0, 1)
    patches = given["siglip_left"] @ given["siglip_right"]
    arc, sig = module.tokens(vectors, patches)
    file.check(arc, "tokens_arc")
    file.check(sig[:, c["tokens_sig_rows"]], "tokens_sig")

    def call() -> Any:
        made = network(
            given["flux.img"],
            given["flux.txt"],
            given["flux.y"],
            given["flux.timesteps"],
            given["flux.img_ids"][0],
            torch.zeros(given["flux.txt"].shape[1], 3),
            given["flux.guidance"],
        )
        return made.sample

    placed = Boxes(given["boxes"], (c["height"], c["width"]))
    before = call()
    file.check(before, "flux.without")
    for name, where, weights in (
        ("weights_0.7_0.3", placed, (0.7, 0.3)),
        ("weights_1_0", placed, (1.0, 0.0)),
        ("no_mask_1_1", None, (1.0, 1.0)),
    ):
        with module.shown(vectors, patches, where, *weights):
            file.check(call(), f"flux.{name}")
    with module.shown(vectors, patches, placed, 0.0, 0.0):
        assert torch.equal(call(), before)
    assert torch.equal(call(), before)


@pytest.fixture(scope="module")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FluxPipeline of tiny width."""
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

    def tokenizer(length: int) -> Any:
        words = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "a": 2, "man": 3}, unk_token="<pad>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        return PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>", model_max_length=length
        )

    network = flux(16, 2, in_channels=16, joint_attention_dim=20, pooled_projection_dim=12, axes_dims_rope=(2, 2, 4))
    clip = CLIPTextConfig(
        vocab_size=4, hidden_size=12, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, eos_token_id=1
    )
    t5 = T5Config(vocab_size=4, d_model=20, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    vae = AutoencoderKL(
        block_out_channels=(4,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0,
    )
    top = tmp_path_factory.mktemp("flux") / "folder"
    parts = {"vae": vae, "text_encoder": CLIPTextModel(clip), "text_encoder_2": T5EncoderModel(t5)}
    tokenizers = {"tokenizer": tokenizer(77), "tokenizer_2": tokenizer(16)}
    FluxPipeline(FlowMatchEulerDiscreteScheduler(), transformer=network, **parts, **tokenizers).save_pretrained(top)
    return top


@pytest.fixture
def authors(flux_folder: Path, tmp_path: Path) -> Path:
    """A folder in the authors' layout, for that width."""
    from safetensors.torch import save_file

    torch.manual_seed(1)
    state = dict[str, Any]()
    for name, inputs, hidden, made in (("arcface_in_arc", 512, 64, 128), ("arcface_in_sig", 512, 64, 128)):
        state |= {f"{name}.0.weight": torch.randn(hidden, inputs) / 20, f"{name}.0.bias": torch.zeros(hidden)}
        state |= {f"{name}.2.weight": torch.ones(hidden), f"{name}.2.bias": torch.zeros(hidden)}
        state |= {f"{name}.3.weight": torch.randn(made, hidden) / 8, f"{name}.3.bias": torch.zeros(made)}
    state |= {"siglip_in_sig.0.weight": torch.randn(16, 768) / 20, "siglip_in_sig.0.bias": torch.zeros(16)}
    state |= {"siglip_in_sig.2.weight": torch.ones(16), "siglip_in_sig.2.bias": torch.zeros(16)}
    state |= {"siglip_in_sig.3.weight": torch.randn(16, 16) / 4, "siglip_in_sig.3.bias": torch.zeros(16)}
    for name in ("ipa_arc", "ipa_sig"):
        for number in range(2):
            for norm in ("norm1", "norm2"):
                state[f"{name}.{number}.{norm}.weight"] = torch.ones(16)
                state[f"{name}.{number}.{norm}.bias"] = torch.zeros(16)
            state[f"{name}.{number}.to_q.weight"] = torch.randn(128, 16)
            state[f"{name}.{number}.to_kv.weight"] = torch.randn(256, 16)
            state[f"{name}.{number}.to_out.weight"] = torch.randn(16, 128)
    top = tmp_path / "authors"
    top.mkdir()
    save_file(state, top / published.FILE)
    return top


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(2)
    sizes: dict[str, int] = {"hidden_size": 768, "intermediate_size": 8, "num_hidden_layers": 1}
    made = SiglipVisionModel(SiglipVisionConfig(image_size=256, patch_size=16, num_attention_heads=2, **sizes))
    top = tmp_path_factory.mktemp("tower") / "siglip"
    made.save_pretrained(top)
    return top


def test_the_authors_layout_makes_pictures_of_up_to_four(
    flux_folder: Path,
    authors: Path,
    tower: Path,
    home: Path,
    recogniser: Callable[[int], Path],
    portraits: dict[str, Path],
) -> None:
    options: dict[str, Any] = {"system": "withanyone", "base": str(flux_folder), "published": str(authors)}
    options |= {"recogniser": str(recogniser(512)), "tower": str(tower), "steps": 2, "n": 1}
    person, beside = portraits["obama"], [portraits["biden"], portraits["obama2"], portraits["obama3"]]
    (made,) = vv.create.portrait(person, "a man", beside=beside, **options)
    assert made.pixels.shape == (512, 512, 3) and made.facts["published"] and made.facts["terms"] == "unknown"
    (other,) = vv.create.portrait(person, "a man", beside=beside[::-1], **options)
    assert (made.pixels != other.pixels).any()
    for wrong, says in (
        ({"beside": [*beside, person]}, "up to 4 people into a picture, not 5"),
        ({"boxes": "0,0,600,512"}, "512 x 512 px"),
        ({"recogniser": ""}, "--recogniser"),
        ({"tower": ""}, "--tower"),
        ({"tower": str(authors)}, "cannot be read"),
    ):
        with pytest.raises(InputError, match=says):
            vv.create.portrait(person, "a man", **options | wrong)


def test_a_file_that_is_none_is_told_what_it_lacks(flux_folder: Path, authors: Path, nano: Path) -> None:
    from safetensors.torch import load_file, save_file

    network, path = read(flux_folder).transformer, authors / published.FILE
    with pytest.raises(InputError, match=r"lacks withanyone\.safetensors"):
        published.load(flux_folder, network)
    with pytest.raises(InputError, match=r"FLUX\.1: name its folder"):
        published.load(authors, read(nano).unet)
    with pytest.raises(InputError, match="does not fit this base"):
        published.load(authors, flux(32, 2, axes_dims_rope=(4, 4, 8)))
    state = load_file(path)
    for gone in ("ipa_sig.1.to_kv.weight", "arcface_in_arc.3.weight"):
        save_file({key: value for key, value in state.items() if key != gone}, path)
        with pytest.raises(InputError, match=gone):
            published.load(authors, network)
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="does not fit this base"):
        published.load(authors, network)


def test_boxes_lie_side_by_side_and_are_read_in_order() -> None:
    assert boxes.columns(2, 256, 128).tolist() == [[0, 0, 128, 128], [128, 0, 256, 128]]
    assert boxes.asked("1,2,30,40; 5,6,70,80", 2, 128, 128).tolist() == [[1, 2, 30, 40], [5, 6, 70, 80]]
