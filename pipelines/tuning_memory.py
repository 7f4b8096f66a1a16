"""How much memory one-shot tuning needs, and in which ways it can be done with less. Arithmetic on file headers; no torch.

    backward = K x frames x latent height x latent width x channels x bytes      channels of the UNet's first level
    need     = (weights + 16 x learning parameters + the largest of backward, denoising and decoding) x 1.1 + 0.7 GiB (CUDA's own)

K is the peak of live tensors of one step of SD 1.x and 2.x in full size on the meta device (`tests/pipelines/test_tuning_memory.py`
repeats it): with all activations kept, and with those that gradient checkpointing keeps. Samples on the way are denoised with guidance and
decoded as any clip (`memory`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import OutOfMemory
from .memory import AS_IT_IS, GIB, RUNTIME, SLACK, Form, Job, Model, model_of, need
from .signatures import learning_parameters

KEPT, TWICE = 410.0, 98.0
LEARNING_BYTES = 16  # a parameter, its gradient, and AdamW's two moments, in float32


@dataclass(frozen=True)
class Way:
    """A way of tuning.

    Args:
        note: what was done for want of memory, for people.
        checkpointing: whether activations are computed twice instead of kept.
        tiled: whether the autoencoder works in tiles.
    """

    note: str = ""
    checkpointing: bool = False
    tiled: bool = False


PLAIN = Way()
TWICE_COMPUTED = Way("activations computed twice, for want of memory", True)
TILED = Way("activations computed twice and frames decoded in tiles, for want of memory", True, True)
CHECKPOINTED = Way(checkpointing=True)  # as the authors do on a GPU
CHECKPOINTED_TILED = Way("frames encoded and decoded in tiles, for want of memory", True, True)


@dataclass(frozen=True)
class Learner:
    """What is known of a model that is to be tuned.

    Args:
        model: its sizes.
        learning: how many of its parameters learn.
        form: what its switches say of every job, and the bytes of a number in it.
    """

    model: Model
    learning: int
    form: Form = AS_IT_IS

    @classmethod
    def of(cls, path: str | Path, form: Form) -> Learner:
        """Of the model in a directory. Raises ModelError as `model_of`."""
        return cls(model_of(path), learning_parameters(path), form)

    def in_way(self, way: Way) -> Form:
        """How its frames are encoded and decoded."""
        return replace(self.form, tiled=self.form.tiled or way.tiled)

    def ways(self, checkpointing: bool, can_tile: bool) -> list[Way]:
        """From the fastest to the one that needs least memory.

        Args:
            checkpointing: whether that is usual on the device.
            can_tile: whether the autoencoder can work in tiles.
        """
        found = [CHECKPOINTED, CHECKPOINTED_TILED] if checkpointing else [PLAIN, TWICE_COMPUTED, TILED]
        return [way for way in found if not way.tiled or (can_tile and not self.form.tiled)]


def tuning_bytes(learner: Learner, job: Job, way: Way) -> int:
    """What a tuning needs on the device, by the formula at the head of this file."""
    model, unit = learner.model, learner.model.unit
    places = job.frames * math.ceil(job.height / unit) * math.ceil(job.width / unit)
    backward = (TWICE if way.checkpointing else KEPT) * places * model.channels * learner.form.bytes
    sample = need(model, replace(job, guided=True), learner.in_way(way))
    held = sample.weights + LEARNING_BYTES * learner.learning
    return math.ceil((held + max(backward, sample.denoising, sample.decoding)) * SLACK) + RUNTIME


def first_way(learner: Learner, job: Job, available: int, offered: list[Way]) -> Way:
    """The first of the offered ways that a device has room for.

    Raises:
        OutOfMemory: when none fits, with what the last needs, and how many frames would fit.
    """
    for way in offered:
        if tuning_bytes(learner, job, way) <= available:
            return way
    last = offered[-1]
    fewer = [n for n in range(2, job.frames) if tuning_bytes(learner, replace(job, frames=n), last) <= available]
    raise OutOfMemory(
        f"Learning {job.frames} frames of {job.width} x {job.height} needs {tuning_bytes(learner, job, last) / GIB:.1f} GiB at least, "
        f"and the device has {available / GIB:.1f} GiB.",
        f"Choose {fewer[-1]} frames or fewer, or a smaller size." if fewer else "Choose a smaller size, or a smaller model.",
    )
