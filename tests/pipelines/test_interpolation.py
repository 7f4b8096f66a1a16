"""The masked-frame network on a tiny random model: shapes of every kind of filling, given frames kept, strength, windows, stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.errors import InvalidInput, UnsupportedFrames
from pipelines.inflation import VideoUNet
from pipelines.interpolation import GivenFrames, extend, fill, interpolate, morph, window_starts
from pipelines.text_to_video import TextToVideoPipeline
from tests.pipelines.test_flow import moving_square
from tests.tiny import tiny_image_unet, tiny_pipeline

QUICK: dict[str, Any] = {"num_inference_steps": 1}


@pytest.fixture(scope="module")
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def latents_and_mask(frames: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Random latents of which the first frame is given."""
    mask = torch.zeros(1, frames)
    mask[:, 0] = 1
    return torch.randn(1, 12, frames, 8, 8, generator=seed(0)), mask


def test_sixteen_frames_with_a_skip_of_five_become_seventy_six(pipe: TextToVideoPipeline) -> None:
    clip = moving_square(16, 2)
    filled = interpolate(pipe, clip, 5, generator=seed(1), **QUICK)
    assert filled.shape == (76, 64, 64, 3)
    assert np.array_equal(filled[::5], clip)


@pytest.mark.parametrize("factor", [2, 3, 23])
def test_any_factor_that_fits_the_model_works(pipe: TextToVideoPipeline, factor: int) -> None:
    assert len(interpolate(pipe, moving_square(4, 2), factor, generator=seed(1), **QUICK)) == 3 * factor + 1


def test_the_network_is_told_which_frames_it_gets_and_how_fast_they_are(pipe: TextToVideoPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    original = VideoUNet.forward
    monkeypatch.setattr(VideoUNet, "forward", lambda self, *a, **k: calls.append(k) or original(self, *a, **k))
    interpolate(pipe, moving_square(3, 2), 4, fps=6.0, generator=seed(1), **QUICK)
    assert calls[0]["fps"] == 24.0
    assert calls[0]["given_mask"].tolist() == [[1, 0, 0, 0, 1, 0, 0, 0, 1]]
    assert not calls[0]["given_frames"][:, :, 1].any()


@pytest.mark.parametrize(("count", "size"), [(16, 8), (16, 4), (3, 3), (2, 2), (9, 2)])
def test_windows_cover_every_gap_and_end_with_the_clip(count: int, size: int) -> None:
    starts = window_starts(count, size)
    gaps = {gap for start in starts for gap in range(start, start + size - 1)}
    assert gaps == set(range(count - 1))


def test_a_clip_is_continued_several_times_over(pipe: TextToVideoPipeline) -> None:
    clip = moving_square(16, 2)
    longer = extend(pipe, clip, 48, overlap=8, prompt="a red ball", generator=seed(1), **QUICK)
    assert longer.shape == (64, 64, 64, 3)
    assert np.array_equal(longer[:16], clip)


def test_a_single_frame_can_be_continued(pipe: TextToVideoPipeline) -> None:
    assert len(extend(pipe, moving_square(1, 1), 4, generator=seed(1), **QUICK)) == 5


def test_a_morph_starts_and_ends_with_the_pictures(pipe: TextToVideoPipeline) -> None:
    first, last = moving_square(2, 20)
    clip = morph(pipe, first, last, 7, generator=seed(1), **QUICK)
    assert clip.shape == (7, 64, 64, 3)
    assert np.array_equal(clip[[0, -1]], np.stack([first, last]))


def test_given_frames_matter_and_stay(pipe: TextToVideoPipeline) -> None:
    frames, mask = latents_and_mask()
    made = fill(pipe, frames, mask, generator=seed(1), **QUICK)
    other = fill(pipe, -frames, mask, generator=seed(1), **QUICK)
    assert torch.equal(made[:, :, 0], frames[:, :, 0])
    assert not torch.allclose(made[:, :, 1:], other[:, :, 1:], atol=0.01)


def test_interpolation_makes_as_many_steps_as_its_start_leaves_open(pipe: TextToVideoPipeline) -> None:
    steps: list[int] = []

    def count(_: object, step: int, *__: object) -> dict[str, torch.Tensor]:
        steps.append(step)
        return {}

    interpolate(pipe, moving_square(3, 4), num_inference_steps=8, start_strength=0.25, callback_on_step_end=count)
    assert steps == [0, 1]


def test_strength_zero_is_text_to_video(pipe: TextToVideoPipeline) -> None:
    frames, mask = latents_and_mask()
    made = fill(pipe, frames, mask, "a red ball", 0, generator=seed(1), **QUICK)
    alone = pipe("a red ball", num_frames=4, output_type="latent", generator=seed(1), **QUICK).frames
    assert torch.equal(made, alone)


def test_strength_is_linear_in_what_the_given_frames_change() -> None:
    unet = VideoUNet.from_image_unet(tiny_image_unet(), condition_frames=True)
    torch.nn.init.normal_(unet.temporal_condition.weight)
    frames, text = torch.randn(1, 4, 3, 8, 8, generator=seed(0)), torch.zeros(2, 5, 32)
    noisy, mask = torch.randn(2, 4, 3, 8, 8, generator=seed(1)), torch.tensor([[1.0, 0, 0]])
    with torch.no_grad():
        none, one, two = (GivenFrames(unet, frames, mask, s)(noisy, torch.tensor(5), text)[0] for s in (0, 1, 2))
    assert torch.allclose(two, none + 2 * (one - none), atol=1e-4)
    assert not torch.allclose(one, none, atol=0.01)


@pytest.mark.parametrize("make", [lambda p, c, k: interpolate(p, c, 5, **k), lambda p, c, k: extend(p, c, 40, **k)])
def test_stop_keeps_what_is_there(pipe: TextToVideoPipeline, make: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.interpolation.WINDOWS_AT_ONCE", 1)
    clip = moving_square(16, 2)

    def stop(pipe: TextToVideoPipeline, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> None:
        pipe._interrupt = True

    made = make(pipe, clip, {"callback_on_step_end": stop, "generator": seed(1), **QUICK})
    assert len(made) < 56
    assert np.array_equal(made[0], clip[0])


@pytest.mark.parametrize("more", [0, -1, 2.5, True, 100_000])
def test_a_length_that_makes_no_sense_is_refused(pipe: TextToVideoPipeline, more: Any) -> None:
    with pytest.raises(InvalidInput, match="more frames"):
        extend(pipe, moving_square(4, 1), more)


@pytest.mark.parametrize("overlap", [0, 24, 1.0])
def test_an_overlap_that_leaves_nothing_to_make_is_refused(pipe: TextToVideoPipeline, overlap: Any) -> None:
    with pytest.raises(InvalidInput, match="1 to 23"):
        extend(pipe, moving_square(4, 1), 4, overlap)


def test_a_factor_beyond_the_model_is_refused(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="2 to 23"):
        interpolate(pipe, moving_square(4, 1), 24)


@pytest.mark.parametrize("frames", [2, 25, 4.0])
def test_a_morph_of_too_few_or_too_many_frames_is_refused(pipe: TextToVideoPipeline, frames: Any) -> None:
    first, last = moving_square(2, 20)
    with pytest.raises(UnsupportedFrames, match="3 to 24"):
        morph(pipe, first, last, frames)


def test_pictures_of_two_sizes_are_refused(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="64 x 64 and 32 x 48"):
        morph(pipe, np.zeros((64, 64, 3), np.uint8), np.zeros((48, 32, 3), np.uint8))


def test_frames_of_a_size_the_model_does_not_make_are_refused(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match=r"60 x 64 pixels.*multiples of 16"):
        extend(pipe, np.zeros((4, 64, 60, 3), np.uint8), 4)


@pytest.mark.parametrize("strength", [-1, float("nan"), float("inf"), "1", True])
def test_a_strength_that_makes_no_sense_is_refused(pipe: TextToVideoPipeline, strength: Any) -> None:
    with pytest.raises(InvalidInput, match="strength"):
        fill(pipe, *latents_and_mask(), strength=strength)


def test_a_model_that_takes_no_frames_says_so() -> None:
    unet = VideoUNet.from_image_unet(tiny_image_unet())
    with pytest.raises(InvalidInput, match="without frame conditioning"):
        GivenFrames(unet, torch.zeros(1, 4, 3, 8, 8), torch.zeros(1, 3))


def test_a_mask_of_another_length_is_refused(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="mask"):
        GivenFrames(pipe.unet, torch.zeros(1, 12, 3, 8, 8), torch.zeros(1, 4))
