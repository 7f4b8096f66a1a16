"""The settings of a clip in words: short enough for a chip, and readable. Pure functions of the requests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from html import escape
from typing import Any

from pipelines.samplers import SAMPLERS

from ..reference_requests import Finishing, source_of
from ..requests import ClipRequest, FinishingRequest, ReferenceRequest, TextToVideoRequest
from .views import plural

WAYS = {"learned": "learned", "optical": "optical flow", "network": "drawn by the model"}  # of making the frames between


def caption(request: ClipRequest, size: str = "") -> str:
    """What a clip shows, and all its settings."""
    return f'<p class="prompt">{escape(request.headline)}</p>{chips(request, size)}'


def chips(request: ClipRequest, size: str = "", without: Collection[str] = ()) -> str:
    """All settings of a video, readable; without those that vary."""
    facts = [fact for name, fact in settings(request, size).items() if fact and name not in without]
    return '<ul class="chips facts" aria-label="Settings">' + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>"


def settings(request: ClipRequest, size: str = "") -> dict[str, str]:
    """Field -> its value in words; empty where it does not matter."""
    said: dict[type, Callable[[Any], dict[str, str]]] = {ReferenceRequest: referred, FinishingRequest: finished}
    if isinstance(request, TextToVideoRequest):
        return (tuned(request) if request.tuned_model else drawn(request)) | {"size": size}
    return said[type(request)](request) | {"made": made(request), "size": size}


def drawn(request: TextToVideoRequest) -> dict[str, str]:
    """What decides a video that is drawn from its prompt."""
    return {"model": named(request), "seed": f"seed {request.seed}"} | sampled(request) | mixture(request)


def named(request: TextToVideoRequest | ReferenceRequest) -> str:
    """The model, where it is not the studio's own."""
    return f"model {request.model}" if request.model else ""


def sampled(request: TextToVideoRequest | ReferenceRequest) -> dict[str, str]:
    """What decides how frames are drawn."""
    return {
        "frames": plural(request.frames, "frame"),
        "fps": f"{request.fps:g} fps",
        "steps": plural(request.steps, "step"),
        "guidance_scale": f"guidance {request.guidance_scale:g}",
        "sampler": SAMPLERS[request.sampler].label if request.sampler else "",
        "noise_kind": f"{request.noise_kind} noise",
        "noise_alpha": "" if request.noise_kind == "independent" else f"alpha {request.noise_alpha:g}",
        "negative_prompt": f"without {request.negative_prompt}" if request.negative_prompt else "",
        "lora": f"LoRA {request.lora}, {request.lora_strength:g}" if request.lora else "",
    }


def tuned(request: TextToVideoRequest) -> dict[str, str]:
    """What decides an edit, a reconstruction, or nothing but which clip it is."""
    played = {"frames": plural(request.frames, "frame"), "fps": f"{request.fps:g} fps"}
    which = {"shows": {"edit": "", "reconstruction": "reconstruction", "source": "source clip"}[request.shows]}
    model = {"model": named(request), "tuned_model": f"tuned model {request.tuned_model}"}
    if request.shows == "source":
        return model | which | played
    last = f"checkpoint {request.tuned_steps}" if request.tuned_steps else "last checkpoint"
    made = {"tuned_steps": last, "steps": plural(request.steps, "step"), "guidance_scale": f"guidance {request.guidance_scale:g}"}
    if request.shows == "reconstruction":
        return model | which | made | played
    return model | {
        **made,
        "structure": f"structure {request.structure:g}",
        "base_strength": f"base strength {request.base_strength:g}" if request.base_strength else "",
        "seed": f"seed {request.seed}" if request.structure < 1 else "",
        "negative_prompt": f"without {request.negative_prompt}" if request.negative_prompt else "",
        **played,
    }


def mixture(request: TextToVideoRequest) -> dict[str, str]:
    """The domain model of a video, or its prior, and how the two models are mixed; nothing where there is one alone."""
    if not request.mixed:
        return {}
    return {
        "domain_model": f"domain model {request.domain_model}" if request.domain_model else "",
        "prior_model": f"prior {request.prior_model}" if request.prior_model else "",
        "prior_strength": f"prior strength {request.prior_strength:g}",
        "composition": "summed as in the paper" if request.composition == "paper" else "",
        "strength_schedule": "strength fading" if request.strength_schedule == "fading" else "",
        "langevin_steps": plural(request.langevin_steps, "Langevin step") if request.langevin_steps else "",
        "prior_prompt": f"prior told: {request.prior_prompt}" if request.prior_prompt else "",
    }


# -- Reference images and finishing -----------------------------------------------------------------------------------


def referred(request: ReferenceRequest) -> dict[str, str]:
    """What decides a picture that was brought to life."""
    return {
        "model": named(request),
        "picture": f"from {source(request.picture)}" if request.picture else f"drawn picture, seed {request.picture_seed}",
        "reference_strength": f"reference strength {request.reference_strength:g}",
        "last_picture": f"ends at {source(request.last_picture)}" if request.last_picture else "",
        "seed": f"seed {request.seed}",
        **sampled(request),
        **finishing(request),
    }


def finished(request: FinishingRequest) -> dict[str, str]:
    """What was done to a clip that was there already."""
    drew = request.longer or request.sharper or (request.smoother > 1 and request.smoother_way == "network")
    return {
        "source": f"of {source(request.source)}",
        "frames": plural(request.frames, "frame"),
        "fps": f"{request.fps:g} fps",
        **finishing(request),
        "seed": f"seed {request.seed}" if drew else "",
        "steps": plural(request.steps, "step") if drew else "",
    }


def finishing(request: Finishing) -> dict[str, str]:
    """What was done to a clip once it was there, in its order."""
    return {
        "longer": f"{plural(request.longer, 'frame')} longer" if request.longer else "",
        "smoother": f"x{request.smoother} smoother ({WAYS[request.smoother_way]})" if request.smoother > 1 else "",
        "steadier": "steadier" if request.steadier else "",
        "sharper": "x2 sharper" if request.sharper else "",
    }


def made(request: ClipRequest) -> str:
    """How long the clip became, where finishing changed that."""
    if (request.made_frames, request.made_fps) == (request.frames, request.fps):
        return ""
    return f"now {plural(request.made_frames, 'frame')}, {request.made_fps:g} fps"


def source(text: str) -> str:
    """Where a picture or a clip comes from, in words."""
    named = source_of(text)
    if named.file:
        return "a file of yours"
    return f"frame {named.frame + 1} of a clip" if named.frame is not None else "a clip"
