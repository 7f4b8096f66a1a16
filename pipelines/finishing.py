"""Stages of a `ReferenceChain` that need weights of their own: smoother, steadier, sharper. Without the weights there is no such stage.

    chain = ReferenceChain(pipe, [DrawPicture("a red ball"), Animate("a red ball moving left"), Double(flow), Sharpen(upscaler)])

Each also finishes any other clip: `Sharpen(upscaler)(pipe, clip, None)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from .decoder import VideoDecoder, decode_clip
from .interpolation import check_frames
from .inversion import encode_clip
from .latent_flow import LatentFlow, doubled
from .reference import clip_before
from .text_to_video import StepCallback, TextToVideoPipeline
from .upscaling import Upscaler, upscale


@dataclass(frozen=True)
class Double:
    """Two, four, eight times the frames a second, see `latent_flow`."""

    network: LatentFlow
    factor: int = 2
    name: ClassVar[str] = "smooth"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        return doubled(self.network, pipe, clip_before(before), self.factor)


@dataclass(frozen=True)
class Steady:
    """The clip encoded frame by frame and decoded as a video, see `decoder`."""

    decoder: VideoDecoder
    name: ClassVar[str] = "steady"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        check_frames(pipe, clip_before(before))
        frames = decode_clip(self.decoder, pipe, encode_clip(pipe, clip_before(before)))[0]
        return np.round(frames * 255).astype(np.uint8)


@dataclass(frozen=True)
class Sharpen:
    """Twice the size, see `upscaling`.

    Args:
        steps: of the sampler.
        sampler: a name in `SAMPLERS`.
        augmentation: how much the network may make up.
        seed: of the noise.
    """

    upscaler: Upscaler
    steps: int = 4
    sampler: str = "ddim"
    augmentation: float = 0.05
    seed: int = 0
    name: ClassVar[str] = "sharp"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        def go_on(done: int, total: int) -> bool:
            if on_step is not None and done:
                on_step(pipe, done - 1, 0, {})
            return not pipe.interrupt

        generator = torch.Generator().manual_seed(self.seed)
        return upscale(self.upscaler, clip_before(before), self.steps, self.sampler, self.augmentation, generator=generator, on_step=go_on)
