"""The stages that finish a clip: longer, smooth, steady, sharp, in this order. Which of them a model can do, and how each is made.

Long clips are finished part by part, so that a stop is heard between two parts and memory does not grow with the clip. No torch until
something is made. Pixel video is uint8 (f, h, w, 3).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.checkpoints import read_defaults
from pipelines.defaults import MOST_FRAMES, GenerationDefaults
from pipelines.errors import InvalidInput, WeightsMissing
from pipelines.finishers import SAID, Finisher, has_finisher

from .chain import Planned, Ticker
from .making import Bench
from .reference_requests import Finishing
from .residency import Resident, ResidentFinishers

if TYPE_CHECKING:
    from pipelines.decoder import VideoDecoder
    from pipelines.finishers import Finishers
    from pipelines.reference import Sampling
    from pipelines.text_to_video import TextToVideoPipeline

MOST_FPS = 240.0
PAIRS_AT_ONCE = 32  # of neighbouring frames
STEADY_AT_ONCE, STEADY_MARGIN = 48, 16  # frames, and how many more are decoded at either side: a frame sees no further
SHARP_AT_ONCE = 32  # frames
SHARP_STEPS = 4


@dataclass(frozen=True)
class Shape:
    """Of a clip that is to be finished: frames, frames a second, and pixels."""

    frames: int
    fps: float
    width: int
    height: int


@dataclass(frozen=True)
class Drawing:
    """How frames are drawn; None is the model's own."""

    prompt: str
    seed: int
    steps: int
    negative_prompt: str = ""
    guidance_scale: float | None = None
    sampler: str | None = None
    noise_kind: str | None = None
    noise_alpha: float = 0.0

    def sampling(self, told: bool = True, seed: int | None = None) -> Sampling:
        """For the pipelines; `told` is whether the stage is told the prompt, without which there is nothing to guide."""
        from pipelines.noise import NoisePrior
        from pipelines.reference import Sampling

        return Sampling(
            self.seed if seed is None else seed,
            self.steps,
            self.guidance_scale if told and self.prompt else None,
            self.sampler,
            NoisePrior(self.noise_kind, self.noise_alpha) if self.noise_kind else None,  # type: ignore[arg-type]
            (self.negative_prompt or None) if told else None,
        )

    @property
    def passes(self) -> int:
        """Evaluations of the network a step."""
        return 2 if self.prompt and (self.guidance_scale is None or self.guidance_scale > 1) else 1


# -- What can be done -------------------------------------------------------------------------------------------------


def check(request: Finishing, clip: Shape, bench: Bench) -> None:
    """Refuses what cannot be made of a clip, before it is queued.

    Raises:
        InvalidInput: for too many frames, or frames that the model's networks do not take.
        WeightsMissing: when the model lacks a network.
    """
    model, own = bench.settings.model_dir, read_defaults(bench.settings.model_dir)
    frames, factor = clip.frames + request.longer, request.smoother
    total, fps = (frames - 1) * factor + 1, clip.fps * factor
    if total > MOST_FRAMES:
        happened = f"{clip.frames:,} frames, {request.longer:,} more and {factor} times as many, are {total:,}."
        raise InvalidInput(happened, f"At most {MOST_FRAMES:,} are made: take a shorter clip, or ask for less.")
    if factor > 1 and frames < 2:
        raise InvalidInput("The clip has one frame.", "There is something between two frames or more: make it longer first.")
    if fps > MOST_FPS:
        raise InvalidInput(f"The clip would play {fps:g} frames a second.", f"At most {MOST_FPS:g} are made: ask for less.")
    if request.longer:
        check_takes_frames(model)
        _check_size("longer", clip, own)
    if factor > 1:
        _check_way(request, clip, own, model)
    if request.steadier:
        _check_has("decoder", model, "Leave it as steady as it is.")
        _check_size("steadier", clip, own)
    if request.sharper:
        _check_has("upscaler", model, "Leave it at its size.")
        _check_size("sharper", clip, own)


def check_takes_frames(model: Path) -> None:
    """Raises InvalidInput when the model has no network that takes given frames."""
    try:
        built = json.loads((model / "unet" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        built = {}
    if not has_finisher(model, "frames") and not built.get("condition_frames", False):
        raise InvalidInput(f"The model {model.name!r} takes no given frames.", "Choose a model that was built with frame conditioning.")


def _check_way(request: Finishing, clip: Shape, own: GenerationDefaults, model: Path) -> None:
    if request.smoother_way == "learned":
        _check_has("flow", model, "Choose frames between along the optical flow.")
    if request.smoother_way == "network":
        check_takes_frames(model)
        _check_size("smoother by the model itself", clip, own)
        if request.smoother >= own.max_frames:
            raise InvalidInput(f"{request.smoother} times as many frames were asked for.", f"This model fills up to {own.max_frames - 2}.")


def _check_has(name: Finisher, model: Path, remedy: str) -> None:
    if not has_finisher(model, name):
        raise WeightsMissing(f"The model {model.name!r} comes without {SAID[name]}.", remedy)


def _check_size(what: str, clip: Shape, own: GenerationDefaults) -> None:
    if (clip.width, clip.height) != (own.width, own.height):
        happened = f"The clip has {clip.width} x {clip.height} pixels; this model makes clips of {own.width} x {own.height} {what}."
        raise InvalidInput(happened, f"Make it {what} before it is made sharper, or smoother along the flow.")


# -- How it is done ---------------------------------------------------------------------------------------------------


class Workshop:
    """The stages that a request asks for, with the networks that make them.

    Args:
        resident: the borrowed model.
        finishers: what the pool has for it.
        drawing: how frames are drawn.
    """

    def __init__(self, resident: Resident, finishers: ResidentFinishers, drawing: Drawing) -> None:
        self.resident, self.finishers, self.drawing = resident, finishers, drawing
        self.networks: Finishers = finishers.networks
        self.defaults = resident.pipe.defaults

    def weights(self, *names: Finisher) -> dict[str, str]:
        """Of the model, and of those finishers that there are."""
        return {**self.resident.model.weights, **{k: v for name in names for k, v in self.finishers.weights_of(name).items()}}

    def plan(self, request: Finishing, before: str, clip: Shape) -> list[Planned]:
        """Stages for what the request asks, of the clip that the stage `before` makes."""
        frames, fps = clip.frames, clip.fps
        plan: list[Planned] = []

        def add(stage: Planned) -> None:
            nonlocal before
            plan.append(stage)
            before = stage.name

        if request.longer:
            add(self._longer(request.longer, before, frames, fps))
            frames += request.longer
        if request.smoother > 1:
            add(self._smooth(request, before, frames, fps))
            frames, fps = (frames - 1) * request.smoother + 1, fps * request.smoother
        if request.steadier:
            parts = len(steady_windows(frames))
            add(Planned("steady", (before,), {}, self.weights("decoder"), fps, parts, 0.1 * frames / 16, self._steady))
        if request.sharper:
            steps, seed = SHARP_STEPS * len(sharp_windows(frames)), self.drawing.seed
            own = self.finishers.weights_of("upscaler")
            make = partial(self._sharp, seed=seed)
            add(Planned("sharp", (before,), {"seed": seed, "steps": SHARP_STEPS}, own, fps, steps, 1.5 * frames / 16, make))
        return plan

    def _longer(self, more: int, before: str, frames: int, fps: float) -> Planned:
        from pipelines.reference import Continue

        longest, windows, left, known = self.defaults.max_frames, 0, more, frames
        while left > 0:
            new = min(longest - min(known, max(1, longest // 2)), left)
            left, known, windows = left - new, known + new, windows + 1
        stage = Continue(more, self.drawing.prompt, None, fps, self.drawing.sampling())
        decides = {"more": more, **asdict(self.drawing)}
        steps = windows * self.drawing.steps
        return Planned("longer", (before,), decides, self.weights("frames"), fps, steps, steps * self.drawing.passes, self.drawn(stage))

    def _smooth(self, request: Finishing, before: str, frames: int, fps: float) -> Planned:
        factor, way, pairs = request.smoother, request.smoother_way, frames - 1
        made, decides = fps * factor, {"factor": factor, "way": way}
        if way == "network":
            return self._filled(factor, before, frames, fps)
        if way == "learned":
            rounds = range(factor.bit_length() - 1)
            steps = sum(-(-pairs * 2**i // PAIRS_AT_ONCE) for i in rounds)
            make, weights = partial(self._learned, factor=factor), self.weights("flow")
            return Planned("smooth", (before,), decides, weights, made, steps, 0.1 * pairs * factor / 16, make)
        steps = -(-pairs // PAIRS_AT_ONCE)
        return Planned("smooth", (before,), decides, {}, made, steps, 0.05 * pairs * factor / 16, partial(optical, factor=factor))

    def _filled(self, factor: int, before: str, frames: int, fps: float) -> Planned:
        from pipelines.interpolation import FROM_FLOW, WINDOWS_AT_ONCE, window_starts
        from pipelines.reference import Smooth

        keys = min(frames, (self.defaults.max_frames - 1) // factor + 1)
        windows = len(window_starts(frames, keys))
        drawing = {name: value for name, value in asdict(self.drawing).items() if "prompt" not in name and name != "guidance_scale"}
        decides = {"factor": factor, "way": "network", "from_fps": fps, **drawing}
        stage = Smooth(factor, "network", fps, self.drawing.sampling(told=False))
        each = max(1, round(FROM_FLOW * self.drawing.steps))  # from the optical flow on, the last steps alone are made
        steps, cost = -(-windows // WINDOWS_AT_ONCE) * each, float(windows * each)
        return Planned("smooth", (before,), decides, self.weights("frames"), fps * factor, steps, cost, self.drawn(stage))

    def drawn(self, stage: Any) -> Any:
        """A stage of `pipelines.reference` with the network for given frames."""
        return lambda before, ticker: stage(self.networks.frames, before, ticker)

    def _learned(self, before: np.ndarray, ticker: Ticker, factor: int) -> np.ndarray:
        from pipelines.latent_flow import double

        for _ in range(factor.bit_length() - 1):
            before = by_pairs(before, 2, partial(double, self.networks.flow, self.resident.pipe), ticker)
        return before

    def _steady(self, before: np.ndarray, ticker: Ticker) -> np.ndarray:
        return steadied(self.networks.decoder, self.resident.pipe, before, ticker)

    def _sharp(self, before: np.ndarray, ticker: Ticker, seed: int) -> np.ndarray:
        import torch

        from pipelines.upscaling import FACTOR, upscale

        f, h, w, _ = before.shape
        large = np.empty((f, FACTOR * h, FACTOR * w, 3), np.uint8)
        for start, end in sharp_windows(f):
            # All parts begin with the same noise, which all frames of a part share: what is made up is the same from part to part.
            generator = torch.Generator().manual_seed(seed)
            large[start:end] = upscale(
                self.networks.upscaler,
                before[start:end],
                SHARP_STEPS,
                generator=generator,
                on_step=lambda done, _: done == 0 or ticker.tick(),
            )
            if ticker.stopped or not ticker.tick():
                break
        return large


def optical(before: np.ndarray, ticker: Ticker, factor: int) -> np.ndarray:
    """Frames between along the optical flow; needs no weights."""
    from pipelines.flow import flow_between

    return by_pairs(before, factor, partial(flow_between, factor=factor), ticker)


def by_pairs(frames: np.ndarray, factor: int, between: Any, ticker: Ticker) -> np.ndarray:
    """`between` makes the frames between neighbours, given a part of the clip; here it gets part after part. Stopped, a part is missing."""
    made = []
    for start in range(0, len(frames) - 1, PAIRS_AT_ONCE):
        made.append(between(frames[start : start + PAIRS_AT_ONCE + 1])[: factor * PAIRS_AT_ONCE])
        if not ticker.tick():
            break
    if (len(frames) - 1) % PAIRS_AT_ONCE == 0:  # the last part was whole, and lost the frame that it ends with
        made.append(frames[-1:])
    return np.concatenate(made)


def steadied(decoder: VideoDecoder, pipe: TextToVideoPipeline, frames: np.ndarray, ticker: Ticker) -> np.ndarray:
    """The clip decoded as a video, in parts that see beyond their ends."""
    from pipelines.finishing import Steady

    steady, made = Steady(decoder), np.empty_like(frames)
    for start, end in steady_windows(len(frames)):
        first, last = max(0, start - STEADY_MARGIN), min(len(frames), end + STEADY_MARGIN)
        made[start:end] = steady(pipe, frames[first:last], None)[start - first : end - first]
        if not ticker.tick():
            break
    return made


def steady_windows(count: int) -> list[tuple[int, int]]:
    """Parts of a clip, one after another."""
    return [(start, min(count, start + STEADY_AT_ONCE)) for start in range(0, count, STEADY_AT_ONCE)]


def sharp_windows(count: int) -> list[tuple[int, int]]:
    """Parts of a clip that are all equally long, the last ending with the clip: equally long ones begin with equal noise."""
    size = min(count, SHARP_AT_ONCE)
    return [(start, start + size) for start in [*range(0, count - size, size), count - size]]
