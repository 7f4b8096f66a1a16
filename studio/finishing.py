"""A finishing job: a clip that is there already, made longer, smoother, steadier or sharper. What the buttons on every clip ask for."""

from __future__ import annotations

from typing import Any, Literal

from pipelines.checkpoints import read_defaults
from pipelines.errors import InvalidInput
from pipelines.finishers import has_finisher

from . import finishing_stages
from .chain import Chain
from .finishing_stages import Drawing, Shape, Workshop
from .making import Bench, Making
from .requests import FinishingRequest
from .stages import pixels_hash
from .text_to_video import save

FinishingStep = Literal["smoother", "sharper", "longer", "steadier"]


def finishing_of(clip_id: str, step: FinishingStep, bench: Bench) -> FinishingRequest:
    """What a button asks for, of a video of the history by its id, or of a kept clip by its name.

    Raises:
        InvalidInput, JobError: when there is no such clip, or no such step.
    """
    model, own = bench.settings.model_dir, read_defaults(bench.settings.model_dir)
    steps: dict[str, dict[str, Any]] = {
        "smoother": {"smoother": 2, "smoother_way": "learned" if has_finisher(model, "flow") else "optical"},
        "sharper": {"sharper": True},
        "longer": {"longer": max(1, own.max_frames - max(1, own.max_frames // 2))},
        "steadier": {"steadier": True},
    }
    if step not in steps:
        raise InvalidInput(f"There is no finishing step {step!r}.", f"Choose one of {', '.join(steps)}.")
    if clip_id.endswith(".mkv"):
        clip, told = shape_of(clip_id, bench), {"source": clip_id, "prompt": "", "seed": 0}
    else:
        record = bench.history.get(clip_id)
        clip, told = shape_of(f"clip:{clip_id}", bench), {"source": f"clip:{clip_id}", "prompt": record.prompt, "seed": record.seed}
    values = {"frames": clip.frames, "fps": clip.fps, "steps": own.num_inference_steps, **told, **steps[step]}
    return FinishingRequest.model_validate(values)


def shape_of(source: str, bench: Bench) -> Shape:
    """Of the clip that a source names; nothing is decoded.

    Raises:
        InvalidInput, JobError, StorageError: when it is not there.
    """
    facts = bench.sources.facts(source)
    return Shape(facts.frames, facts.fps, facts.width, facts.height)


def check(request: FinishingRequest, bench: Bench) -> None:
    """Refuses what cannot be made, before it is queued.

    Raises:
        InvalidInput: when nothing is asked for, the clip is another than the request says, or cannot be finished so.
        JobError: when the clip is gone.
        WeightsMissing: when the model lacks a network.
    """
    clip = shape_of(request.source, bench)
    if request.frames != clip.frames:
        raise InvalidInput(f"The clip {request.source!r} has {clip.frames:,} frames, not {request.frames:,}.", "Say how many it has.")
    if not request.asks:
        raise InvalidInput("Nothing was asked for.", "Make the clip longer, smoother, steadier or sharper.")
    finishing_stages.check(request, Shape(clip.frames, request.fps, clip.width, clip.height), bench)


def make(making: Making, bench: Bench) -> None:
    """Finishes the clip stage by stage. Returns early once `making.stop` is set; what is finished by then stays."""
    request = making.request
    assert isinstance(request, FinishingRequest)
    clip = bench.sources.clip(request.source)
    chain = Chain(making, bench, request.seed)
    chain.give("clip", clip.frames, request.fps)
    with bench.pool.borrow(bench.settings.model_dir) as resident:
        finishers = bench.pool.finishers(resident, bench.settings.model_dir)
        workshop = Workshop(resident, finishers, Drawing(request.prompt, request.seed, request.steps))
        frames, height, width = clip.frames.shape[:3]
        plan = workshop.plan(request, "clip", Shape(frames, request.fps, width, height))
        made = chain.run(plan)
    if made is not None:
        weights = {file: found for stage in plan for file, found in stage.weights.items()}
        save(making.job_id, request, made, weights, bench, bench.choosing.model(""), {request.source: pixels_hash(clip.frames)})
