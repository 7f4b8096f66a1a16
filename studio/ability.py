"""What a model cannot do is refused before it is queued, with the value and the model's own reason. No torch."""

from __future__ import annotations

from pipelines.errors import InvalidInput
from pipelines.families import FAMILIES
from pipelines.samplers import SAMPLERS, check_steps

from .choosing import INDEPENDENT, Choosing, Chosen
from .fields import shown
from .loras import check_whole
from .reference_requests import ReferenceRequest
from .video_request import TextToVideoRequest

Drawn = TextToVideoRequest | ReferenceRequest


def check(request: Drawn, chosen: Chosen, choosing: Choosing, with_picture: bool = False) -> None:
    """All that any model can be asked.

    Args:
        request: of one clip.
        chosen: the model that it names.
        choosing: knows the LoRAs.
        with_picture: whether the clip starts from one.

    Raises:
        UnsupportedFrames: when the model cannot make that many.
        InvalidInput: naming what it cannot do, and why.
        WeightsMissing, ModelError: when the LoRA is not here, or cannot be used.
    """
    can = chosen.capabilities
    can.frames.check(request.frames)
    if request.negative_prompt:
        _need(chosen, "negative_prompt", f"The negative prompt is {shown(request.negative_prompt)}.")
    if request.guidance_scale > 1:
        _need(chosen, "guidance", f"The guidance is {request.guidance_scale:g}.")
    _check_size(request, chosen)
    _check_sampler(request, chosen)
    if request.noise_kind != INDEPENDENT and request.noise_alpha:
        happened = f"The noise prior is {request.noise_kind!r}."
        _need(chosen, "noise_prior", happened)
        own_noise = getattr(FAMILIES[chosen.family], "own_noise", "")
        if with_picture and own_noise:
            raise InvalidInput(happened, own_noise)
    if request.lora:
        choosing.lora(request.lora, chosen)
        check_whole(request.lora, chosen, choosing.models.speeds.values(chosen.path))


def check_text_to_video(request: TextToVideoRequest, chosen: Chosen, choosing: Choosing) -> None:
    """As `check`, of a clip that is made from text alone."""
    if chosen.capabilities.picture == "needed":
        raise InvalidInput(f"The model {chosen.title!r} starts from a picture.", "Bring a picture to life in the tab of reference images.")
    check(request, chosen, choosing)
    if request.tuned_model and (request.width or request.height or request.lora):
        happened = f"The tuned model {request.tuned_model!r} was chosen with another size or a LoRA."
        raise InvalidInput(happened, "An edit has the size of its clip and the model that was tuned on it: leave the others out.")
    if request.domain_model and not chosen.own:
        happened = f"The domain model {request.domain_model!r} was chosen for {chosen.title!r}."
        raise InvalidInput(happened, "Domain models belong to the studio's own model: choose that, or leave the domain model out.")
    if request.domain_model:
        _need(chosen, "composition", f"The domain model {request.domain_model!r} was chosen.")


def _need(chosen: Chosen, feature: str, happened: str) -> None:
    if not chosen.capabilities.can(feature):
        raise InvalidInput(happened, chosen.capabilities.cannot[feature])


def _check_size(request: Drawn, chosen: Chosen) -> None:
    if not (request.width or request.height):
        return
    own, asked = chosen.size(0, 0), chosen.size(request.width, request.height)
    if asked != own:
        _need(chosen, "size", f"The size is {asked[0]} x {asked[1]} pixels.")
    chosen.capabilities.check_size(*asked)


def _check_sampler(request: Drawn, chosen: Chosen) -> None:
    if not (name := request.sampler):
        return
    _need(chosen, "sampler", f"The sampler is {name!r}.")
    check_steps(name, request.steps)
    if not (chosen.of_diffusers and SAMPLERS[name].stochastic):
        return
    if not SAMPLERS[name].renoises:
        raise InvalidInput(f"The sampler {name!r} injects noise.", f"Choose a deterministic one for {chosen.title!r}.")
    if request.noise_kind != INDEPENDENT and request.noise_alpha:
        happened = f"The sampler {name!r} injects independent noise, and the noise prior is {request.noise_kind!r}."
        raise InvalidInput(happened, "Choose independent noise, or a deterministic sampler.")
