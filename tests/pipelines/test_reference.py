"""The chain on a tiny random model: stages are made once, replaced, skipped and made again, and the reference counts as said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.errors import InvalidInput, UnsupportedFrames
from pipelines.reference import Animate, Continue, DrawPicture, ReferenceChain, Sampling, Smooth
from pipelines.text_to_video import StepCallback, TextToVideoPipeline
from tests.pipelines.test_flow import moving_square
from tests.tiny import tiny_pipeline

QUICK = Sampling(seed=1, steps=1)


@pytest.fixture(scope="module")
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


@dataclass(frozen=True)
class Counting:
    """A stage that makes a clip of `value` after what came before, and keeps count."""

    name: str
    value: int
    made: tuple[list[str], ...] = ([],)

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        self.made[0].append(self.name)
        own = np.full((1, 64, 64, 3), self.value, np.uint8)
        return own if before is None else np.concatenate([before, own])


def counting_chain(pipe: TextToVideoPipeline) -> tuple[ReferenceChain, list[str]]:
    made: list[str] = []
    return ReferenceChain(pipe, [Counting(name, i, (made,)) for i, name in enumerate("abc")]), made


def values(chain: ReferenceChain) -> list[int]:
    """Of the last clip's frames."""
    return [int(frame[0, 0, 0]) for frame in list(chain.run())[-1][1]]


def test_text_becomes_a_picture_a_clip_and_a_smoother_clip(pipe: TextToVideoPipeline) -> None:
    chain = ReferenceChain(pipe, [DrawPicture("a red ball", QUICK), Animate("a red ball moving left", 6, sampling=QUICK), Smooth(2)])
    clips = dict(chain.run())
    assert [(name, len(clip)) for name, clip in clips.items()] == [("picture", 1), ("motion", 6), ("smooth", 11)]
    assert np.array_equal(clips["motion"][0], clips["picture"][0])
    assert np.array_equal(clips["smooth"][::2], clips["motion"])


def test_a_stage_is_made_once(pipe: TextToVideoPipeline) -> None:
    chain, made = counting_chain(pipe)
    list(chain.run("b"))
    assert values(chain) == [0, 1, 2]
    assert made == ["a", "b", "c"]


def test_a_changed_stage_and_those_after_it_are_made_again(pipe: TextToVideoPipeline) -> None:
    chain, made = counting_chain(pipe)
    list(chain.run())
    chain.set(Counting("b", 7, (made,)))
    assert values(chain) == [0, 7, 2]
    assert made == ["a", "b", "c", "b", "c"]


def test_an_equal_stage_changes_nothing(pipe: TextToVideoPipeline) -> None:
    chain = ReferenceChain(pipe, [DrawPicture("a red ball", QUICK)])
    list(chain.run())
    chain.set(DrawPicture("a red ball", Sampling(seed=1, steps=1)))
    assert "picture" in chain.results
    chain.set(DrawPicture("a red ball", Sampling(seed=2, steps=1)))
    assert chain.results == {}


def test_a_stage_can_be_asked_for_again(pipe: TextToVideoPipeline) -> None:
    chain, made = counting_chain(pipe)
    list(chain.run())
    chain.again("c")
    list(chain.run())
    assert made == ["a", "b", "c", "c"]


def test_a_persons_picture_replaces_what_a_stage_made(pipe: TextToVideoPipeline) -> None:
    chain, made = counting_chain(pipe)
    list(chain.run())
    chain.replace("a", np.full((64, 64, 3), 9, np.uint8))
    assert values(chain) == [9, 1, 2]
    assert made.count("a") == 1


def test_a_skipped_stage_is_passed_by_and_keeps_its_result(pipe: TextToVideoPipeline) -> None:
    chain, made = counting_chain(pipe)
    list(chain.run())
    chain.skip("b")
    assert values(chain) == [0, 2]
    chain.skip("b", False)
    assert values(chain) == [0, 1, 2]
    assert made.count("b") == 1


def test_an_interrupted_stage_is_shown_and_made_again(pipe: TextToVideoPipeline) -> None:
    chain = ReferenceChain(pipe, [DrawPicture("a red ball", Sampling(steps=3)), Smooth()])

    def stop(pipe: TextToVideoPipeline, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> None:
        pipe._interrupt = True

    assert [name for name, _ in chain.run(on_step=stop)] == ["picture"]
    assert chain.results == {}
    assert [name for name, _ in chain.run("picture")] == ["picture"]
    assert "picture" in chain.results


def test_the_reference_matters_the_more_the_stronger(pipe: TextToVideoPipeline) -> None:
    picture = moving_square(1, 0)

    def animated(strength: float) -> np.ndarray:
        return Animate("a red ball", 4, strength=strength, sampling=QUICK)(pipe, picture, None).astype(float)

    alone = pipe("a red ball", num_frames=4, num_inference_steps=1, generator=torch.Generator().manual_seed(1)).frames[0]
    assert np.abs(animated(0) - alone * 255).max() <= 1
    away = [np.abs(animated(strength) - animated(0))[1:].mean() for strength in (0.5, 1.0, 2.0)]
    assert 0 < away[0] < away[1] < away[2]
    assert np.array_equal(animated(1)[0], picture[0])


def test_two_pictures_are_the_first_and_the_last_frame(pipe: TextToVideoPipeline) -> None:
    pictures = moving_square(2, 20)
    clip = Animate("a red ball", 5, sampling=QUICK)(pipe, pictures, None)
    assert np.array_equal(clip[[0, -1]], pictures)


def test_a_clip_can_be_continued_and_smoothed_by_the_network(pipe: TextToVideoPipeline) -> None:
    chain = ReferenceChain(pipe, [Animate("a"), Continue(4, sampling=QUICK), Smooth(2, "network", sampling=QUICK)])
    chain.replace("motion", moving_square(4, 3))
    assert [len(clip) for _, clip in chain.run()] == [4, 8, 15]


@pytest.mark.parametrize("frames", [1, 25, 2.5, True])
def test_frames_it_cannot_make_are_refused(pipe: TextToVideoPipeline, frames: Any) -> None:
    with pytest.raises(UnsupportedFrames, match="2 to 24"):
        Animate("a", frames)(pipe, moving_square(1, 0), None)


@pytest.mark.parametrize("before", [None, moving_square(3, 1)])
def test_no_picture_and_too_many_are_refused(pipe: TextToVideoPipeline, before: np.ndarray | None) -> None:
    with pytest.raises(InvalidInput, match="pictures to animate"):
        Animate("a", 4)(pipe, before, None)


def test_a_finishing_stage_without_a_clip_says_so(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="no clip to finish"):
        list(ReferenceChain(pipe, [Smooth()]).run())


def test_stages_have_names_of_their_own(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="smooth, smooth"):
        ReferenceChain(pipe, [Smooth(2), Smooth(3)])


def test_a_stage_that_is_not_there_is_named(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="'sharp'"):
        ReferenceChain(pipe, [Smooth(2)]).skip("sharp")


def test_an_interpolation_that_is_not_there_is_named(pipe: TextToVideoPipeline) -> None:
    with pytest.raises(InvalidInput, match="'magic'"):
        Smooth(2, "magic")(pipe, moving_square(2, 1), None)  # type: ignore[arg-type]
