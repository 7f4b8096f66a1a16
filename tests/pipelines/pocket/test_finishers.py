"""The recipes of what finishes clips: what a batch holds, and a run of seconds that leaves weights and can go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.checkpoints import load_text_to_video
from pipelines.latent_flow import LatentFlow
from pipelines.pocket.__main__ import main
from pipelines.pocket.captions import random_attributes
from pipelines.pocket.finishers import ClipBatches, GivenFrameBatches, LargeFrameBatches, TripletBatches, frames_to_give
from pipelines.pocket.large import render_large, shrunk
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.pocket.world import render
from pipelines.training.loop import Batch


def test_a_triplets_middle_lies_between_its_ends() -> None:
    pixels = TripletBatches(12)(0)["pixels"].float()
    assert pixels.shape == (12, 3, 64, 64, 3)
    to_middle = (pixels[:, 1] - pixels[:, 0]).abs().mean()
    assert 0 < to_middle < (pixels[:, 2] - pixels[:, 0]).abs().mean()


@pytest.mark.parametrize("batches", [TripletBatches(2), ClipBatches(2), LargeFrameBatches(2), GivenFrameBatches(build_tokenizer(), 2)])
def test_a_batch_is_a_function_of_its_step(batches: Callable[[int], Batch]) -> None:
    first, again, other = batches(3), batches(3), batches(4)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_frames_are_given_in_every_clip_and_never_all() -> None:
    rng = np.random.default_rng(0)
    shares = [frames_to_give(16, rng).mean() for _ in range(200)]
    assert 0 < min(shares) < max(shares) <= 0.5


def test_clips_with_given_frames_come_at_several_rates() -> None:
    batches = GivenFrameBatches(build_tokenizer(), 1)
    assert {float(batches(step)["fps"][0]) for step in range(40)} == {8.0, 16.0, 24.0, 40.0}


def test_the_flow_recipe_leaves_a_network_that_can_be_measured(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finisher", "flow", "--out", str(tmp_path), "--minutes", "0.01", "--model", str(tiny_model)]) == 0
    assert LatentFlow.from_pretrained(tmp_path / "model").config.latent_channels == 12
    asked = ["finishing", "interpolation", "--clips", "1", "--model", str(tiny_model), "--steps", "1", "--flow", str(tmp_path / "model")]
    assert main(asked) == 0
    assert "flow network" in capsys.readouterr().out


def test_the_decoder_recipe_leaves_a_decoder_that_can_be_measured(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finisher", "decoder", "--out", str(tmp_path), "--minutes", "0.01", "--model", str(tiny_model)]) == 0
    asked = ["finishing", "decoder", "--clips", "1", "--model", str(tiny_model), "--decoder", str(tmp_path / "model"), "--noise", "0.1"]
    assert main(asked) == 0
    assert "video decoder" in capsys.readouterr().out


def test_the_upscaler_recipe_leaves_one_that_can_be_measured(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finisher", "upscaler", "--out", str(tmp_path), "--minutes", "0.01"]) == 0
    asked = ["finishing", "upscaler", "--clips", "1", "--model", str(tiny_model), "--upscaler", str(tmp_path / "model"), "--steps", "1"]
    assert main(asked) == 0
    assert "ddpm, shared noise" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["decoder", "upscaler"])
def test_measuring_one_needs_one(tiny_model: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    assert main(["finishing", what, "--clips", "1", "--model", str(tiny_model)]) == 1
    assert f"--{what} DIR" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["flat", "pixel", "sketch", "neon"])
def test_the_large_world_averaged_down_is_the_world(style: str) -> None:
    known = random_attributes(np.random.default_rng(1), (style,))
    large, small = render_large(known, np.random.default_rng(2)), render(known, np.random.default_rng(2))
    assert large.shape == (16, 128, 128, 3)
    assert np.abs(shrunk(large).astype(int) - small).max() <= 1


def test_the_frames_recipe_leaves_a_whole_model(tiny_model: Path, tmp_path: Path) -> None:
    assert main(["finisher", "frames", "--out", str(tmp_path), "--minutes", "0.01", "--model", str(tiny_model)]) == 0
    before, after = load_text_to_video(tiny_model), load_text_to_video(tmp_path / "model")
    assert not torch.equal(before.unet.temporal_condition.weight, after.unet.temporal_condition.weight)
    assert torch.allclose(*(next(pipe.text_encoder.parameters()) for pipe in (before, after)), atol=1e-3)
