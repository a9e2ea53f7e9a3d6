"""The sampler against diffusers' own pipeline, and against what it promises of seeds, levels and guidance."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import (  # noqa: E402
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
)

from visavis.bases.nano.folder import SCHEDULER, tokenizer  # noqa: E402
from visavis.blocks.diffusion.sample import generators, guided, noise, sample, to_images, to_latents  # noqa: E402
from visavis.blocks.diffusion.schedule import Schedule  # noqa: E402

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
SCHEDULERS = {
    "flow": lambda: DPMSolverMultistepScheduler(**SCHEDULER),
    "ddim": lambda: DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=False),
    "dpm": lambda: DPMSolverMultistepScheduler(**SD),
    "euler": lambda: EulerDiscreteScheduler(**SD),
    "pndm": lambda: PNDMScheduler(**SD, skip_prk_steps=True, set_alpha_to_one=False),
    "v": lambda: DDIMScheduler(**SD, prediction_type="v_prediction", clip_sample=False),
}


@pytest.fixture(params=sorted(SCHEDULERS))
def scheduler(request: pytest.FixtureRequest) -> Any:
    return SCHEDULERS[request.param]()


@pytest.fixture
def text() -> Any:
    torch.manual_seed(3)
    return torch.randn(2, 7, 24)


@pytest.fixture
def vae() -> Any:
    torch.manual_seed(2)
    return AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=8, scaling_factor=0.5, shift_factor=0.1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).eval()  # fmt: skip


def network_of(unet: Any) -> Any:
    return lambda noisy, time, text: unet(noisy, time, text, return_dict=False)[0]


def points_at(wanted: Any, plan: Schedule) -> Any:
    """A network that has found x0."""

    def network(noisy: Any, time: Any) -> Any:
        at = int((plan.times == time[0]).nonzero()[0])
        return plan.predicted(at, noisy, wanted.expand_as(noisy))

    return network


def test_it_is_the_stock_pipeline(nano: Any, vae: Any, scheduler: Any, text: Any) -> None:
    start = noise(generators([5, 6]), (8, 16, 16))
    stock = StableDiffusionPipeline(vae, None, tokenizer(), nano, scheduler, None, None, requires_safety_checker=False)
    stock.set_progress_bar_config(disable=True)
    given = {"prompt_embeds": text, "negative_prompt_embeds": text.flip(1), "latents": start, "output_type": "latent"}
    wanted = stock(num_inference_steps=4, guidance_scale=3.0, height=128, width=128, **given).images
    ladder = [{"text": text.flip(1)}, {"text": text}]
    made = sample(network_of(nano), scheduler, start, ladder, [3.0], steps=4)
    assert torch.allclose(made, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_a_picture_follows_from_its_seed_alone(nano: Any, text: Any) -> None:
    """With a scheduler that draws at every step."""
    scheduler = DDPMScheduler(**SD)

    def made(seeds: list[int], said: Any) -> Any:
        each = generators(seeds)
        return sample(network_of(nano), scheduler, noise(each, (8, 16, 16)), [{"text": said}], steps=3, each=each)

    both = made([7, 8], text)
    assert torch.allclose(both[1:], made([8], text[1:]), atol=1e-4)
    assert not torch.allclose(both[:1], made([9], text[:1]), atol=1e-2)


def test_every_kind_ends_at_the_x0_that_it_is_shown(scheduler: Any) -> None:
    wanted = torch.randn(1, 8, 4, 4)
    plan = Schedule.of(scheduler, 8)
    shown: list[Any] = []
    made = sample(
        points_at(wanted, plan),
        scheduler,
        torch.randn(1, 8, 4, 4),
        [{}],
        steps=8,
        on_clean=lambda _, x: shown.append(x),
    )
    assert all(torch.allclose(x, wanted, atol=1e-2) for x in shown)
    assert torch.allclose(made, wanted, atol=0.15)


def test_a_hook_moves_the_estimate(scheduler: Any) -> None:
    plan, other = Schedule.of(scheduler, 8), torch.randn(1, 8, 4, 4)
    network = points_at(torch.zeros(1, 8, 4, 4), plan)
    made = sample(network, scheduler, torch.randn(1, 8, 4, 4), [{}], steps=8, on_clean=lambda _, x: other)
    assert torch.allclose(made, other, atol=0.15)


def test_a_run_from_the_middle_does_the_rest_of_the_steps(scheduler: Any) -> None:
    clean, plan = torch.randn(1, 8, 4, 4), Schedule.of(scheduler, 20)
    start = plan.noised(clean, torch.randn(1, 8, 4, 4), 0.4)
    done: list[tuple[int, int]] = []
    shown: list[Any] = []
    made = sample(
        points_at(clean, plan), scheduler, start, [{}], steps=20, level=0.4,
        on_step=lambda *step: done.append(step), on_clean=lambda _, x: shown.append(x),
    )  # fmt: skip
    first = plan.entry(0.4)
    assert 0 < first < 20 and done[-1] == (len(plan.times) - first,) * 2
    assert torch.allclose(shown[0], clean, atol=1e-3) and torch.allclose(made, clean, atol=0.15)


def test_levels_are_those_of_the_objective() -> None:
    plan = Schedule.of(SCHEDULERS["flow"](), 20)
    assert plan.entry(1.0) == 0 and float(plan.spread[0]) == pytest.approx(1, abs=2e-3)
    assert float(plan.spread[plan.entry(0.5)]) == pytest.approx(0.5, abs=0.03)
    ddim = Schedule.of(SCHEDULERS["ddim"](), 50)
    at = ddim.entry(0.5)
    assert float(ddim.signal[at]) == pytest.approx(float(ddim.spread[at]), abs=0.03)
    assert torch.allclose(ddim.signal**2 + ddim.spread**2, torch.ones(51), atol=1e-6)


def test_ladder_of_text_and_identity() -> None:
    seen: list[int] = []

    def network(noisy: Any, time: Any, told: Any) -> Any:
        seen.append(len(noisy))
        return told

    nothing, text, both = (torch.full((2, 1), value) for value in (1.0, 3.0, 7.0))
    noisy, time = torch.zeros(2, 1), torch.tensor(5)
    ladder = [{"told": x} for x in (nothing, text, both)]
    assert guided(network, noisy, time, ladder, (2.0, 1.5)).tolist() == [[1 + 2 * 2 + 1.5 * 4]] * 2
    assert guided(network, noisy, time, ladder, (2.0, 2.0)).tolist() == [[1 + 2 * 6]] * 2
    assert guided(network, noisy, time, ladder, (1.0, 1.0)).tolist() == [[7]] * 2
    assert guided(network, noisy, time, ladder[:1], ()).tolist() == [[1]] * 2
    assert seen == [6, 4, 2, 2]
    with pytest.raises(ValueError, match="3 conditions take 2 numbers"):
        guided(network, noisy, time, ladder, (1.0,))


def test_the_scheduler_stays_as_it_is_and_a_callback_may_stop(nano: Any, scheduler: Any, text: Any) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    assert scheduler.num_inference_steps is None
    with pytest.raises(KeyboardInterrupt):
        sample(network_of(nano), scheduler, torch.randn(2, 8, 16, 16), [{"text": text}], steps=3, on_step=stop)
    assert scheduler.num_inference_steps is None


def test_images_and_latents_in_a_pipeline_s_units(vae: Any) -> None:
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    latents = to_latents(vae, images)
    plain = vae.encode(images).latent_dist.mode()
    assert torch.allclose(latents, (plain - 0.1) * 0.5)
    assert torch.allclose(to_images(vae, latents), vae.decode(plain).sample, atol=1e-5)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="A level lies"):
        Schedule.of(SCHEDULERS["ddim"](), 5).entry(0)
    from diffusers import FlowMatchEulerDiscreteScheduler

    with pytest.raises(ValueError, match="predicts None; known are flow_prediction"):
        Schedule.of(FlowMatchEulerDiscreteScheduler(), 5)
