"""The stages that need weights, in a chain and alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.decoder import build_decoder
from pipelines.errors import InvalidInput
from pipelines.finishing import Double, Sharpen, Steady
from pipelines.reference import Animate, ReferenceChain, Sampling, Stage
from pipelines.text_to_video import TextToVideoPipeline
from tests.pipelines.test_flow import moving_square
from tests.pipelines.test_latent_flow import tiny_network
from tests.pipelines.test_upscaling import tiny_upscaler
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> TextToVideoPipeline:
    return tiny_pipeline()


def test_a_picture_becomes_a_smooth_steady_and_large_clip(pipe: TextToVideoPipeline) -> None:
    motion = Animate("a red ball", 4, sampling=Sampling(steps=1))
    chain = ReferenceChain(pipe, [motion, Double(tiny_network()), Steady(build_decoder(pipe.vae)), Sharpen(tiny_upscaler())])
    chain.replace("motion", moving_square(4, 3))
    shapes = [(name, clip.shape[:2]) for name, clip in chain.run()]
    assert shapes == [("motion", (4, 64)), ("smooth", (7, 64)), ("steady", (7, 64)), ("sharp", (7, 128))]


def test_only_the_size_is_made_again_when_only_that_is_changed(pipe: TextToVideoPipeline) -> None:
    network, upscaler = tiny_network(), tiny_upscaler()
    chain = ReferenceChain(pipe, [Animate("a"), Double(network), Sharpen(upscaler)])
    chain.replace("motion", moving_square(3, 3))
    list(chain.run())
    chain.set(Double(network))
    chain.set(Sharpen(upscaler, seed=7))
    assert set(chain.results) == {"motion", "smooth"}


def test_sharpening_can_be_stopped_and_is_then_not_kept(pipe: TextToVideoPipeline) -> None:
    chain = ReferenceChain(pipe, [Animate("a"), Sharpen(tiny_upscaler(), steps=6)])
    chain.replace("motion", moving_square(2, 3))
    seen: list[int] = []

    def stop(pipe: TextToVideoPipeline, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> None:
        seen.append(step)
        pipe._interrupt = True

    assert [name for name, _ in chain.run(on_step=stop)] == ["motion", "sharp"]
    assert seen == [0]
    assert set(chain.results) == {"motion"}


@pytest.mark.parametrize("stage", [Double(tiny_network()), Steady(build_decoder(tiny_pipeline().vae)), Sharpen(tiny_upscaler())])
def test_a_stage_without_a_clip_says_so(pipe: TextToVideoPipeline, stage: Stage) -> None:
    with pytest.raises(InvalidInput, match="no clip to finish"):
        stage(pipe, None, None)


def test_an_untrained_decoder_changes_no_more_than_the_autoencoder(pipe: TextToVideoPipeline) -> None:
    clip = moving_square(3, 3)
    steady = Steady(build_decoder(pipe.vae))
    once = steady(pipe, clip, None)
    assert np.abs(steady(pipe, once, None).astype(int) - once).max() <= 2
