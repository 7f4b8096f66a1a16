"""Clips for training a network that is given frames: what is given of each, and clips that go on beyond their end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..training.loop import Batch
from .captions import PRIOR_STYLES, Attributes, caption, random_attributes
from .recipe import tokenize
from .textures import drifting_clouds
from .world import FPS, FRAMES, render

RATES = (1, 1, 1, 2, 3, 5)  # frames a second of clips with given frames, in multiples of the world's
UNTOLD = 0.3  # share of clips whose caption is empty, at the world's own rate; others have none, for a person's clip has none
CONTINUED = 0.15  # share of batches that continue a clip, beyond its end, too
LATEST = 3.0  # where the last continuations start, in clips
ENDING = ("left", "right", "up", "down", "grow")  # motions that have an end; the others go round


@dataclass
class GivenFrameBatches:
    """Clips at several frame rates, some of whose frames are given: step -> batch of `DenoisingObjective`."""

    tokenizer: PreTrainedTokenizerBase
    batch_size: int = 4

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng((12, step))
        return self._continued(rng) if rng.random() < CONTINUED else self._amid(rng)

    def _amid(self, rng: np.random.Generator) -> Batch:
        """Clips within the world's own time."""
        rate = int(rng.choice(RATES))  # one a batch: positions are times, and clips of a batch share them
        known = [random_attributes(rng, PRIOR_STYLES, held_out=False) for _ in range(self.batch_size)]
        clips = np.stack([self._clip(one, rate, rng) for one in known])
        texts = ["" if rate > 1 or rng.random() < UNTOLD else caption(one, rng, motion=True, omit=0.05) for one in known]
        given = np.stack([frames_to_give(FRAMES, rng) for _ in clips])
        if rate > 1:
            clips[0], given[0] = drifting_clouds(np.linspace(0, 1, FRAMES), rng), every_few(FRAMES, rng)
        return self._batch(clips, texts, rate, given)

    def _continued(self, rng: np.random.Generator) -> Batch:
        """Windows of clips that go on, whose first half is given."""
        known = [random_attributes(rng, PRIOR_STYLES, held_out=False) for _ in range(self.batch_size)]
        starts, frames = rng.uniform(0, LATEST, self.batch_size), np.linspace(0, 1, FRAMES)
        clips = np.stack([render(one, rng, times=beyond(one, start + frames)) for one, start in zip(known, starts, strict=True)])
        texts = ["" if rng.random() < UNTOLD else caption(one, rng, motion=True, omit=0.05) for one in known]
        given = np.zeros((self.batch_size, FRAMES), np.float32)
        given[:, : FRAMES // 2] = 1
        return self._batch(clips, texts, 1, given)

    def _batch(self, clips: np.ndarray, texts: list[str], rate: int, given: np.ndarray) -> Batch:
        return {
            "pixels": torch.from_numpy(clips),
            "input_ids": tokenize(self.tokenizer, texts),
            "fps": torch.full((len(clips),), float(FPS * rate)),
            "given": torch.from_numpy(given),
        }

    @staticmethod
    def _clip(known: Attributes, rate: int, rng: np.random.Generator) -> np.ndarray:
        first = rng.uniform(0, 1 - 1 / rate) if rate > 1 else 0.0
        return render(known, rng, times=first + np.linspace(0, 1 / rate, FRAMES))


def beyond(known: Attributes, times: np.ndarray) -> np.ndarray:
    """Times of the world for a clip that goes on: what comes to an end there turns round, and is at its start again after two clips."""
    return 1 - np.abs(1 - times % 2) if known.motion in ENDING else times


def frames_to_give(frames: int, rng: np.random.Generator) -> np.ndarray:
    """1 where a frame is given: every k-th, the first k, the first (nearly half of the clips), or the two ends. Float32 (frames,)."""
    given = np.zeros(frames, np.float32)
    match rng.choice(4, p=(0.38, 0.06, 0.46, 0.1)):
        case 0:
            return every_few(frames, rng)
        case 1:
            given[: rng.integers(2, max(3, frames // 2 + 1))] = 1
        case 2:
            given[0] = 1
        case 3:
            given[[0, -1]] = 1
    return given


def every_few(frames: int, rng: np.random.Generator) -> np.ndarray:
    """1 at every k-th frame, k from 2 to 5. Float32 (frames,)."""
    given = np.zeros(frames, np.float32)
    given[:: rng.choice((2, 3, 4, 5), p=(0.55, 0.15, 0.15, 0.15))] = 1
    return given
