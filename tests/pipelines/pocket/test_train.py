"""The whole recipe at the smallest size: every stage runs, a second call goes on, and the result is a model that loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.checkpoints import load_text_to_video, weight_files
from pipelines.pocket import train as recipe
from pipelines.pocket.__main__ import main


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few pictures and clips in each batch, and a quick autoencoder; the network is the real one."""
    pictures = recipe.ImageBatches
    monkeypatch.setattr(recipe, "ImageBatches", lambda pixels, known, tokenizer, _: pictures(pixels, known, tokenizer, 4))
    monkeypatch.setattr(recipe, "fit_autoencoder", lambda: recipe.PatchAutoencoder())
    stages = tuple(replace(stage, batch_size=1) for stage in recipe.VIDEO_STAGES)
    monkeypatch.setattr(recipe, "VIDEO_STAGES", stages)


@pytest.mark.usefixtures("small")
def test_one_command_trains_a_model_goes_on_after_a_stop_and_trains_a_finished_one_further(tmp_path: Path) -> None:
    command = ["train", "--out", str(tmp_path), "--minutes", "0.02", "--clips", "8"]
    assert main(command) == 0
    pipe = load_text_to_video(tmp_path / "model")
    pipe.set_progress_bar_config(disable=True)
    assert pipe("a red ball", num_inference_steps=1).frames.shape == (1, 16, 64, 64, 3)
    assert sum(f.stat().st_size for f in weight_files(tmp_path / "model")) < 30e6
    trained = (tmp_path / "video-16" / "loss.csv").stat().st_mtime_ns
    assert main(command) == 0
    assert (tmp_path / "video-16" / "loss.csv").stat().st_mtime_ns == trained
    further = ["train", "--out", str(tmp_path / "further"), "--minutes", "0.01", "--clips", "8", "--init", str(tmp_path / "model")]
    assert main(further) == 0
    assert sorted(p.name for p in (tmp_path / "further").iterdir()) == [
        "clips",
        "model",
        "motion",
        "shapes",
        "video-16",
        "video-4",
        "video-8",
    ]
