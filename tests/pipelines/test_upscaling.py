"""The upscaler: cubic upsampling at first, one noise map for all frames whatever the sampler, and nonsense refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.errors import InvalidInput
from pipelines.noise import NoisePrior
from pipelines.samplers import SAMPLERS
from pipelines.training.upscaling import UpscalingObjective
from pipelines.upscaling import MOST_AUGMENTATION, Upscaler, enlarged, upscale
from tests.pipelines.test_flow import moving_square


def tiny_upscaler(awake: bool = True) -> Upscaler:
    torch.manual_seed(0)
    upscaler = Upscaler(patch=4, width=8).eval()
    if awake:
        nn.init.normal_(upscaler.unet.conv_out.weight, std=0.3)
    return upscaler


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def test_at_first_it_is_cubic_upsampling() -> None:
    clip = moving_square(3, 3)
    large = upscale(tiny_upscaler(awake=False), clip, generator=seed(1))
    assert large.shape == (3, 128, 128, 3)
    assert np.abs(large.astype(int) - enlarged(clip)).max() <= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_frames_that_are_the_same_stay_the_same_with_every_sampler(sampler: str) -> None:
    still = moving_square(4, 0)
    large = upscale(tiny_upscaler(), still, sampler=sampler, generator=seed(1))
    assert np.array_equal(large, large[:1].repeat(4, axis=0))
    assert not np.array_equal(large, enlarged(still))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_noise_of_each_frame_of_its_own_flickers(sampler: str) -> None:
    large = upscale(tiny_upscaler(), moving_square(4, 0), sampler=sampler, noise_prior=NoisePrior("independent"), generator=seed(1))
    assert not np.array_equal(large[0], large[1])


def test_frames_do_not_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, upscaler = moving_square(5, 3), tiny_upscaler()
    whole = upscale(upscaler, clip, generator=seed(1))
    monkeypatch.setattr("pipelines.upscaling.FRAMES_AT_ONCE", 2)
    assert np.abs(upscale(upscaler, clip, generator=seed(1)).astype(int) - whole).max() <= 1


def test_the_network_is_told_how_noisy_the_small_frames_are(monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler, told = tiny_upscaler(), []
    original = Upscaler.forward
    monkeypatch.setattr(Upscaler, "forward", lambda self, n, t, k, a: told.append(a) or original(self, n, t, k, a))
    upscale(upscaler, moving_square(2, 1), steps=1, augmentation=0.2, generator=seed(1))
    assert torch.allclose(told[0], torch.tensor([0.2, 0.2]))


def test_it_stops_when_told() -> None:
    asked: list[int] = []

    def stop_at_two(done: int, total: int) -> bool:
        asked.append(done)
        return done < 2

    assert upscale(tiny_upscaler(), moving_square(2, 1), steps=9, on_step=stop_at_two).shape == (2, 128, 128, 3)
    assert asked == [0, 1, 2]


def test_it_learns() -> None:
    torch.manual_seed(0)
    objective = UpscalingObjective(Upscaler(patch=4, width=16))
    large = enlarged(moving_square(4, 3))
    batch = {"large": torch.from_numpy(255 - large), "enlarged": torch.from_numpy(large)}
    optimizer = torch.optim.AdamW(objective.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss = objective(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"steps": 0}, "0 steps"),
        ({"steps": 1.5}, "1.5 steps"),
        ({"augmentation": -0.1}, "-0.1"),
        ({"augmentation": 2 * MOST_AUGMENTATION}, "0.6"),
        ({"augmentation": float("nan")}, "nan"),
        ({"sampler": "euler"}, "euler"),
    ],
)
def test_settings_that_make_no_sense_are_quoted(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        upscale(tiny_upscaler(), moving_square(2, 1), **bad)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 8, 1024, 3), "1024 x 8"), ((1, 62, 64, 3), "multiples of 4"), ((3000, 4, 4, 3), "3,000 frames"), ((64, 64, 3), "uint8")],
)
def test_clips_it_cannot_enlarge_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        upscale(tiny_upscaler(), np.zeros(shape, np.uint8))
