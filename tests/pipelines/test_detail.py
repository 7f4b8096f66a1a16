"""What a network lost of given frames: put back, and carried along."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.detail import with_detail
from pipelines.errors import InvalidInput
from pipelines.video_metrics import psnr
from tests.pipelines.test_flow import moving_square


def painted(clip: np.ndarray) -> np.ndarray:
    """The clip in another tone, its square darker than it is."""
    return (clip * 0.8 + 20).astype(np.uint8)


def test_given_frames_come_out_as_they_went_in() -> None:
    clip = moving_square(5, 3)
    whole = with_detail(painted(clip), clip[[0, 4]], [0, 4])
    assert np.array_equal(whole[[0, 4]], clip[[0, 4]])


def test_what_was_lost_travels_with_the_motion() -> None:
    clip = moving_square(5, 3)
    whole = with_detail(painted(clip), clip[::2], [0, 2, 4])
    assert psnr(whole[1::2], clip[1::2]) > psnr(painted(clip)[1::2], clip[1::2]) + 6


def test_a_network_that_loses_nothing_is_left_alone() -> None:
    clip = moving_square(5, 3)
    assert np.array_equal(with_detail(clip, clip[[0, 4]], [0, 4]), clip)


def test_outside_given_frames_nothing_is_put_back() -> None:
    clip = moving_square(4, 3)
    assert np.array_equal(with_detail(painted(clip), clip[[1]], [1])[2:], painted(clip)[2:])


@pytest.mark.parametrize(("frames", "places"), [(2, [0]), (1, [4]), (1, [-1])])
def test_frames_of_another_clip_are_refused(frames: int, places: list[int]) -> None:
    with pytest.raises(InvalidInput, match="no part of a clip"):
        with_detail(moving_square(4, 3), moving_square(frames, 3), places)
