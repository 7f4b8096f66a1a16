"""Frame consistency and text similarity: their ends, their middle, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.errors import InvalidInput
from pipelines.metrics import frame_consistency, text_similarity
from pipelines.pocket.captions import Attributes
from pipelines.pocket.world import render

STILL = Attributes("star", "red", "big", "still", "sea", "flat")


def test_a_clip_that_stands_still_is_wholly_consistent() -> None:
    assert frame_consistency(np.repeat(render(STILL, np.random.default_rng(0))[:1], 5, axis=0)) == pytest.approx(1)


def test_noise_is_not_consistent_at_all() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    assert abs(frame_consistency(noise)) < 0.02


def test_a_moving_object_lies_in_between() -> None:
    clip = render(Attributes("star", "red", "big", "left", "sea", "flat"), np.random.default_rng(0))
    assert 0.3 < frame_consistency(clip) < 0.99


def test_features_are_compared_pair_by_pair() -> None:
    assert frame_consistency(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])) == pytest.approx(1 / 3)


def test_an_encoder_takes_the_place_of_pixels() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    assert frame_consistency(clip, features=lambda frames: np.ones((len(frames), 3))) == pytest.approx(1)


def test_one_frame_and_flat_frames_are_consistent() -> None:
    assert frame_consistency(np.zeros((1, 8, 8, 3), np.uint8)) == 1.0
    assert frame_consistency(np.full((3, 8, 8, 3), 9, np.uint8)) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (8, 8, 3), (4,)])
def test_what_is_no_clip_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="shape"):
        frame_consistency(np.zeros(shape))


def test_text_similarity_is_the_mean_cosine_with_the_text() -> None:
    assert text_similarity(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.0])) == pytest.approx(0.5)
