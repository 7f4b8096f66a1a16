"""What users of diffusers take for granted of any pipeline holds for ours: saving, moving, sharing, batches, callbacks, offloading."""

from __future__ import annotations

import inspect
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from safetensors import safe_open
from torch import nn

from pipelines.errors import InvalidInput
from pipelines.text_to_video import TextToVideoPipeline
from tests.tiny import tiny_pipeline

ORDER: dict[str, Any] = {"num_frames": 3, "num_inference_steps": 2, "guidance_scale": 2.0, "sampler": "ddim"}
CLOSE = 0.03  # a CPU with bfloat16 units computes in them


@pytest.fixture
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """What the tiny pipeline makes of the order, with seed 0."""
    return make(tiny_pipeline())


def make(pipe: TextToVideoPipeline, prompt: Any = "a red ball", seeds: tuple[int, ...] = (0,), **options: Any) -> Any:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipe(prompt, **{**ORDER, "generator": generators if len(seeds) > 1 else generators[0], **options}).frames


def quiet(pipe: TextToVideoPipeline) -> TextToVideoPipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def networks(pipe: TextToVideoPipeline) -> list[nn.Module]:
    return [part for part in pipe.components.values() if isinstance(part, nn.Module)]


# -- saving and loading ---------------------------------------------------------------------------------------------------


def test_saved_in_shards_and_under_a_variant_it_comes_back_the_same(pipe: TextToVideoPipeline, frames: np.ndarray, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path, max_shard_size="200KB", variant="fp16")
    assert len(list((tmp_path / "unet").glob("*.fp16-*.safetensors"))) > 1
    again = quiet(TextToVideoPipeline.from_pretrained(str(tmp_path), variant="fp16"))
    assert np.array_equal(make(again), frames)
    with pytest.raises((OSError, ValueError)):
        TextToVideoPipeline.from_pretrained(str(tmp_path), variant="bf16")


def test_saved_in_half_precision_it_is_loaded_in_full_or_as_asked(pipe: TextToVideoPipeline, tmp_path: Path) -> None:
    for network in networks(pipe):
        nn.Module.to(network, torch.float16)
    pipe.save_pretrained(tmp_path)
    with safe_open(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", "pt") as tensors:
        assert tensors.get_tensor("conv_in.weight").dtype == torch.float16
    assert {network.dtype for network in networks(TextToVideoPipeline.from_pretrained(str(tmp_path)))} == {torch.float32}
    halved = TextToVideoPipeline.from_pretrained(str(tmp_path), dtype=torch.bfloat16)
    assert {network.dtype for network in networks(halved)} == {torch.bfloat16}


def test_a_part_that_is_given_is_not_loaded(pipe: TextToVideoPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    assert TextToVideoPipeline.from_pretrained(str(tmp_path), unet=pipe.unet).unet is pipe.unet


def test_its_own_settings_survive_saving_sharing_and_from_pipe(pipe: TextToVideoPipeline, frames: np.ndarray, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    saved = TextToVideoPipeline.from_pretrained(str(tmp_path))
    shared = TextToVideoPipeline.from_pipe(pipe)
    assert saved.defaults == shared.defaults == pipe.defaults
    assert all(shared.components[name] is part for name, part in pipe.components.items())
    assert np.array_equal(make(quiet(shared)), frames)


def test_its_parts_make_another_of_it(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    assert set(pipe.components) == {"vae", "text_encoder", "tokenizer", "unet", "scheduler"}
    assert np.array_equal(make(quiet(TextToVideoPipeline(**pipe.components, generation=pipe.config.generation))), frames)


# -- places and precisions ------------------------------------------------------------------------------------------------


def test_it_moves_as_one(pipe: TextToVideoPipeline) -> None:
    pipe.to("meta")
    assert {parameter.device.type for network in networks(pipe) for parameter in network.parameters()} == {"meta"}
    assert pipe.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_in_another_precision_it_makes_nearly_the_same(pipe: TextToVideoPipeline, frames: np.ndarray, dtype: torch.dtype) -> None:
    pipe.to(dtype=dtype)
    assert {network.dtype for network in networks(pipe)} == {dtype}
    again = make(pipe)
    assert again.dtype == np.float32
    assert np.abs(again - frames).mean() < CLOSE


def test_attention_in_slices_changes_nothing_that_shows(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    pipe.enable_attention_slicing()
    assert np.abs(make(pipe) - frames).mean() < CLOSE
    pipe.disable_attention_slicing()


def test_offloaded_it_makes_the_same_twice(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    pipe.enable_model_cpu_offload(device="cpu")
    assert np.array_equal(make(pipe), frames)
    assert np.array_equal(make(pipe), frames)
    pipe.remove_all_hooks()
    assert np.array_equal(make(pipe), frames)


# -- calls ----------------------------------------------------------------------------------------------------------------


def test_its_call_has_the_names_that_diffusers_users_know() -> None:
    parameters = inspect.signature(TextToVideoPipeline.__call__).parameters
    known = {"prompt", "negative_prompt", "height", "width", "num_frames", "num_inference_steps", "guidance_scale", "generator"}
    known |= {
        "latents",
        "num_videos_per_prompt",
        "output_type",
        "return_dict",
        "callback_on_step_end",
        "callback_on_step_end_tensor_inputs",
    }
    assert known <= set(parameters)
    needed = [name for name, one in parameters.items() if one.default is inspect.Parameter.empty]
    assert needed == ["self", "prompt"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_batch_has_a_video_for_each_prompt_and_each_is_what_it_is_alone(pipe: TextToVideoPipeline, count: int) -> None:
    prompts, seeds = ["a red ball", "a blue star", "a big green heart"][:count], (5, 6, 7)[:count]
    made = make(pipe, prompts, seeds)
    assert made.shape == (count, 3, 64, 64, 3)
    assert np.abs(made[-1] - make(pipe, prompts[-1], seeds[-1:])[0]).mean() < CLOSE


def test_several_videos_of_each_prompt_come_prompt_by_prompt(pipe: TextToVideoPipeline) -> None:
    made = make(pipe, ["a red ball", "a blue star"], (1, 2, 3, 4), num_videos_per_prompt=2)
    assert made.shape[0] == 4
    assert np.abs(made[2] - make(pipe, "a blue star", (3,))[0]).mean() < CLOSE


def test_a_tuple_has_what_the_output_has(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    (alone,) = pipe("a red ball", **ORDER, generator=torch.Generator().manual_seed(0), return_dict=False)
    assert np.array_equal(alone, frames)


def test_pictures_arrays_and_latents_are_of_one_video(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    pictures, latents = make(pipe, output_type="pil"), make(pipe, output_type="latent")
    assert [len(video) for video in pictures] == [3]
    assert np.abs(np.asarray(pictures[0][2]) / 255 - frames[0, 2]).max() < 0.01
    assert np.abs(pipe.decode_latents(latents) - frames).mean() < CLOSE


def test_given_noise_replaces_the_seed(pipe: TextToVideoPipeline) -> None:
    noise = torch.randn(1, 12, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    assert np.array_equal(make(pipe, seeds=(1,), latents=noise), make(pipe, seeds=(2,), latents=noise))


def test_without_guidance_the_network_is_asked_for_half(pipe: TextToVideoPipeline) -> None:
    rows: list[int] = []
    pipe.unet.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    make(pipe, guidance_scale=1.0)
    make(pipe, guidance_scale=2.0)
    assert rows == [1, 1, 2, 2]


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_as_many_steps_are_made_as_asked_for(pipe: TextToVideoPipeline, steps: int) -> None:
    told: list[int] = []
    make(pipe, num_inference_steps=steps, callback_on_step_end=lambda pipe, step, *_: told.append(step))
    assert told == list(range(steps))


def test_another_scheduler_can_take_the_place_of_its_own(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    made = make(pipe, sampler=None, num_inference_steps=5)
    assert made.shape == frames.shape
    assert not np.allclose(made, make(pipe, num_inference_steps=5), atol=0.01)


def test_the_bar_shows_every_step_unless_it_is_off(pipe: TextToVideoPipeline, capsys: pytest.CaptureFixture[str]) -> None:
    make(pipe)
    assert capsys.readouterr().err == ""
    pipe.set_progress_bar_config(disable=False)
    make(pipe)
    assert "2/2" in capsys.readouterr().err


# -- callbacks ------------------------------------------------------------------------------------------------------------

TOLD = TextToVideoPipeline._callback_tensor_inputs


@pytest.mark.parametrize("names", [one for count in range(len(TOLD) + 1) for one in combinations(TOLD, count)], ids=" ".join)
def test_a_callback_is_told_what_it_asks_for_and_no_more(pipe: TextToVideoPipeline, names: tuple[str, ...]) -> None:
    seen: list[set[str]] = []

    def listen(_: Any, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen.append(set(tensors))
        return tensors

    make(pipe, callback_on_step_end=listen, callback_on_step_end_tensor_inputs=list(names))
    assert seen == [set(names)] * 2


def test_a_callback_that_asks_for_what_there_is_not_is_refused_before_anything_is_made(pipe: TextToVideoPipeline) -> None:
    made: list[int] = []
    pipe.unet.register_forward_pre_hook(lambda *_: made.append(1))
    with pytest.raises(InvalidInput, match=r"'prompt_embeds'\. Ask for latents, denoised"):
        make(pipe, callback_on_step_end=lambda *_: {}, callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"])
    assert made == []


def test_what_a_callback_gives_back_is_what_goes_on(pipe: TextToVideoPipeline) -> None:
    def empty_at_the_end(pipe: Any, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"latents": torch.zeros_like(tensors["latents"])} if step == 1 else tensors

    assert not make(pipe, callback_on_step_end=empty_at_the_end, output_type="latent").any()
