"""Stable Diffusion directories: inflated as Tune-A-Video does, tuned, and found again by what was tuned on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import nn

from pipelines import families
from pipelines.checkpoints import load_text_to_video, read_defaults
from pipelines.errors import WeightsDamaged
from pipelines.one_shot import OneShotTuner, TuningSettings, default_settings, edit, encode_clip, invert, trainable_parameters
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.signatures import learning_parameters, signature
from pipelines.tuned_model import TunedModel, base_hash, load_tuned_model, save_tuned_model
from tests.pipelines.families import image_vae
from tests.tiny import tiny_image_unet, tiny_text_encoder


@pytest.fixture(scope="module", params=[False, True], ids=["sd1", "sd2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Stable Diffusion directory with the scheduler that most of them have."""
    tokenizer = build_tokenizer()
    parts = {"unet": tiny_image_unet(request.param), "text_encoder": tiny_text_encoder(len(tokenizer), tokenizer.eos_token_id)}
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "skip_prk_steps": True, "steps_offset": 1}
    kind = "v_prediction" if request.param else "epsilon"
    others: dict[str, nn.Module | None] = {"safety_checker": None, "feature_extractor": None}
    scheduler = PNDMScheduler(**schedule, prediction_type=kind)
    pipe = StableDiffusionPipeline(
        vae=image_vae(), tokenizer=tokenizer, scheduler=scheduler, **parts, **others, requires_safety_checker=False
    )
    path = tmp_path_factory.mktemp("sd") / "model"
    pipe.save_pretrained(path)
    return path


@pytest.fixture
def clip(folder: Path) -> np.ndarray:
    side = read_defaults(folder).width
    return np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)


def test_it_is_tuned_inverted_and_edited(folder: Path, clip: np.ndarray) -> None:
    pipe = load_text_to_video(folder)
    pipe.set_progress_bar_config(disable=True)
    tuner = OneShotTuner(pipe, clip, "a red square moving left", TuningSettings(steps=2, learning_rate=1e-3))
    assert len(list(tuner)) == 2
    noise = invert(pipe, tuner.tuned(), encode_clip(pipe, clip), steps=2)
    assert edit(pipe, tuner.tuned(), "a blue square moving left", noise, num_inference_steps=2).shape == clip.shape


def test_it_is_tune_a_video_s_network_with_the_paper_s_settings(folder: Path) -> None:
    pipe = load_text_to_video(folder)
    assert pipe.unet.config.clip_norm
    assert pipe.unet.config.sparse_causal
    assert default_settings(pipe) == TuningSettings()
    assert not pipe.scheduler.config.clip_sample
    assert pipe.defaults == read_defaults(folder)


def test_what_was_tuned_on_it_finds_it_again(folder: Path, clip: np.ndarray, tmp_path: Path) -> None:
    pipe = load_text_to_video(folder)
    tuned = OneShotTuner(pipe, clip, "a square", TuningSettings(steps=1)).tuned()
    save_tuned_model(tmp_path / "a.safetensors", tuned, TunedModel("a", "a square", base_hash(pipe.unet)))
    again = load_tuned_model(tmp_path / "a.safetensors", load_text_to_video(folder).unet)
    assert all(torch.allclose(tensor, tuned.tensors[name], atol=1e-2) for name, tensor in again.tensors.items())


def test_a_damaged_one_is_named(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsDamaged, match="diffusion_pytorch_model"):
        load_text_to_video(copy)


def test_what_tells_it_from_others_is_read_from_its_files_in_any_precision(folder: Path, tmp_path: Path) -> None:
    network = load_text_to_video(folder).unet
    assert learning_parameters(folder) == sum(each.numel() for each in trainable_parameters(network).values())
    halved = shutil.copytree(folder, tmp_path / "halved")
    for file in halved.glob("*/*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file.with_suffix(".unfinished"))
        file.unlink()
        file.with_suffix(".unfinished").rename(file.with_name(f"{file.stem}.fp16.safetensors"))
    assert signature(halved) == signature(folder)
    assert base_hash(load_text_to_video(halved).unet) == base_hash(network)


def test_one_with_other_weights_anywhere_has_another_signature(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    file = next((other / "unet").glob("*.safetensors"))
    tensors = load_file(file)
    tensors["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"] *= 1.01  # which tuning leaves as it is
    save_file(tensors, file)
    assert signature(other) != signature(folder)


def test_parts_that_are_loaded_already_are_shared(folder: Path) -> None:
    first = load_text_to_video(folder)
    second = families.load(folder, components={"vae": first.vae, "text_encoder": first.text_encoder})
    assert second.vae is first.vae
    assert second.text_encoder is first.text_encoder
