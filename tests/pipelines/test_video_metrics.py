"""The measures on clips whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.video_metrics import PERFECT, psnr, still_flicker, warping_error
from tests.pipelines.test_flow import moving_square


def noisy(clip: np.ndarray, shared: bool) -> np.ndarray:
    """The clip under noise of 8 grey levels, the same for all frames or new in each."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 8, clip.shape[1:] if shared else clip.shape)
    return np.clip(np.round(clip + noise), 0, 255).astype(np.uint8)


def test_psnr_of_a_known_error() -> None:
    clip = np.full((3, 8, 8, 3), 100, np.uint8)
    assert psnr(clip + 10, clip) == pytest.approx(20 * np.log10(25.5))
    assert psnr(clip, clip) == PERFECT


def test_motion_costs_nothing_and_frozen_motion_does() -> None:
    true = moving_square(6, 3)
    frozen = true[[0]].repeat(6, axis=0)
    assert warping_error(true, true) < warping_error(frozen, true) / 3


def test_noise_that_changes_costs_more_than_noise_that_stays() -> None:
    true = moving_square(6, 0)
    assert warping_error(noisy(true, shared=True), true) < warping_error(noisy(true, shared=False), true) / 20


def test_flicker_is_the_change_of_what_stands_still() -> None:
    true = moving_square(6, 3)
    beaten = true.copy()
    beaten[::2, :10] += 5  # above the square, where nothing moves
    assert still_flicker(true, true) == 0
    assert 0 < still_flicker(beaten, true) < 5


def test_where_everything_moves_there_is_no_flicker() -> None:
    moving = (np.arange(4, dtype=np.uint8) * 20)[:, None, None, None] + np.zeros((4, 16, 16, 3), np.uint8)
    assert still_flicker(moving, moving) == 0


def test_clips_of_different_shapes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="compared"):
        psnr(moving_square(2, 1), moving_square(3, 1))
