"""How long a job may need a GPU that is lent by the second: asked for before it starts, so that it is generous but not greedy.

    seconds = BASE + evaluations of the network x frames x (FIXED + PER_BILLION x billions of parameters)

from the model's file sizes and the request; never more than the settings allow, for what a visitor may not have is refused at once.
"""

from __future__ import annotations

import math
from pathlib import Path

from .making import Bench
from .requests import (
    ComparisonRequest,
    DomainTrainingRequest,
    FinishingRequest,
    MeasuringRequest,
    ReferenceRequest,
    Request,
    TextToVideoRequest,
    TuningRequest,
)
from .text_to_video import work
from .tuning import usual

BASE = 15.0  # the process, the weights' way to the GPU, files and previews
FIXED = 0.003  # a frame of one evaluation, whatever the size
PER_BILLION = 0.03
BACKWARD = 3.0  # a training step, in evaluations
INVERSION = 60  # evaluations before the first edit of a clip


def seconds(request: Request, bench: Bench) -> int:
    """What to ask for, at most `Settings.gpu_seconds`."""
    if isinstance(request, DomainTrainingRequest):
        wanted = BASE + 60 * request.minutes
    else:
        first = bench.model_for(request).path
        if isinstance(request, TuningRequest) and not request.steps:
            request = request.model_copy(update={"steps": usual(first).steps})
        prior = prior_of(request)
        largest = max(billions(path) for path in {first, bench.choosing.model(prior).path if prior else first})
        wanted = BASE + frame_evaluations(request) * (FIXED + PER_BILLION * largest)
    return min(math.ceil(wanted), bench.settings.gpu_seconds)


def frame_evaluations(request: Request) -> float:
    """Evaluations of the network, each counted once a frame."""
    match request:
        case ComparisonRequest():
            return sum(frame_evaluations(cell.request) for cell in request.cells())
        case TextToVideoRequest():
            inversion = INVERSION if request.tuned_model else 0
            return (work(request) + inversion) * request.frames * request.variations
        case TuningRequest():
            return (BACKWARD * request.steps + INVERSION) * request.frames
        case MeasuringRequest():
            return 2 * request.steps * request.frames
        case ReferenceRequest() | FinishingRequest():
            drawn = request.frames * (1 if isinstance(request, ReferenceRequest) else 0)
            finished = request.made_frames * (1 + request.sharper)
            return 2 * request.steps * (drawn + finished)
    return 0.0


def prior_of(request: Request) -> str:
    """The model that a job asks as well, beside the one that it begins with; "" where there is none."""
    first = request.base if isinstance(request, ComparisonRequest) else request
    return getattr(first, "prior_model", "")


def billions(path: Path) -> float:
    """Parameters of a model, from its files: most are stored in two bytes, or are loaded so."""
    return sum(file.stat().st_size for file in path.rglob("*.safetensors")) / 2 / 1e9
