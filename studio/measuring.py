"""A measuring job: one short clip, whose magnitudes are kept and not its frames; then the model's cache by magnitudes is on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput
from pipelines.memory import Job

from .choosing import Chosen
from .events import Step
from .making import Bench, Making
from .measuring_request import MeasuringRequest

if TYPE_CHECKING:
    from .places import Resident

SHARE = 4  # the clip has this part of the frames that the model usually makes


def measuring_of(model: str, threshold: float, bench: Bench) -> MeasuringRequest:
    """What the button in a model's card asks for. Raises StudioError when the model is not here, or cannot be used."""
    chosen = bench.choosing.model(model)
    rule, own = chosen.capabilities.frames, chosen.defaults
    frames = rule.nearest(max(own.num_frames // SHARE, rule.least))
    return MeasuringRequest(model=model, frames=frames, steps=max(2, own.num_inference_steps), threshold=threshold)


def check(request: MeasuringRequest, bench: Bench) -> None:
    """Refuses a model that cannot be measured, before it is queued.

    Raises:
        JobError: where the page may not change the models.
        UnsupportedFrames: when the model cannot make that many.
        InvalidInput: for a model that starts from a picture.
        ModelError: when there is no such model to ask, or it cannot be used.
    """
    bench.models.check_open()
    chosen = bench.choosing.model(request.model)
    chosen.capabilities.frames.check(request.frames)
    if chosen.capabilities.picture == "needed":
        raise InvalidInput(f"{chosen.title!r} starts from a picture, and is measured on a text.", "Give its ratios by hand.")


def make(making: Making, bench: Bench) -> None:
    """Measures, keeps what was found beside the other switches of the model, and puts its cache on. What is stopped leaves nothing."""
    request = making.request
    assert isinstance(request, MeasuringRequest)
    chosen = bench.choosing.model(request.model)
    with bench.pool.borrow(chosen.path) as resident:
        ratios = _measured(making, request, resident, chosen, bench)
    if making.stop.is_set():
        return
    if len(ratios) < 2:
        raise InvalidInput(f"{chosen.title!r} gave {len(ratios)} ratios.", "Give them by hand, or choose another cache.")
    found = {"cache": "mag", "threshold": request.threshold, "ratios": ratios}
    bench.models.speeds.put(chosen.path, {**bench.models.speeds.values(chosen.path), **found})


def _measured(making: Making, request: MeasuringRequest, resident: Resident, chosen: Chosen, bench: Bench) -> tuple[float, ...]:
    import torch

    from pipelines.magnitudes import measuring

    width, height = chosen.size(0, 0)
    own, ratios = chosen.defaults, tuple[float, ...]()

    def clip(note: str) -> None:
        nonlocal ratios
        with measuring(resident.pipe) as found:
            resident.pipe(
                request.prompt,
                num_frames=request.frames,
                width=width,
                height=height,
                num_inference_steps=request.steps,
                guidance_scale=own.guidance_scale,
                generator=torch.Generator("cpu").manual_seed(request.seed),
                output_type="latent",
                callback_on_step_end=_Progress(making, request, bench, note),
            )
            ratios = found()

    job = Job(width, height, request.frames, guided=own.guidance_scale > 1)
    bench.pool.room(resident, chosen.path, job).run(clip)
    return ratios


class _Progress:
    """A pipeline's step callback: tells the observers, and stops the pipeline when somebody asked for it."""

    def __init__(self, making: Making, request: MeasuringRequest, bench: Bench, note: str) -> None:
        self.making, self.request, self.bench, self.note = making, request, bench, note
        self.started = time.monotonic()

    def __call__(self, pipe: Any, index: int, timestep: int, tensors: Any) -> dict[str, Any]:
        if self.making.stop.is_set():
            pipe._interrupt = True
            return {}
        step, steps = index + 1, self.request.steps
        left = (time.monotonic() - self.started) / step * (steps - step)
        self.bench.tell(Step(self.making.job_id, step, steps, None, left, self.request.seed, note=self.note))
        return {}
