"""A picture sets the look, the model brings it to life: reference image, motion, more frames, each stage seen and replaceable.

Li et al., "VideoGen: A Reference-Guided Latent Diffusion Approach for High Definition Text-to-Video Generation", arXiv 2309.00398: an
image model draws the reference, so that the video model spends itself on motion. Here both are one `VideoUNet`: with a single frame it
is the image model.

    chain = ReferenceChain(pipe, [DrawPicture("a red ball"), Animate("a red ball moving left"), Smooth(2)])
    for name, clip in chain.run():          # "picture" (1, h, w, 3), "motion" (16, h, w, 3), "smooth" (31, h, w, 3)
        ...
    chain.set(Smooth(4))                    # the next run makes this stage alone
    chain.replace("picture", photograph)    # the next run makes what follows from it

Any callable that takes the pipeline and the clip before it, and has a `name`, is a stage; further ones (sharper, another decoder) are
added to the list where there are weights for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch

from .errors import InvalidInput, UnsupportedFrames
from .flow import flow_between
from .interpolation import check_frames, extend, fill, interpolate, spread, to_pixels
from .inversion import encode_clip
from .noise import NoisePrior
from .text_to_video import StepCallback, TextToVideoPipeline


class Stage(Protocol):
    """A step of the chain. `name` is its place's; stages that compare equal make the same from the same.

    Called with the pipeline, the clip of the stage before (None for the first), and a callback for each sampler step.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray: ...


@dataclass(frozen=True)
class Sampling:
    """How a stage samples; None is the model's own.

    Args:
        seed: of the noise.
        steps: of the sampler.
        guidance_scale: of the text.
        sampler: a name in `SAMPLERS`.
        noise_prior: of all noise.
        negative_prompt: what guidance moves away from.
    """

    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    noise_prior: NoisePrior | None = None
    negative_prompt: str | None = None

    def call(self, on_step: StepCallback | None) -> dict[str, Any]:
        """Keyword arguments of the pipeline; what is None is left out."""
        named = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "sampler": self.sampler,
            "noise_prior": self.noise_prior,
            "negative_prompt": self.negative_prompt,
            "callback_on_step_end": on_step,
            "callback_on_step_end_tensor_inputs": ("latents", "denoised") if on_step else None,
        }
        return {"generator": torch.Generator().manual_seed(self.seed)} | {k: v for k, v in named.items() if v is not None}


@dataclass(frozen=True)
class DrawPicture:
    """The reference from text: the network with one frame. uint8 (1, h, w, 3)."""

    prompt: str
    sampling: Sampling = field(default_factory=Sampling)
    name: ClassVar[str] = "picture"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        frames = pipe(self.prompt, num_frames=1, output_type="latent", **self.sampling.call(on_step)).frames
        return to_pixels(pipe, frames)[0]


@dataclass(frozen=True)
class Animate:
    """The reference set in motion: uint8 (frames, h, w, 3). Of two pictures, the second is where the motion ends.

    Args:
        prompt: what is shown and how it moves.
        frames: of the clip; None is the model's own number.
        fps: frames a second that the motion is meant for.
        strength: of the reference, apart from the text's guidance: 0 does not look at it, 1 believes it as trained and keeps the picture
            as the first frame, more exaggerates what it changes; between 0 and 1 it is a hint. See `interpolation.GivenFrames`.
    """

    prompt: str
    frames: int | None = None
    fps: float | None = None
    strength: float = 1.0
    sampling: Sampling = field(default_factory=Sampling)
    name: ClassVar[str] = "motion"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        if before is None or len(before) not in (1, 2):
            raise InvalidInput(
                f"There are {0 if before is None else len(before)} pictures to animate.", "Give one, or a first and a last one."
            )
        check_frames(pipe, before)
        count, most = pipe.defaults.num_frames if self.frames is None else self.frames, pipe.defaults.max_frames
        if isinstance(count, bool) or not isinstance(count, int) or not len(before) < count <= most:
            raise UnsupportedFrames(f"{count!r} frames were asked for.", f"This model makes {len(before) + 1} to {most} of them.")
        given, mask = given_pictures(pipe, before, count)
        call = self.sampling.call(on_step) | ({} if self.fps is None else {"fps": self.fps})
        clip = to_pixels(pipe, fill(pipe, given, mask, self.prompt, self.strength, **call))[0]
        if self.strength >= 1:
            clip[mask[0].bool().numpy()] = before
        return clip


@dataclass(frozen=True)
class Continue:
    """The clip goes on for `more` frames, see `interpolation.extend`; `fps` is how fast it plays, None the model's own."""

    more: int
    prompt: str = ""
    overlap: int | None = None
    fps: float | None = None
    sampling: Sampling = field(default_factory=Sampling)
    name: ClassVar[str] = "longer"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        call = self.sampling.call(on_step) | ({} if self.fps is None else {"fps": self.fps})
        return extend(pipe, clip_before(before), self.more, self.overlap, self.prompt, **call)


@dataclass(frozen=True)
class Smooth:
    """`factor` times as many frames a second.

    Args:
        way: "flow" moves pixels along their optical flow and needs no weights; "network" is the masked-frame network.
        fps: of the clip before, for the network.
    """

    factor: int = 2
    way: Literal["flow", "network"] = "flow"
    fps: float | None = None
    sampling: Sampling = field(default_factory=Sampling)
    name: ClassVar[str] = "smooth"

    def __call__(self, pipe: TextToVideoPipeline, before: np.ndarray | None, on_step: StepCallback | None) -> np.ndarray:
        if self.way == "flow":
            return flow_between(clip_before(before), self.factor)
        if self.way == "network":
            return interpolate(pipe, clip_before(before), self.factor, self.fps, **self.sampling.call(on_step))
        raise InvalidInput(f"There is no interpolation {self.way!r}.", "Choose flow or network.")


class ReferenceChain:
    """Stages in order, and what each has made. A result is made once, until its stage or one before it is changed.

    Args:
        pipe: what all stages use.
        stages: one of a name.

    Raises:
        InvalidInput: for no stages, or two of one name.
    """

    def __init__(self, pipe: TextToVideoPipeline, stages: Sequence[Stage]) -> None:
        self.pipe, self.stages = pipe, list(stages)
        names = [stage.name for stage in stages]
        if not names or len(set(names)) < len(names):
            raise InvalidInput(f"The stages are {', '.join(names) or 'none'}.", "Give one stage or more, each under a name of its own.")
        self._results: dict[str, np.ndarray] = {}
        self._skipped: set[str] = set()

    @property
    def results(self) -> dict[str, np.ndarray]:
        """What has been made or put in place so far, by the stages' names; uint8 (f, h, w, 3) each."""
        return dict(self._results)

    def run(self, until: str | None = None, on_step: StepCallback | None = None) -> Iterator[tuple[str, np.ndarray]]:
        """Makes what is missing, in order, and yields each stage's name and clip, made now or before.

        Interrupted (`pipe._interrupt`), it yields how far the stage came and ends; the next run makes that stage again.

        Args:
            until: the last stage that is wanted.
            on_step: told of each sampler step, as the pipeline's callback.
        """
        before: np.ndarray | None = None
        for stage in self.stages[: None if until is None else self._place(until) + 1]:
            if stage.name in self._skipped:
                continue
            if stage.name not in self._results:
                self.pipe._interrupt = False
                made = stage(self.pipe, before, on_step)
                if self.pipe.interrupt:
                    yield stage.name, made
                    return
                self._results[stage.name] = made
            before = self._results[stage.name]
            yield stage.name, before

    def set(self, stage: Stage) -> None:
        """Puts a stage in the place of the one of its name. Unless they are equal, its result and all later ones are forgotten."""
        place = self._place(stage.name)
        if self.stages[place] != stage:
            self.stages[place] = stage
            self.again(stage.name)

    def again(self, name: str) -> None:
        """Forgets the result of a stage and of all after it."""
        for stage in self.stages[self._place(name) :]:
            self._results.pop(stage.name, None)

    def replace(self, name: str, clip: np.ndarray) -> None:
        """A clip uint8 (f, h, w, 3), or a picture (h, w, 3), instead of what the stage makes; all later results are forgotten."""
        clip = clip[None] if clip.ndim == 3 else clip
        check_frames(self.pipe, clip)
        self.again(name)
        self._skipped.discard(name)
        self._results[name] = clip

    def skip(self, name: str, skipped: bool = True) -> None:
        """Leaves a stage out, or takes it in again; its own result is kept, later ones are forgotten."""
        if (name in self._skipped) != skipped:
            (self._skipped.add if skipped else self._skipped.discard)(name)
            for stage in self.stages[self._place(name) + 1 :]:
                self._results.pop(stage.name, None)

    def _place(self, name: str) -> int:
        for place, stage in enumerate(self.stages):
            if stage.name == name:
                return place
        raise InvalidInput(f"There is no stage {name!r}.", f"Choose one of {', '.join(stage.name for stage in self.stages)}.")


def given_pictures(pipe: TextToVideoPipeline, pictures: np.ndarray, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (1, c, count, h, w) and mask (1, count) with one picture at the start, or two at both ends."""
    latents, mask = encode_clip(pipe, pictures), torch.zeros(1, count)
    mask[:, [0, -1] if len(pictures) == 2 else [0]] = 1
    if len(pictures) == 2:
        return spread(latents, count - 1), mask
    missing = latents.new_zeros(*latents.shape[:2], count - 1, *latents.shape[3:])
    return torch.cat([latents, missing], dim=2), mask


def clip_before(before: np.ndarray | None) -> np.ndarray:
    """What a finishing stage finishes. Raises InvalidInput when there is none."""
    if before is None:
        raise InvalidInput("There is no clip to finish.", "Put a stage before this one that makes one, or replace it with a clip.")
    return before
