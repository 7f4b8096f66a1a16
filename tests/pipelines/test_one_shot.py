"""Tune-A-Video: exactly its parameters learn, the model itself is never changed, and the inverted noise brings the clip back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention import BasicTransformerBlock

from pipelines.errors import InvalidInput
from pipelines.inflation import VideoUNet
from pipelines.noise import NoisePrior
from pipelines.one_shot import (
    OneShotTuner,
    Tuned,
    TunedUNet,
    TuningSettings,
    blended_noise,
    default_settings,
    edit,
    encode_clip,
    invert,
    laid_over,
    trainable_parameters,
)
from pipelines.sparse_causal import SparseCausalAttnProcessor
from pipelines.text_to_video import TextToVideoPipeline
from tests.pipelines.tune_a_video import tune_a_video
from tests.tiny import tiny_image_unet, tiny_pipeline

STABLE_DIFFUSION_1 = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280),
}
STABLE_DIFFUSION_SCHEDULER = DDIMScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, set_alpha_to_one=False, clip_sample=False
)


@pytest.fixture
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


@pytest.fixture
def clip() -> np.ndarray:
    """A bright square that moves over grey, uint8 (6, 64, 64, 3)."""
    frames = np.full((6, 64, 64, 3), 90, np.uint8)
    for i, frame in enumerate(frames):
        frame[24:40, 8 * i : 8 * i + 16] = (230, 60, 40)
    return frames


def weights(pipe: TextToVideoPipeline) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in pipe.unet.state_dict().items()}


def seeded_noise(pipe: TextToVideoPipeline, latents: torch.Tensor) -> torch.Tensor:
    """What brings a clip to the first level of its inversion."""
    return pipe.defaults.noise_prior.sample(tuple(latents.shape), torch.Generator().manual_seed(0), latents.device)


def tuner(pipe: TextToVideoPipeline, clip: np.ndarray, **settings: object) -> OneShotTuner:
    return OneShotTuner(pipe, clip, "a red square moving right", TuningSettings(**{"steps": 6, "learning_rate": 1e-3, **settings}))


def test_on_stable_diffusion_1_the_trained_parameters_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        unet = VideoUNet(temporal_conv=False, frame_position=False, sparse_causal=True, **STABLE_DIFFUSION_1)
    sizes = {name: parameter.numel() for name, parameter in trainable_parameters(unet).items()}
    temporal = sum(size for name, size in sizes.items() if "temporal" in name)
    assert (sum(sizes.values()) - temporal) / 1e6 == pytest.approx(24.7808, abs=1e-4)
    assert temporal / 1e6 == pytest.approx(49.5741, abs=1e-4)
    assert sum(name.endswith("temporal_attention.attention.to_q.weight") for name in sizes) == 16


@pytest.mark.parametrize("linear", [False, True], ids=["sd1", "sd2"])
@torch.no_grad()
def test_the_network_computes_what_tune_a_video_computes(linear: bool) -> None:
    unet = VideoUNet.from_image_unet(tiny_image_unet(linear), temporal_conv=False, frame_position=False, sparse_causal=True)
    torch.manual_seed(1)
    for parameter in unet.temporal_parameters().values():
        torch.nn.init.normal_(parameter, std=0.2)  # biases too: the authors' output bias is not zero
    x = (torch.randn(2, 4, 5, 8, 8), torch.tensor([10, 500]), torch.randn(2, 7, 32))
    assert torch.allclose(unet(*x).sample, tune_a_video(unet, *x), atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"rank": 2}, {"sparse_causal": False, "everything": True}, {"most_weight": 50.0}])
def test_tuning_learns_the_clip_and_leaves_the_model_as_it_was(pipe: TextToVideoPipeline, clip: np.ndarray, settings: dict) -> None:
    before = weights(pipe)
    tuning = tuner(pipe, clip[:3], steps=20, learning_rate=3e-3, **settings)
    losses = [step.loss for step in tuning]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.unet.state_dict().items())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in tuning.tuned().tensors.items())


def test_gradient_checkpointing_changes_no_step_and_is_gone_afterwards(pipe: TextToVideoPipeline, clip: np.ndarray) -> None:
    saved, plain = (tuner(pipe, clip, steps=2, gradient_checkpointing=on) for on in (True, False))
    assert [step.loss for step in saved] == pytest.approx([step.loss for step in plain], rel=1e-3)
    assert not pipe.unet.is_gradient_checkpointing


def test_nothing_is_learned_or_kept_of_what_stays_as_it_is(pipe: TextToVideoPipeline, clip: np.ndarray) -> None:
    list(OneShotTuner(pipe, clip, "a red square", TuningSettings(steps=1)))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in pipe.unet.parameters())


def test_under_other_tensors_compiled_blocks_run_as_they_are_written(pipe: TextToVideoPipeline) -> None:
    block = next(module for module in pipe.unet.modules() if isinstance(module, BasicTransformerBlock))
    block._compiled_call_impl = compiled = object()
    with laid_over(pipe.unet, {}, False):
        assert block._compiled_call_impl is None
    assert block._compiled_call_impl is compiled


def test_at_first_low_rank_tuning_is_the_model_itself(pipe: TextToVideoPipeline, clip: np.ndarray) -> None:
    tensors = tuner(pipe, clip, rank=4).tuned().tensors
    assert all(torch.equal(tensor, pipe.unet.state_dict()[name]) for name, tensor in tensors.items())


def test_a_tuning_that_was_left_goes_on_as_if_it_had_not(pipe: TextToVideoPipeline, clip: np.ndarray) -> None:
    whole, first = tuner(pipe, clip), tuner(pipe, clip)
    list(whole)
    list(itertools.islice(first, 3))
    second = tuner(pipe, clip)
    second.load_state_dict(first.state_dict())
    assert [step.index for step in second] == [4, 5, 6]
    assert all(torch.equal(tensor, second.tuned().tensors[name]) for name, tensor in whole.tuned().tensors.items())


def test_what_was_laid_over_a_network_is_gone_afterwards_even_after_an_error(pipe: TextToVideoPipeline) -> None:
    name, parameter = next(iter(trainable_parameters(pipe.unet).items()))
    during = []

    def look_and_fail() -> None:
        with laid_over(pipe.unet, {name: torch.zeros_like(parameter)}, sparse_causal=True):
            processors = pipe.unet.attn_processors.values()
            during.append((pipe.unet.state_dict()[name].any(), any(isinstance(p, SparseCausalAttnProcessor) for p in processors)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look_and_fail()
    assert during == [(False, True)]
    assert pipe.unet.get_parameter(name) is parameter
    assert not any(isinstance(p, SparseCausalAttnProcessor) for p in pipe.unet.attn_processors.values())


@torch.no_grad()
def test_sparse_causal_tuning_computes_what_a_sparse_causal_network_computes(pipe: TextToVideoPipeline) -> None:
    config = {name: value for name, value in pipe.unet.config.items() if not name.startswith("_")}
    other = VideoUNet(**{**config, "sparse_causal": True}).eval()
    other.load_state_dict(pipe.unet.state_dict())
    x = {"sample": torch.randn(1, 12, 4, 8, 8), "timestep": torch.tensor([500]), "encoder_hidden_states": torch.randn(1, 24, 32)}
    x |= {"class_labels": torch.randn(1, 32), "fps": 8.0}
    assert torch.equal(TunedUNet(pipe.unet, Tuned({}))(**x).sample, other(**x).sample)


@pytest.mark.parametrize("start", [None, NoisePrior("independent")])
def test_the_inverted_noise_brings_the_clip_back(clip: np.ndarray, start: NoisePrior | None) -> None:
    pipe = tiny_pipeline(STABLE_DIFFUSION_SCHEDULER)
    latents = encode_clip(pipe, clip[:3])
    noise = invert(pipe, Tuned({}, sparse_causal=False), latents, steps=100, start=start)
    back = edit(pipe, Tuned({}, sparse_causal=False), "", noise, num_inference_steps=100, guidance_scale=1.0, output_type="latent")
    error = (torch.as_tensor(back) - latents[0]).square().mean().sqrt() / latents.std()
    assert error < 0.3  # other noise gives another clip: more than 1


def test_a_network_that_predicts_x0_is_inverted_from_its_own_noise_unless_told_otherwise(clip: np.ndarray) -> None:
    pipe = tiny_pipeline()
    latents, tuned = encode_clip(pipe, clip), Tuned({})
    own = invert(pipe, tuned, latents, steps=3)
    assert torch.equal(own, invert(pipe, tuned, latents, steps=3, start=pipe.defaults.noise_prior))
    assert not torch.equal(own, invert(pipe, tuned, latents, steps=3, start=NoisePrior("independent")))


def test_refinements_bring_the_inversion_nearer_to_the_exact_inverse(clip: np.ndarray) -> None:
    pipe, tuned = tiny_pipeline(), Tuned({}, sparse_causal=False)
    latents, calls = encode_clip(pipe, clip), {"num_inference_steps": 10, "guidance_scale": 1.0, "output_type": "latent"}

    def lost(refinements: int) -> float:
        """Distance of what comes back from what would if the sampler came exactly to where the inversion started."""
        begun = pipe.scheduler.add_noise(latents, seeded_noise(pipe, latents), torch.tensor([99]))
        with torch.no_grad():
            text = pipe._encode([""], None, guided=False, device=latents.device)
            exact = pipe.unet(begun, torch.tensor(99), **text, fps=8.0).sample
        back = edit(pipe, tuned, "", invert(pipe, tuned, latents, steps=10, refinements=refinements), **calls)
        return float((torch.as_tensor(back) - exact[0]).square().mean())

    assert lost(3) < 0.5 * lost(0)


def test_the_papers_settings_are_those_of_models_that_predict_noise() -> None:
    assert default_settings(tiny_pipeline(STABLE_DIFFUSION_SCHEDULER)) == TuningSettings()
    small = default_settings(tiny_pipeline())
    assert small.steps < 500
    assert small.noise_prior == NoisePrior("progressive", 2.0)


def test_the_untuned_base_pulls_an_edit_away_from_the_source(pipe: TextToVideoPipeline, clip: np.ndarray) -> None:
    tuned = Tuned({name: 3 * parameter.detach() for name, parameter in trainable_parameters(pipe.unet).items()}, sparse_causal=False)
    noise = pipe.defaults.noise_prior.sample((1, 12, 6, 8, 8), torch.Generator().manual_seed(0), torch.device("cpu"))
    made = [edit(pipe, tuned, "a star", noise, base, guidance_scale=1.0, output_type="latent") for base in (0.0, 0.5, 2.0)]
    base = edit(pipe, Tuned({}, sparse_causal=False), "a star", noise, guidance_scale=1.0, output_type="latent")
    near, between, far = (np.abs(frames - base).mean() for frames in made)
    assert near > between > far > 0


def test_blended_noise_keeps_its_variance_and_both_ends() -> None:
    inverted, prior = torch.randn(1, 4, 6, 16, 16), NoisePrior("independent")
    assert torch.equal(blended_noise(inverted, 1.0, prior), inverted)
    assert blended_noise(inverted, 0.5, prior).std().item() == pytest.approx(1.0, abs=0.03)
    nothing = blended_noise(inverted, 0.0, prior, torch.Generator().manual_seed(1))
    assert torch.equal(nothing, prior.sample(tuple(inverted.shape), torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda pipe, clip: tuner(pipe, clip[:1]), "1 frame"),
        (lambda pipe, clip: OneShotTuner(pipe, clip, "  "), "caption is empty"),
        (lambda pipe, clip: OneShotTuner(pipe, [clip, clip[:4]], "a square"), "one size and length"),
        (lambda pipe, clip: OneShotTuner(pipe, [clip], ["a", "b"]), "2 captions"),
        (lambda pipe, clip: TuningSettings(learning_rate=0.0), "learning rate is 0.0"),
        (lambda pipe, clip: TuningSettings(steps=0), "steps is 0"),
        (lambda pipe, clip: TuningSettings(most_weight=0.5), "largest weight is 0.5"),
        (lambda pipe, clip: invert(pipe, Tuned({}), torch.zeros(1, 12, 2, 8, 8), refinements=-1), "refinements is -1"),
        (lambda pipe, clip: blended_noise(torch.zeros(1, 1, 2, 1, 1), 1.5, NoisePrior()), "1.5"),
        (lambda pipe, clip: TunedUNet(pipe.unet, Tuned({"no.such": torch.zeros(1)}))(torch.zeros(1, 12, 2, 8, 8), 1, None), "no.such"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_a_sentence(
    pipe: TextToVideoPipeline, clip: np.ndarray, wrong: Callable[[TextToVideoPipeline, np.ndarray], object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        wrong(pipe, clip)
