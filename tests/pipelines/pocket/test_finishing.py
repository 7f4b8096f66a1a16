"""The measures of interpolation and continuation: what is counted, and the command that prints it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.flow import flow_between, linear_between
from pipelines.pocket.__main__ import main
from pipelines.pocket.finishing import compare_interpolation, measure_continuation, rendered_clips, saved_by_sharing, scores_table
from pipelines.text_to_video import TextToVideoPipeline
from pipelines.video_metrics import PERFECT
from tests.pipelines.test_flow import moving_square


def test_only_the_frames_that_were_dropped_count_and_the_tail_is_cut() -> None:
    clip = moving_square(16, 2)
    seen: list[int] = []

    def honest(frames: np.ndarray, factor: int) -> np.ndarray:
        seen.append(len(frames))
        return clip[:15]

    scores = compare_interpolation([clip], {"the truth": honest})
    assert seen == [8]
    assert scores["the truth"].psnr == PERFECT


def test_flow_beats_linear_blending_on_rendered_clips() -> None:
    clips = [clip for _, clip in rendered_clips(3, seed=1)]
    scores = compare_interpolation(clips, {"linear": linear_between, "flow": flow_between})
    assert scores["flow"].psnr > scores["linear"].psnr + 2
    assert scores["flow"].warping_error < scores["linear"].warping_error
    assert "| flow |" in scores_table(scores)


def test_a_continuation_that_repeats_the_last_frame_keeps_what_the_oracle_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def freeze(pipe: TextToVideoPipeline, clip: np.ndarray, more: int, *_: object, **__: object) -> np.ndarray:
        return np.concatenate([clip, clip[-1:].repeat(more, axis=0)])

    monkeypatch.setattr("pipelines.pocket.finishing.extend", freeze)
    result = measure_continuation(None, rendered_clips(4, seed=1))  # type: ignore[arg-type]
    assert result.all_kept == result.rendered > 0.7


def test_the_command_prints_a_table_and_writes_the_numbers(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["finishing", "interpolation", "--clips", "1", "--model", str(tiny_model), "--steps", "1", "--json", str(tmp_path / "a.json")]
    assert main(asked) == 0
    assert "masked-frame network" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["linear blending"]["psnr"] > 10


def test_the_command_measures_continuations(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["finishing", "continuation", "--clips", "1", "--model", str(tiny_model), "--steps", "1", "--frames", "20"]
    assert main(asked) == 0
    assert "frame 20 of 1 clips" in capsys.readouterr().out


def test_the_command_measures_reference_images(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["finishing", "reference", "--clips", "1", "--model", str(tiny_model), "--steps", "1", "--strength", "0.5"]
    assert main(asked) == 0
    assert "strength 0.5" in capsys.readouterr().out


def test_no_clips_are_refused() -> None:
    with pytest.raises(InvalidInput, match="0 clips"):
        rendered_clips(0, seed=1)


def test_what_sharing_noise_saves_is_told_of_the_median_clip() -> None:
    rows = {"ddim, shared noise": [(30.0, 1.0, 0.0), (30.0, 2.0, 0.0), (30.0, 99.0, 0.0)]}
    rows["ddim, each frame's own noise"] = [(30.0, 2.0, 0.0), (30.0, 5.0, 0.0), (30.0, 100.0, 0.0)]
    assert saved_by_sharing(rows, "ddim") == pytest.approx(0.5)
