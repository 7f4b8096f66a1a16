"""Clips for training with given frames: which are given, and how clips go on beyond their end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.pocket.captions import PHRASES, random_attributes
from pipelines.pocket.given_frames import GivenFrameBatches, beyond, every_few, frames_to_give
from pipelines.pocket.textures import drifting_clouds
from pipelines.pocket.tokenizer import build_tokenizer
from pipelines.pocket.world import FRAMES, path


def test_frames_are_given_in_every_clip_and_never_all() -> None:
    rng = np.random.default_rng(0)
    shares = [give(16, rng).mean() for give in (frames_to_give, every_few) for _ in range(100)]
    assert 0 < min(shares) < max(shares) <= 0.5


def test_clips_with_given_frames_come_at_several_rates() -> None:
    batches = GivenFrameBatches(build_tokenizer(), 1)
    assert {float(batches(step)["fps"][0]) for step in range(40)} == {8.0, 16.0, 24.0, 40.0}


@pytest.mark.parametrize("motion", PHRASES["motion"])
def test_what_goes_on_beyond_its_end_stays_in_the_picture(motion: str) -> None:
    known = replace(random_attributes(np.random.default_rng(1)), motion=motion)
    track = path(known, np.random.default_rng(2), beyond(known, np.linspace(0, 5, 76)))
    for place in (track.x, track.y):
        assert np.all((place >= 0.1) & (place <= 0.9))
    assert np.abs(np.diff(track.x)).max() < 0.15
    assert track.radius.max() < 0.4


def test_within_the_worlds_own_time_nothing_is_changed() -> None:
    known, times = replace(random_attributes(np.random.default_rng(1)), motion="left"), np.linspace(0, 1, FRAMES)
    assert np.allclose(beyond(known, times), times)


def test_clouds_move_and_have_detail_at_every_scale() -> None:
    clip = drifting_clouds(np.linspace(0, 1, 4), np.random.default_rng(3)).astype(np.float32)
    assert clip.shape == (4, 64, 64, 3)
    assert np.abs(np.diff(clip, axis=0)).mean() > 1
    power = np.abs(np.fft.fft2(clip[0].mean(-1) - clip[0].mean())) ** 2
    near, far = power[1:4, 1:4].mean(), power[12:30, 12:30].mean()
    assert near > 20 * far > 0


def test_clouds_are_a_function_of_the_generator() -> None:
    assert torch.equal(*(torch.from_numpy(drifting_clouds(np.zeros(1), np.random.default_rng(5))) for _ in range(2)))
