"""A reference job: a picture, drawn or given, brought to life and finished. Every stage is kept, so that another try makes only the rest.

Li et al., "VideoGen", arXiv 2309.00398; the stages are those of `pipelines.reference`. No torch until something is made.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput, UnsupportedFrames

from . import ability, animation, finishing_stages
from .animation import PICTURE_COST
from .chain import Chain, Planned
from .choosing import Chosen
from .finishing_stages import Drawing, Shape, Workshop, check_takes_frames
from .making import Bench, Making
from .requests import ReferenceRequest
from .stages import pixels_hash
from .text_to_video import save

if TYPE_CHECKING:
    import numpy as np

    from .chain import Ticker
    from .places import Resident


def check(request: ReferenceRequest, bench: Bench) -> None:
    """Refuses what cannot be made, before it is queued.

    Raises:
        UnsupportedFrames: when the model cannot make that many.
        InvalidInput: when a picture is not there, or something does not fit the model.
        JobError: when the clip that a picture comes from is gone.
        WeightsMissing: when the model lacks a network.
    """
    chosen = bench.choosing.model(request.model)
    if animation.animates(chosen):
        animation.check(request, chosen, bench)
    else:
        check_given_frames(request, chosen, bench)
    size = chosen.size(request.width, request.height)
    for source in given(request).values():
        bench.sources.picture(source, size)
    finishing_stages.check(request, Shape(request.frames, request.fps, *size), bench)


def check_given_frames(request: ReferenceRequest, chosen: Chosen, bench: Bench) -> None:
    """Refuses what a model that takes given frames cannot make; raises as `check`."""
    can, own = chosen.capabilities, chosen.size(0, 0)
    fewest = max(can.frames.least, 3 if request.last_picture else 2)
    if not fewest <= request.frames <= can.frames.most:
        raise UnsupportedFrames(f"{request.frames} frames were asked for.", f"This model makes {fewest} to {can.frames.most} frames here.")
    check_takes_frames(chosen.path)
    if not request.picture and can.frames.least > 1:
        raise InvalidInput(f"The model {chosen.title!r} draws no single pictures.", "Give a reference image.")
    if (asked := chosen.size(request.width, request.height)) != own:
        raise InvalidInput(f"The size is {asked[0]} x {asked[1]} pixels.", f"This model brings pictures of {own[0]} x {own[1]} to life.")
    ability.check(request, chosen, bench.choosing, with_picture=True)


def given(request: ReferenceRequest) -> dict[str, str]:
    """Stages that are given -> where from."""
    pictures = {"picture": request.picture, "last_picture": request.last_picture}
    return {name: source for name, source in pictures.items() if source}


def make(making: Making, bench: Bench) -> None:
    """Makes the clip stage by stage. Returns early once `making.stop` is set; what is finished by then stays.

    Another model than the studio's own makes the motion; what comes after it is made by the studio's networks, whatever made the motion.
    """
    request = making.request
    assert isinstance(request, ReferenceRequest)
    chosen = bench.choosing.model(request.model)
    size, notes = chosen.size(request.width, request.height), [""]
    chain = Chain(making, bench, request.seed)
    pictures = {name: bench.sources.picture(source, size)[None] for name, source in given(request).items()}
    for name, pixels in pictures.items():
        chain.give(name, pixels, request.fps)
    motion = Shape(request.frames, request.fps, *size)
    with bench.pool.borrow(chosen.path) as resident:
        plan = begun(request, resident, chosen, bench, notes)
        if chosen.own:
            plan += workshop_of(request, resident, chosen.path, bench).plan(request, "motion", motion)
        made = chain.run(plan)
    if made is not None and not chosen.own and request.asks:
        with bench.pool.borrow(bench.settings.model_dir) as resident:
            plan += workshop_of(request, resident, bench.settings.model_dir, bench).plan(request, "motion", motion)
            made = chain.run(plan)
    if made is not None:
        weights = {file: found for stage in plan for file, found in stage.weights.items()}
        made_from = {source: pixels_hash(pictures[name]) for name, source in given(request).items()}
        save(making.job_id, request, made, weights, bench, chosen, made_from, notes[0])


def workshop_of(request: ReferenceRequest, resident: Resident, path: Path, bench: Bench) -> Workshop:
    """The stages that networks beside a borrowed model make."""
    return Workshop(resident, bench.pool.finishers(resident, path), drawing_of(request))


def begun(request: ReferenceRequest, resident: Resident, chosen: Chosen, bench: Bench, notes: list[str]) -> list[Planned]:
    """The stages up to the motion that are not given, made by the borrowed model; `notes` takes what was done for want of memory."""
    if animation.animates(chosen):
        return animation.Animation(request, drawing_of(request), resident, chosen, bench, notes).plan()
    workshop = workshop_of(request, resident, chosen.path, bench)
    return [*([] if request.picture else [_picture(request, workshop)]), _motion(request, workshop)]


def drawing_of(request: ReferenceRequest) -> Drawing:
    """How the motion, and all after it, is drawn."""
    return Drawing(
        prompt=request.prompt,
        seed=request.seed,
        steps=request.steps,
        negative_prompt=request.negative_prompt,
        guidance_scale=request.guidance_scale,
        sampler=request.sampler or None,
        noise_kind=request.noise_kind,
        noise_alpha=request.noise_alpha,
    )


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
