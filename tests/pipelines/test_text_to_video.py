"""The pipeline on a tiny random model: reproducible, interruptible, and noise only from the noise prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pipelines.checkpoints import load_text_to_video, read_defaults, weight_hashes
from pipelines.errors import InvalidInput, UnsupportedFrames, WeightsDamaged, WeightsMissing
from pipelines.noise import NoisePrior
from pipelines.samplers import SAMPLERS
from pipelines.text_to_video import TextToVideoPipeline, to_denoised
from tests.tiny import save_tiny_model, tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_makes_a_video_and_the_same_one_again(pipe: TextToVideoPipeline, sampler: str) -> None:
    frames = pipe("a red ball", sampler=sampler, generator=seed(1)).frames
    assert frames.shape == (1, 16, 64, 64, 3)
    assert frames.dtype == np.float32
    assert 0 <= frames.min() < frames.max() <= 1
    assert np.array_equal(frames, pipe("a red ball", sampler=sampler, generator=seed(1)).frames)
    assert not np.allclose(frames, pipe("a red ball", sampler=sampler, generator=seed(2)).frames, atol=0.01)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_video_is_the_same_alone_and_in_a_batch(pipe: TextToVideoPipeline, sampler: str) -> None:
    both = pipe(["a red ball", "a blue star"], sampler=sampler, generator=[seed(1), seed(2)]).frames
    assert np.allclose(both[1], pipe("a blue star", sampler=sampler, generator=seed(2)).frames[0], atol=0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_less_is_made_from_a_rough_clip_the_more_it_decides(pipe: TextToVideoPipeline, sampler: str) -> None:
    options: dict[str, Any] = {"num_frames": 4, "num_inference_steps": 10, "output_type": "latent", "sampler": sampler}
    light, dark = torch.full((2, 1, 12, 4, 8, 8), 0.5) * torch.tensor([1, -1]).view(2, 1, 1, 1, 1, 1)

    def decided(strength: float) -> float:
        made = [pipe("a ball", start=rough, start_strength=strength, generator=seed(1), **options).frames for rough in (light, dark)]
        return float((made[0] - made[1]).abs().mean())

    assert decided(0.1) > 2 * decided(1.0)


def test_the_prompt_the_negative_prompt_and_guidance_matter(pipe: TextToVideoPipeline) -> None:
    def make(prompt: str, **options: Any) -> np.ndarray:
        return pipe(prompt, generator=seed(1), output_type="latent", **options).frames.numpy()

    base = make("a red ball")
    assert not np.allclose(base, make("a blue star"))
    assert not np.allclose(base, make("a red ball", negative_prompt="a blue star"))
    assert not np.allclose(base, make("a red ball", guidance_scale=5.0))


class RecordingPrior(NoisePrior):
    """Counts what is drawn from it."""

    drawn: ClassVar[list[tuple[int, ...]]] = []

    def sample(self, shape: tuple[int, ...], *args: Any, **kwargs: Any) -> torch.Tensor:
        self.drawn.append(shape)
        return super().sample(shape, *args, **kwargs)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_all_noise_comes_from_the_noise_prior(pipe: TextToVideoPipeline, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = RecordingPrior("mixed", 1.0)
    prior.drawn.clear()
    stray: list[Any] = []
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddim.randn_tensor", lambda *a, **k: stray.append(a))
    monkeypatch.setattr("diffusers.schedulers.scheduling_dpmsolver_multistep.randn_tensor", lambda *a, **k: stray.append(a))
    pipe("a red ball", sampler=sampler, noise_prior=prior, num_inference_steps=4, generator=seed(1))
    assert stray == []
    assert len(prior.drawn) == (5 if SAMPLERS[sampler].stochastic else 1)


def test_a_frozen_noise_prior_freezes_an_untrained_model() -> None:
    """With one noise map for all frames and temporal layers at the identity, all frames are the same, whatever is injected."""
    pipe = tiny_pipeline()
    for name, parameter in pipe.unet.temporal_parameters().items():
        if "temporal_" in name:
            torch.nn.init.zeros_(parameter)
        elif parameter.ndim == 3:
            torch.nn.init.dirac_(parameter)
        else:
            torch.nn.init.zeros_(parameter)
    frames = pipe("a red ball", sampler="ddpm", noise_prior=NoisePrior("mixed", float("inf")), generator=seed(3)).frames[0]
    assert np.allclose(frames, frames[:1], atol=0.02)


def test_an_interrupted_run_stops_within_one_step(pipe: TextToVideoPipeline) -> None:
    seen: list[int] = []

    def stop_at_two(pipe: TextToVideoPipeline, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> None:
        seen.append(step)
        pipe._interrupt = step == 1

    frames = pipe("a red ball", num_inference_steps=10, callback_on_step_end=stop_at_two).frames
    assert seen == [0, 1]
    assert frames.shape == (1, 16, 64, 64, 3)


def test_a_callback_can_see_which_timesteps_the_sampler_takes(pipe: TextToVideoPipeline) -> None:
    pipe("a red ball", num_inference_steps=3, num_frames=2, sampler="dpm++", generator=seed(1))
    assert pipe.timesteps is not None
    assert len(pipe.timesteps) == 3


def test_the_callback_sees_a_guess_that_ends_as_the_result(pipe: TextToVideoPipeline) -> None:
    guesses: list[torch.Tensor] = []

    def keep(pipe: TextToVideoPipeline, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> None:
        guesses.append(tensors["denoised"])

    names = ["latents", "denoised"]
    out = pipe("a red ball", generator=seed(1), output_type="latent", callback_on_step_end=keep, callback_on_step_end_tensor_inputs=names)
    assert torch.allclose(guesses[-1], out.frames, atol=1e-4)
    assert pipe.decode_latents(guesses[0]).shape == (1, 16, 64, 64, 3)


def test_a_directory_round_trip_gives_the_same_video(pipe: TextToVideoPipeline, tmp_path: Path) -> None:
    loaded = load_text_to_video(save_tiny_model(tmp_path / "model"))
    loaded.set_progress_bar_config(disable=True)
    assert loaded.defaults == read_defaults(tmp_path / "model") == pipe.defaults
    assert np.array_equal(loaded("a red ball", generator=seed(1)).frames, pipe("a red ball", generator=seed(1)).frames)
    assert set(weight_hashes(tmp_path / "model")) == {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    }


@pytest.mark.parametrize("frames", [0, 25, 2.5, True])
def test_frames_it_cannot_make_are_refused(pipe: TextToVideoPipeline, frames: Any) -> None:
    with pytest.raises(UnsupportedFrames, match="1 to 24 frames"):
        pipe("a red ball", num_frames=frames)


@pytest.mark.parametrize(
    "bad",
    [
        {"num_inference_steps": 0},
        {"height": 60},
        {"width": 0},
        {"output_type": "gif"},
        {"sampler": "euler"},
        {"latents": torch.zeros(1)},
        {"start": torch.zeros(1)},
        {"start": torch.zeros(1), "start_strength": 0},
        {"start": torch.zeros(1), "start_strength": 1.5},
        {"negative_prompt": ["a", "b"]},
    ],
)
def test_bad_settings_are_refused_in_one_sentence(pipe: TextToVideoPipeline, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        pipe("a red ball", **bad)
    assert caught.value.remedy


def test_a_missing_model_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no-such-model"):
        load_text_to_video(tmp_path / "no-such-model")


@pytest.mark.parametrize("harm", ["cut", "garbage", "gone", "index"])
def test_a_damaged_model_names_the_file(tmp_path: Path, harm: str) -> None:
    folder = save_tiny_model(tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    match harm:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-1000])
        case "garbage":
            weights.write_bytes(b"not weights")
        case "gone":
            weights.unlink()
        case "index":
            (folder / "model_index.json").write_text("{")
    with pytest.raises(WeightsMissing if harm == "gone" else WeightsDamaged, match="model_index" if harm == "index" else "unet"):
        load_text_to_video(folder)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_predictions_are_turned_into_clean_latents(pipe: TextToVideoPipeline, kind: str) -> None:
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type=kind)
    clean, noise, t = torch.randn(1, 2, 3, 4, 4), torch.randn(1, 2, 3, 4, 4), torch.tensor(300)
    a, s = scheduler.alphas_cumprod[300].sqrt(), (1 - scheduler.alphas_cumprod[300]).sqrt()
    predicted = {"epsilon": noise, "v_prediction": a * noise - s * clean, "sample": clean}[kind]
    assert torch.allclose(to_denoised(scheduler, predicted, t, a * clean + s * noise), clean, atol=1e-5)
