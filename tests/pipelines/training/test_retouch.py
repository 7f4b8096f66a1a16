"""Clips in other tones: the same shapes, and nothing that the clip's domain would ever look like."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.pocket.captions import Attributes
from pipelines.pocket.world import render
from pipelines.training.retouch import retouch

CLIPS = {
    style: render(Attributes("star", "red", "big", "still", "hills", style), np.random.default_rng(0))[:4] for style in ("neon", "sketch")
}


def edges(frame: np.ndarray) -> np.ndarray:
    tones = frame.astype(float).mean(-1)
    return np.hypot(*np.gradient(tones))


@pytest.mark.parametrize("style", CLIPS)
def test_tones_change_and_most_edges_stay_where_they_were(style: str) -> None:
    clip, rng = CLIPS[style], np.random.default_rng(1)
    several = [retouch(clip, rng) for _ in range(40)]
    assert np.median([np.abs(other.astype(float) - clip).mean() for other in several]) > 20
    assert np.median([np.corrcoef(edges(other[0]).ravel(), edges(clip[0]).ravel())[0, 1] for other in several]) > 0.4


def test_a_dark_clip_becomes_bright_and_a_bright_one_dark() -> None:
    for style, expected in (("neon", max), ("sketch", min)):
        means = [retouch(CLIPS[style], np.random.default_rng(seed)).mean() for seed in range(40)]
        assert abs(expected(means) - CLIPS[style].mean()) > 80


def test_every_frame_is_retouched_alike_and_the_clip_itself_is_left_alone() -> None:
    clip = CLIPS["neon"]
    before = clip.copy()
    still = np.stack([clip[0]] * 4)
    other = retouch(still, np.random.default_rng(2))
    assert other.shape == still.shape
    assert other.dtype == np.uint8
    assert all((frame == other[0]).all() for frame in other)
    assert (clip == before).all()
