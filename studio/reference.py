"""A reference job: a picture, drawn or given, brought to life and finished. Every stage is kept, so that another try makes only the rest.

Li et al., "VideoGen", arXiv 2309.00398; the stages are those of `pipelines.reference`. No torch until something is made.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.checkpoints import read_defaults
from pipelines.errors import InvalidInput, UnsupportedFrames

from . import finishing_stages
from .chain import Chain, Planned
from .finishing_stages import Drawing, Shape, Workshop, check_takes_frames
from .making import Bench, Making
from .requests import ReferenceRequest
from .stages import pixels_hash
from .text_to_video import save

if TYPE_CHECKING:
    import numpy as np

    from .chain import Ticker

PICTURE_COST = 0.2  # of a picture, compared with a clip: small as it is, each step has work that does not shrink


def check(request: ReferenceRequest, bench: Bench) -> None:
    """Refuses what cannot be made, before it is queued.

    Raises:
        UnsupportedFrames: when the model cannot make that many.
        InvalidInput: when a picture is not there, or something does not fit the model.
        JobError: when the clip that a picture comes from is gone.
        WeightsMissing: when the model lacks a network.
    """
    model, own = bench.settings.model_dir, read_defaults(bench.settings.model_dir)
    fewest = max(own.min_frames, 3 if request.last_picture else 2)
    if not fewest <= request.frames <= own.max_frames:
        raise UnsupportedFrames(f"{request.frames} frames were asked for.", f"This model makes {fewest} to {own.max_frames} frames here.")
    check_takes_frames(model)
    if not request.picture and own.min_frames > 1:
        raise InvalidInput(f"The model {model.name!r} draws no single pictures.", "Give a reference image.")
    for source in given(request).values():
        bench.sources.picture(source)
    finishing_stages.check(request, Shape(request.frames, request.fps, own.width, own.height), bench)


def given(request: ReferenceRequest) -> dict[str, str]:
    """Stages that are given -> where from."""
    pictures = {"picture": request.picture, "last_picture": request.last_picture}
    return {name: source for name, source in pictures.items() if source}


def make(making: Making, bench: Bench) -> None:
    """Makes the clip stage by stage. Returns early once `making.stop` is set; what is finished by then stays."""
    request = making.request
    assert isinstance(request, ReferenceRequest)
    chain = Chain(making, bench, request.seed)
    pictures = {name: bench.sources.picture(source)[None] for name, source in given(request).items()}
    for name, pixels in pictures.items():
        chain.give(name, pixels, request.fps)
    with bench.pool.borrow(bench.settings.model_dir) as resident:
        workshop = Workshop(resident, bench.pool.finishers(resident, bench.settings.model_dir), drawing_of(request))
        plan = plan_of(request, workshop)
        made = chain.run(plan)
    if made is not None:
        weights = {file: found for stage in plan for file, found in stage.weights.items()}
        made_from = {source: pixels_hash(pictures[name]) for name, source in given(request).items()}
        save(making.job_id, request, made, weights, bench, made_from)


def drawing_of(request: ReferenceRequest) -> Drawing:
    """How the motion, and all after it, is drawn."""
    return Drawing(
        prompt=request.prompt,
        seed=request.seed,
        steps=request.steps,
        negative_prompt=request.negative_prompt,
        guidance_scale=request.guidance_scale,
        sampler=request.sampler,
        noise_kind=request.noise_kind,
        noise_alpha=request.noise_alpha,
    )


def plan_of(request: ReferenceRequest, workshop: Workshop) -> list[Planned]:
    """All stages that are not given."""
    own = workshop.defaults
    plan = [] if request.picture else [_picture(request, workshop)]
    motion = Shape(request.frames, request.fps, own.width, own.height)
    return [*plan, _motion(request, workshop), *workshop.plan(request, "motion", motion)]


def _picture(request: ReferenceRequest, workshop: Workshop) -> Planned:
    from pipelines.reference import DrawPicture

    drawing = workshop.drawing
    draw = DrawPicture(request.prompt, drawing.sampling(seed=request.picture_seed))

    def make(_: np.ndarray, ticker: Ticker) -> np.ndarray:
        return draw(workshop.resident.pipe, None, ticker)

    decides = {**asdict(drawing), "seed": request.picture_seed}
    cost = PICTURE_COST * request.steps * drawing.passes
    return Planned("picture", (), decides, workshop.resident.model.weights, request.fps, request.steps, cost, make)


def _motion(request: ReferenceRequest, workshop: Workshop) -> Planned:
    from pipelines.reference import Animate

    drawing = workshop.drawing
    after = ("picture", "last_picture") if request.last_picture else ("picture",)
    stage = Animate(request.prompt, request.frames, request.fps, request.reference_strength, drawing.sampling())
    decides: dict[str, Any] = {**asdict(drawing), "frames": request.frames, "strength": request.reference_strength}
    passes = drawing.passes * (1 if request.reference_strength in (0, 1) else 2)
    cost = request.steps * passes * request.frames / workshop.defaults.num_frames
    return Planned("motion", after, decides, workshop.weights("frames"), request.fps, request.steps, cost, workshop.drawn(stage))
