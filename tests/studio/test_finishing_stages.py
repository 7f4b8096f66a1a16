"""Long clips are finished part by part: the parts together are what the whole would have been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.decoder import build_decoder
from pipelines.finishers import Finishers
from pipelines.finishing import Sharpen, Steady
from pipelines.flow import flow_between
from pipelines.text_to_video import TextToVideoPipeline
from studio import finishing_stages
from studio.finishing_stages import Drawing, Workshop, by_pairs, optical, sharp_windows, steadied, steady_windows
from studio.residency import Resident, ResidentFinishers, ResidentModel
from tests.pipelines.test_upscaling import tiny_upscaler
from tests.studio.chains import moving
from tests.tiny import tiny_pipeline


class Counting:
    """Counts steps, and stops after so many."""

    def __init__(self, most: int = 10**6) -> None:
        self.most, self.done = most, 0

    @property
    def stopped(self) -> bool:
        return self.done >= self.most

    def tick(self) -> bool:
        self.done += 1
        return not self.stopped


@pytest.fixture(scope="module")
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


@pytest.mark.parametrize("count", [2, 3, 5, 6, 9])
@pytest.mark.parametrize("factor", [2, 4])
def test_frames_between_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch, count: int, factor: int) -> None:
    monkeypatch.setattr(finishing_stages, "PAIRS_AT_ONCE", 4)
    ticker: Any = Counting()
    assert (optical(moving(count), ticker, factor) == flow_between(moving(count), factor)).all()
    assert ticker.done == -(-(count - 1) // 4)


def test_between_two_parts_a_stop_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing_stages, "PAIRS_AT_ONCE", 2)
    parts: list[int] = []

    def between(frames: np.ndarray) -> np.ndarray:
        parts.append(len(frames))
        return flow_between(frames, 2)

    ticker: Any = Counting(most=2)
    by_pairs(moving(20), 2, between, ticker)
    assert parts == [3, 3]


def test_a_clip_is_steadied_the_same_in_parts(pipe: TextToVideoPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    decoder = build_decoder(pipe.vae)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    expected = Steady(decoder)(pipe, moving(20), None)
    monkeypatch.setattr(finishing_stages, "STEADY_AT_ONCE", 6)
    monkeypatch.setattr(finishing_stages, "STEADY_MARGIN", 4)
    ticker: Any = Counting()
    made = steadied(decoder, pipe, moving(20), ticker)
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert ticker.done == len(steady_windows(20)) == 4


def test_parts_are_sharpened_with_the_same_noise(pipe: TextToVideoPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_upscaler().save_pretrained(tmp_path / "finishers" / "upscaler")
    resident = Resident(pipe, ResidentModel("tiny", 0, {}))
    workshop = Workshop(resident, ResidentFinishers(Finishers(tmp_path, pipe), {}), Drawing("", 3, 2))
    monkeypatch.setattr(finishing_stages, "SHARP_AT_ONCE", 3)
    ticker: Any = Counting()
    made = workshop._sharp(moving(1).repeat(7, axis=0), ticker, seed=3).astype(int)
    assert np.abs(made - made[0]).max() <= 1
    assert (made[0] != Sharpen(workshop.networks.upscaler, seed=4)(pipe, moving(1), None)[0]).any()
    assert ticker.done == 4 * len(sharp_windows(7)) == 12


def test_parts_cover_the_clip_and_those_to_sharpen_are_equally_long() -> None:
    for count in (1, 31, 32, 33, 100, 2048):
        windows = sharp_windows(count)
        assert {end - start for start, end in windows} == {min(count, 32)}
        assert {i for start, end in windows for i in range(start, end)} == set(range(count))
        assert [i for start, end in steady_windows(count) for i in range(start, end)] == list(range(count))


@pytest.mark.parametrize(("prompt", "guidance", "passes"), [("", None, 1), ("a", None, 2), ("a", 1.0, 1), ("a", 3.0, 2)])
def test_without_a_prompt_nothing_is_guided(prompt: str, guidance: float | None, passes: int) -> None:
    drawing = Drawing(prompt, 0, 4, guidance_scale=guidance)
    assert drawing.passes == passes
    assert drawing.sampling(told=False).guidance_scale is None
