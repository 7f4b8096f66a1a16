"""Composition: exact on normal distributions, the adapter alone at strength zero, and the prior never without text."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

from pipelines.composition import ComposedDenoiser, normalised_sum, paper_sum
from pipelines.errors import IncompatibleModels, InvalidInput
from pipelines.inflation import VideoUNet
from pipelines.noise import NoisePrior
from pipelines.paths import Path
from pipelines.samplers import SAMPLERS
from pipelines.strengths import fading
from pipelines.text_to_video import TextToVideoPipeline
from tests.pipelines.toys import Gaussian
from tests.tiny import tiny_image_unet, tiny_pipeline

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
EPSILON = Path.of(DDIMScheduler(**SD))
V = Path.of(DDIMScheduler(**SD, prediction_type="v_prediction"))
CLEAN = Path.of(DDIMScheduler(beta_schedule="linear", prediction_type="sample"))
FLOW = Path.of(FlowMatchEulerDiscreteScheduler())
PATHS = {"epsilon": EPSILON, "v": V, "sample": CLEAN, "flow": FLOW}


# ---- the toy of two normal distributions --------------------------------------------------------------------------------------------

# gamma: (summed, normalised, summed and 10 Langevin steps a level), each mean and standard deviation, of 50 DDIM steps
TOY = {
    0.1: ((-0.815, 0.360), (-0.805, 0.510), (-0.905, 0.478)),
    0.2: ((-0.685, 0.269), (-0.656, 0.535), (-0.821, 0.470)),
    0.5: ((-0.369, 0.112), (-0.289, 0.603), (-0.592, 0.443)),
    1.0: ((-0.012, 0.024), (0.134, 0.678), (-0.293, 0.409)),
}


def sample_toy(strength: float, mode: Any, langevin_steps: int = 0, path: Path = EPSILON) -> torch.Tensor:
    """Samples of prior N(2, 1) and adapter N(-1, 0.25), composed."""
    scheduler = DDIMScheduler(**SD, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    generator = torch.Generator().manual_seed(0)
    prior, adapter = Gaussian(2, 1, path), Gaussian(-1, 0.25, EPSILON)
    denoiser = ComposedDenoiser(prior, adapter, strength, mode, adapter_path=EPSILON, prior_path=path, guided=False, clamp=math.inf)
    correct = denoiser.corrector(langevin_steps, guidance_scale=1.0, generator=generator)
    x = torch.randn(1, 20_000, generator=generator)
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(denoiser(x, t)[0], t, x).prev_sample
        x = correct(SimpleNamespace(scheduler=scheduler), i, t, {"latents": x}).get("latents", x)
    return x


@pytest.mark.parametrize("strength", TOY)
@pytest.mark.parametrize(("column", "mode", "langevin_steps"), [(0, "paper", 0), (1, "normalised", 0), (2, "paper", 10)])
def test_the_toy_table_is_reproduced(strength: float, column: int, mode: str, langevin_steps: int) -> None:
    x = sample_toy(strength, mode, langevin_steps)
    assert (float(x.mean()), float(x.std())) == pytest.approx(TOY[strength][column], abs=0.025)


def test_langevin_steps_bring_the_sum_close_to_the_product() -> None:
    """Truth: precision 1 / 0.25 + gamma / 1, mean (-4 + 2 gamma) / (4 + gamma)."""
    x = sample_toy(0.2, "paper", 10)
    assert float(x.mean()) == pytest.approx(-3.6 / 4.2, abs=0.06)
    assert float(x.std()) == pytest.approx(4.2**-0.5, abs=0.04)


@pytest.mark.parametrize("mode", ["normalised", "paper"])
@pytest.mark.parametrize("kind", ["v", "sample", "flow"])
def test_a_prior_on_any_path_is_the_same_prior(mode: str, kind: str) -> None:
    """What it predicts, on which schedule and at which scale, is its own affair."""
    assert torch.allclose(sample_toy(0.2, mode, path=PATHS[kind]), sample_toy(0.2, mode), atol=0.01)


# ---- the formulas -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1e-6, 0.5, 10.0, 1e300])
def test_the_normalised_sum_is_a_weighted_mean_for_any_strength(strength: float) -> None:
    gamma, x, y = torch.tensor(strength), torch.randn(5), torch.randn(5)
    assert torch.equal(normalised_sum(x, x, gamma), x)
    weight = strength / (1 + strength)
    assert torch.allclose(normalised_sum(x, y, gamma), (1 - weight) * x + weight * y, atol=1e-5)


def pairs(sample: torch.Tensor, a: float, s: float) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """Two guesses (x0, e) of a sample."""
    noises = torch.randn(2, *sample.shape)
    return tuple(((sample - s * noise) / a, noise) for noise in noises)


def test_the_paper_s_sum_adds_noises_and_stays_consistent() -> None:
    sample, a, s, gamma = torch.randn(1, 6), 0.6, 0.8, 0.3
    adapter, prior = pairs(sample, a, s)
    clean, noise = paper_sum(adapter, prior, torch.tensor(gamma), torch.tensor(s / a), math.inf)
    assert torch.allclose(noise, adapter[1] + gamma * prior[1])
    assert torch.allclose(a * clean + s * noise, sample, atol=1e-5)


def test_the_clamp_bounds_the_clean_guess_and_the_noise_follows() -> None:
    sample, a, s = torch.randn(1, 6), 0.07, 0.9975
    clean, noise = paper_sum(*pairs(sample, a, s), torch.tensor(1.0), torch.tensor(s / a), clamp=2.0)
    assert clean.abs().max() <= 2
    assert torch.allclose(a * clean + s * noise, sample, atol=1e-4)


def test_unless_told_the_sum_goes_no_further_than_either_model() -> None:
    """At the noisiest level of Stable Diffusion the plain sum would be 15 times gamma away."""
    adapter, prior = Gaussian(-1, 0.25, EPSILON), Gaussian(2, 1, EPSILON)
    x, last = torch.randn(1, 64), torch.tensor(999)
    angle = EPSILON.angle(last)

    def guess(clamp: float | None) -> torch.Tensor:
        denoiser = ComposedDenoiser(prior, adapter, 1.0, "paper", adapter_path=EPSILON, guided=False, clamp=clamp)
        return EPSILON.decode(denoiser(x, last)[0], x, angle)[0]

    assert guess(math.inf).abs().max() > 10
    assert guess(None).abs().max() <= EPSILON.decode(prior(x, last)[0], x, angle)[0].abs().max() + 1e-3


def test_a_flow_adapter_at_pure_noise_composes_to_finite_numbers() -> None:
    for mode in ("normalised", "paper"):
        denoiser = ComposedDenoiser(
            Gaussian(2, 1, EPSILON), Gaussian(-1, 0.25, FLOW), 0.5, mode, adapter_path=FLOW, prior_path=EPSILON, guided=False
        )
        assert denoiser(torch.randn(2, 8), torch.tensor([1000.0, 500.0]))[0].isfinite().all()


def test_the_prior_is_asked_at_its_own_timestep_of_the_same_level() -> None:
    prior, adapter = Gaussian(2, 1, EPSILON), Gaussian(-1, 0.25, FLOW)
    denoiser = ComposedDenoiser(prior, adapter, 0.5, adapter_path=FLOW, prior_path=EPSILON, guided=False)
    x, t = torch.randn(1, 8), torch.tensor(500.0)
    denoiser(x, t)
    asked = prior.heard[0]
    assert torch.isclose(EPSILON.angle(asked["timestep"]), FLOW.angle(t), atol=1e-6)
    assert torch.allclose(asked["sample"], x / math.hypot(0.5, 0.5), atol=1e-5)
    assert adapter.heard[0]["sample"] is x


# ---- branches -----------------------------------------------------------------------------------------------------------------------


def toys(strength: Any = 0.5, **options: Any) -> tuple[ComposedDenoiser, Gaussian, Gaussian]:
    prior, adapter = Gaussian(2, 1, EPSILON), Gaussian(-1, 0.25, EPSILON)
    return ComposedDenoiser(prior, adapter, strength, **options), prior, adapter


def test_of_two_halves_only_the_one_with_text_reaches_the_prior() -> None:
    denoiser, prior, adapter = toys()
    x, texts = torch.randn(1, 4), torch.tensor([[0.0], [7.0]])
    alone = Gaussian(-1, 0.25, EPSILON)(torch.cat([x, x]), 500)[0]
    composed = denoiser(torch.cat([x, x]), 500, encoder_hidden_states=texts)[0]
    assert torch.equal(composed[0], alone[0])
    assert not torch.allclose(composed[1], alone[1])
    assert torch.equal(prior.heard[0]["text"], texts[1:])
    assert (adapter.evaluations, prior.evaluations) == (2, 1)


def test_of_two_calls_only_the_one_with_text_reaches_the_prior() -> None:
    denoiser, prior, _ = toys()
    x = torch.randn(1, 4)
    with denoiser.cache_context("uncond"):
        assert torch.equal(denoiser(x, 500)[0], Gaussian(-1, 0.25, EPSILON)(x, 500)[0])
    assert not prior.heard
    with denoiser.cache_context("cond"):
        denoiser(x, 500)
    assert prior.evaluations == 1


@pytest.mark.parametrize("batch", [torch.randn(1, 4), torch.randn(3, 4), torch.randn(2, 4)], ids=["one", "three", "two clips"])
def test_a_batch_without_halves_is_refused(batch: torch.Tensor) -> None:
    denoiser, prior, _ = toys()
    with pytest.raises(IncompatibleModels, match=f"batch of {len(batch)}"):
        denoiser(batch, 500)
    assert not prior.heard


def test_the_prior_may_read_a_text_embedding_of_its_own() -> None:
    own = torch.full((1, 5), 3.0)
    denoiser, prior, adapter = toys([0.5, 0.0, 0.5], prior_inputs={"encoder_hidden_states": own}, guided=False)
    denoiser(torch.randn(3, 4), 500, encoder_hidden_states=torch.randn(3, 2))
    assert torch.equal(prior.heard[0]["text"], own.expand(2, 5))
    assert adapter.heard[0]["text"].shape == (3, 2)


# ---- strengths ----------------------------------------------------------------------------------------------------------------------


def test_clips_of_strength_zero_never_reach_the_prior_and_are_the_adapter_s_bit_for_bit() -> None:
    denoiser, prior, _ = toys([0.0, 0.5, 0.0], guided=False)
    x = torch.randn(3, 4)
    composed, alone = denoiser(x, 500)[0], Gaussian(-1, 0.25, EPSILON)(x, 500)[0]
    assert torch.equal(composed[[0, 2]], alone[[0, 2]])
    assert torch.equal(prior.heard[0]["sample"], x[1:2])


def test_a_strength_that_depends_on_the_noise_is_asked_with_its_share() -> None:
    denoiser, prior, _ = toys(fading, adapter_path=EPSILON, guided=False)
    denoiser(torch.randn(1, 4), torch.tensor(10))
    assert not prior.heard
    denoiser(torch.randn(1, 4), torch.tensor(990))
    assert prior.evaluations == 1


def test_a_batch_may_be_at_several_levels_at_once() -> None:
    denoiser, prior, _ = toys(fading, adapter_path=EPSILON, guided=False)
    x = torch.randn(2, 4)
    denoiser(x, torch.tensor([10, 990]))
    assert torch.equal(prior.heard[0]["sample"], x[1:])


def test_a_schedule_that_answers_nonsense_is_refused() -> None:
    denoiser, _, _ = toys(lambda share: -share, adapter_path=EPSILON, guided=False)
    with pytest.raises(InvalidInput, match="prior strength is -0"):
        denoiser(torch.randn(1, 4), 500)


def test_as_many_strengths_as_clips_are_needed() -> None:
    denoiser, _, _ = toys([0.1, 0.2, 0.3], guided=False)
    with pytest.raises(InvalidInput, match="3 prior strengths were given for 2 clips"):
        denoiser(torch.randn(2, 4), 500)


@pytest.mark.parametrize(
    "bad",
    [
        {"strength": -1.0},
        {"strength": math.nan},
        {"strength": math.inf},
        {"mode": "sum"},
        {"clamp": 0.0},
        {"clamp": math.nan},
        {"mode": "paper"},
        {"strength": fading},
        {"prior_path": FLOW},
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_remedy(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        toys(**bad)
    assert caught.value.remedy


def test_networks_of_other_channels_are_refused() -> None:
    with pytest.raises(IncompatibleModels, match="12 channels and the adapter 4"):
        ComposedDenoiser(tiny_image_unet(channels=12), tiny_image_unet(channels=4), 0.5)


def test_a_prior_with_another_latent_shape_is_refused() -> None:
    class Other(Gaussian):
        def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> tuple[torch.Tensor]:
            return (super().forward(sample, timestep)[0][:, :2],)

    denoiser = ComposedDenoiser(Other(0, 1, EPSILON), Gaussian(0, 1, EPSILON), 0.5, guided=False)
    with pytest.raises(IncompatibleModels, match=r"predicts \(1, 2\) where the adapter predicts \(1, 4\)"):
        denoiser(torch.randn(1, 4), 500)


def test_a_network_that_predicts_picture_and_sound_is_refused() -> None:
    class Two(Gaussian):
        def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return super().forward(sample, timestep) * 2

    with pytest.raises(IncompatibleModels, match="2 things at once"):
        ComposedDenoiser(Two(0, 1, EPSILON), Two(0, 1, EPSILON), 0.5, guided=False)(torch.randn(1, 4), 500)


def test_a_network_that_does_not_name_its_arguments_is_refused() -> None:
    with pytest.raises(IncompatibleModels, match="Identity does not name the arguments"):
        ComposedDenoiser(torch.nn.Identity(), torch.nn.Identity(), 0.5)


# ---- in the project's own pipeline --------------------------------------------------------------------------------------------------


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def other_unet(unet: VideoUNet, std: float = 0.02) -> VideoUNet:
    """A network of the same shape with other weights."""
    torch.manual_seed(1)
    other = VideoUNet.from_config(unet.config).eval()
    other.load_state_dict({name: value + std * torch.randn_like(value) for name, value in unet.state_dict().items()})
    return other


@pytest.fixture(scope="module")
def networks() -> tuple[VideoUNet, VideoUNet]:
    """(prior, adapter)."""
    adapter = tiny_pipeline().unet
    return other_unet(adapter), adapter


def make(denoiser: Any, prompt: str | list[str] = "a red ball", **options: Any) -> torch.Tensor:
    pipe = tiny_pipeline()
    pipe.unet = denoiser
    common = {"num_inference_steps": 3, "num_frames": 4, "output_type": "latent", "generator": seed(1)}
    return pipe(prompt, **{**common, **options}).frames


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_strength_zero_is_the_adapter_alone_bit_for_bit(networks: tuple[VideoUNet, VideoUNet], scale: float) -> None:
    calls: list[Any] = []
    handle = networks[0].register_forward_pre_hook(lambda *call: calls.append(call))
    composed = make(ComposedDenoiser(*networks, 0.0, guided=scale > 1), guidance_scale=scale)
    handle.remove()
    assert torch.equal(composed, make(networks[1], guidance_scale=scale))
    assert not calls


def test_guidance_makes_three_evaluations_a_step(networks: tuple[VideoUNet, VideoUNet]) -> None:
    clips: dict[str, list[int]] = {"prior": [], "adapter": []}
    handles = [
        network.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: clips[name].append(len(args[0] if args else kwargs["sample"])), with_kwargs=True
        )
        for name, network in zip(clips, networks, strict=True)
    ]
    make(ComposedDenoiser(*networks, 0.5))
    for handle in handles:
        handle.remove()
    assert clips == {"prior": [1, 1, 1], "adapter": [2, 2, 2]}


def test_the_order_of_strengths_changes_none_of_them(networks: tuple[VideoUNet, VideoUNet]) -> None:
    strengths, prompts = [0.0, 0.3, 2.0], ["a red ball", "a blue star", "a green box"]

    def several(order: list[int]) -> torch.Tensor:
        denoiser = ComposedDenoiser(*networks, [strengths[i] for i in order])
        return make(denoiser, [prompts[i] for i in order], generator=[seed(i) for i in order])

    assert torch.allclose(several([0, 1, 2])[[2, 0, 1]], several([2, 0, 1]), atol=1e-4)


def test_a_clip_of_one_strength_is_the_same_alone_and_among_others(networks: tuple[VideoUNet, VideoUNet]) -> None:
    among = make(ComposedDenoiser(*networks, [0.3, 2.0]), ["a red ball"] * 2, generator=[seed(1), seed(1)])
    assert torch.allclose(among[1:], make(ComposedDenoiser(*networks, 2.0)), atol=0.02)


def test_the_strength_moves_from_the_adapter_to_the_prior(networks: tuple[VideoUNet, VideoUNet]) -> None:
    """Without guidance an endless strength is the prior."""
    prior = make(networks[0], guidance_scale=1.0)
    distances = [
        float((make(ComposedDenoiser(*networks, gamma, guided=False), guidance_scale=1.0) - prior).norm()) for gamma in (0.0, 0.5, 2.0, 1e6)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("mode", ["normalised", "paper"])
def test_every_sampler_runs_with_langevin_steps_and_noise_of_the_noise_prior(
    networks: tuple[VideoUNet, VideoUNet], sampler: str, mode: Any
) -> None:
    denoiser = ComposedDenoiser(*networks, fading, mode, adapter_path=Path.of(tiny_pipeline().scheduler))
    correct = denoiser.corrector(1, guidance_scale=2.5, noise=NoisePrior("mixed", 1.0).sample, generator=seed(2))
    assert make(denoiser, sampler=sampler, callback_on_step_end=correct).isfinite().all()


def test_two_pipelines_are_composed_by_their_own_schedules() -> None:
    flow = tiny_pipeline()
    flow.scheduler = FlowMatchEulerDiscreteScheduler()
    adapter = tiny_pipeline()
    flow.vae.load_state_dict(adapter.vae.state_dict())
    denoiser = ComposedDenoiser.of_pipelines(flow, adapter, 0.5)
    assert (denoiser.prior_path, denoiser.adapter_path) == (FLOW, Path.of(adapter.scheduler))
    assert make(denoiser).isfinite().all()


def test_pipelines_of_other_latent_spaces_are_refused_before_anything_runs() -> None:
    other = tiny_pipeline()
    other.vae.fit(torch.rand(1, 3, 32, 32))
    with pytest.raises(IncompatibleModels, match="PatchAutoencoder"):
        ComposedDenoiser.of_pipelines(other, tiny_pipeline(), 0.5)


def test_what_is_asked_of_the_composition_is_answered_by_the_adapter(networks: tuple[VideoUNet, VideoUNet]) -> None:
    denoiser = ComposedDenoiser(*networks, 0.5)
    assert denoiser.config is networks[1].config
    assert (denoiser.dtype, denoiser.device) == (torch.float32, torch.device("cpu"))
    assert denoiser.frame_context is networks[1].frame_context
    with pytest.raises(AttributeError, match="no_such_thing"):
        denoiser.no_such_thing  # noqa: B018


def test_answers_come_in_the_form_that_was_asked_for(networks: tuple[VideoUNet, VideoUNet]) -> None:
    pipe: TextToVideoPipeline = tiny_pipeline()
    text = pipe._encode(["a red ball"], None, guided=True, device=torch.device("cpu"))
    denoiser, x = ComposedDenoiser(*networks, 0.5), torch.randn(1, 12, 4, 8, 8).repeat(2, 1, 1, 1, 1)
    with torch.no_grad():
        told = denoiser(x, 500, **text)
        assert torch.equal(told.sample, denoiser(x, 500, **text, return_dict=False)[0])


def test_a_prior_in_half_precision_gets_what_it_can_take(networks: tuple[VideoUNet, VideoUNet]) -> None:
    half = other_unet(networks[1]).to(torch.bfloat16)
    whole = make(ComposedDenoiser(*networks, 0.5))
    assert torch.allclose(make(ComposedDenoiser(half, networks[1], 0.5)), whole, atol=0.2)


def test_an_image_network_with_the_same_call_can_be_composed_too() -> None:
    prior, adapter = tiny_image_unet(), tiny_image_unet()
    assert isinstance(adapter, UNet2DConditionModel)
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 3, 32)
    with torch.no_grad():
        assert torch.allclose(ComposedDenoiser(prior, adapter, 0.5, guided=False)(x, 5, text).sample, adapter(x, 5, text).sample, atol=1e-5)
