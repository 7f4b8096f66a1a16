"""Interpolation without a model: what moves is moved, what is given stays, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.flow import MOST_FRAMES, flow_between, linear_between, optical_flow, warp


def moving_square(frames: int, pixels_a_frame: int) -> np.ndarray:
    """A textured square that moves right over grey, uint8 (f, 64, 64, 3)."""
    texture = np.random.default_rng(0).integers(60, 255, (5, 5, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    clip = np.full((frames, 64, 64, 3), 40, np.uint8)
    for i, frame in enumerate(clip):
        frame[22:42, 6 + i * pixels_a_frame : 26 + i * pixels_a_frame] = texture
    return clip


@pytest.mark.parametrize("between", [linear_between, flow_between])
def test_given_frames_stay_as_they_are_and_others_come_between(between: Any) -> None:
    clip = moving_square(4, 4)
    filled = between(clip, 5)
    assert filled.shape == (16, 64, 64, 3)
    assert np.array_equal(filled[::5], clip)
    assert not np.array_equal(filled[1], clip[0])


def test_flow_moves_what_linear_blending_doubles() -> None:
    clip = moving_square(9, 3)
    error = {f.__name__: np.abs(f(clip[::2], 2)[1::2].astype(float) - clip[1::2]).mean() for f in (linear_between, flow_between)}
    assert error["flow_between"] < error["linear_between"] / 3


def test_the_flow_of_a_shift_is_the_shift_and_warping_undoes_it() -> None:
    a, b = moving_square(2, 4)
    flow = optical_flow(a, b)
    assert np.median(flow[26:38, 10:22, 0]) == pytest.approx(4, abs=0.3)
    assert np.abs(warp(b, flow)[26:38, 10:22] - a[26:38, 10:22]).mean() < 8


@pytest.mark.parametrize("factor", [1, 0, -2, 2.0, True, None])
def test_a_factor_that_makes_no_sense_is_quoted(factor: Any) -> None:
    with pytest.raises(InvalidInput, match=f"factor is {factor}"):
        linear_between(moving_square(3, 1), factor)


def test_a_clip_too_long_is_refused_before_anything_is_made() -> None:
    long = np.broadcast_to(np.zeros((1, 16, 16, 3), np.uint8), (10_000, 16, 16, 3))
    with pytest.raises(InvalidInput, match=f"10,000 frames.*19,999.*{MOST_FRAMES:,}"):
        flow_between(long, 2)


def test_one_frame_has_nothing_between() -> None:
    with pytest.raises(InvalidInput, match="1 frame"):
        linear_between(moving_square(1, 1), 2)


def test_frames_too_small_for_flow_are_refused() -> None:
    with pytest.raises(InvalidInput, match="1 x 1 pixels"):
        flow_between(np.zeros((2, 1, 1, 3), np.uint8), 2)


@pytest.mark.parametrize("clip", [np.zeros((2, 16, 16, 3)), np.zeros((16, 16, 3), np.uint8), np.zeros((0, 16, 16, 3), np.uint8)])
def test_anything_but_frames_of_bytes_is_refused(clip: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="uint8"):
        linear_between(clip, 2)
