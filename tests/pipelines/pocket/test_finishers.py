"""The recipes of what finishes clips: what a batch holds, and a run of seconds that leaves weights and can go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.checkpoints import load_text_to_video
from pipelines.finishers import Finishers
from pipelines.pocket.__main__ import main
from pipelines.pocket.captions import random_attributes
from pipelines.pocket.finishers import ClipBatches, LargeFrameBatches, TripletBatches
from pipelines.pocket.given_frames import GivenFrameBatches
from pipelines.pocket.large import render_large, shrunk
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.pocket.world import render
from pipelines.training.loop import Batch
from studio.media import write_mp4


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


def test_the_flow_recipe_leaves_a_network_that_can_be_measured(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finisher", "flow", "--out", str(tmp_path), "--minutes", "0.002", "--model", str(tiny_model)]) == 0
    assert main(measured("interpolation", tiny_model, tmp_path, "flow", "--steps", "1")) == 0
    assert "flow network" in capsys.readouterr().out


def measured(what: str, model: Path, run: Path, finisher: str, *more: str) -> list[str]:
    """The command that measures what a run has left."""
    (run / "finishers").mkdir()
    (run / "model").rename(run / "finishers" / finisher)
    return ["finishing", what, "--clips", "1", "--model", str(model), "--finishers", str(run / "finishers"), *more]


def test_a_recipe_writes_a_card_with_its_command(tiny_model: Path, tmp_path: Path) -> None:
    assert main(["finisher", "decoder", "--out", str(tmp_path), "--minutes", "0.002", "--model", str(tiny_model)]) == 0
    card = (tmp_path / "model" / "README.md").read_text()
    assert "python -m pipelines.pocket finisher decoder --out RUN --minutes 0.002" in card
    assert str(tiny_model) not in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_a_time_that_makes_no_sense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], minutes: str) -> None:
    assert main(["finisher", "flow", "--out", str(tmp_path / "run"), f"--minutes={minutes}"]) == 1
    assert "minutes" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_decoder_recipe_leaves_a_decoder_that_can_be_measured(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finisher", "decoder", "--out", str(tmp_path), "--minutes", "0.002", "--model", str(tiny_model)]) == 0
    assert main(measured("decoder", tiny_model, tmp_path, "decoder", "--noise", "0.1")) == 0
    assert "video decoder" in capsys.readouterr().out


def test_the_upscaler_recipe_leaves_one_that_can_be_measured(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finisher", "upscaler", "--out", str(tmp_path), "--minutes", "0.002"]) == 0
    assert main(measured("upscaler", tiny_model, tmp_path, "upscaler", "--steps", "1")) == 0
    assert "ddpm, shared noise" in capsys.readouterr().out


@pytest.mark.parametrize(("what", "missing"), [("decoder", "a video decoder"), ("upscaler", "an upscaler")])
def test_measuring_one_needs_one(tiny_model: Path, capsys: pytest.CaptureFixture[str], what: str, missing: str) -> None:
    assert main(["finishing", what, "--clips", "1", "--model", str(tiny_model)]) == 1
    assert f"comes without {missing}" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["flat", "pixel", "sketch", "neon"])
def test_the_large_world_averaged_down_is_the_world(style: str) -> None:
    known = random_attributes(np.random.default_rng(1), (style,))
    large, small = render_large(known, np.random.default_rng(2)), render(known, np.random.default_rng(2))
    assert large.shape == (16, 128, 128, 3)
    assert np.abs(shrunk(large).astype(int) - small).max() <= 1


def test_the_frames_recipe_leaves_a_network_that_stands_in_for_the_models(tiny_model: Path, tmp_path: Path) -> None:
    assert main(["finisher", "frames", "--out", str(tmp_path), "--minutes", "0.002", "--model", str(tiny_model)]) == 0
    measured("interpolation", tiny_model, tmp_path, "frames")
    pipe = load_text_to_video(tiny_model)
    further = Finishers(tiny_model, pipe, tmp_path / "finishers").frames
    assert further.text_encoder is pipe.text_encoder
    assert not torch.equal(pipe.unet.temporal_condition.weight, further.unet.temporal_condition.weight)


def test_a_model_without_a_network_for_given_frames_fills_them_in_itself(tiny_model: Path) -> None:
    pipe = load_text_to_video(tiny_model)
    assert Finishers(tiny_model, pipe).frames is pipe


def test_clips_of_somebodys_own_are_filled_in_and_compared(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "own.mp4"
    write_mp4(render(random_attributes(np.random.default_rng(1), ("flat",)), np.random.default_rng(2)), 8, video, "{}", {})
    assert main(["finishing", "interpolation", "--model", str(tiny_model), "--steps", "1", "--video", str(video)]) == 0
    assert "linear blending" in capsys.readouterr().out


def test_the_whole_chain_tells_what_each_stage_took(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("flow", "decoder", "upscaler"):
        assert main(["finisher", what, "--out", str(tmp_path / what), "--minutes", "0.003", "--model", str(tiny_model)]) == 0
        (tmp_path / "finishers").mkdir(exist_ok=True)
        (tmp_path / what / "model").rename(tmp_path / "finishers" / what)
    assert main(["finishing", "chain", "--model", str(tiny_model), "--finishers", str(tmp_path / "finishers"), "--steps", "1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" s")]
    assert [line.split()[0] for line in lines] == ["picture", "motion", "smooth", "steady", "sharp", "all"]
    assert "31 frames of 128 x 128" in lines[4]
