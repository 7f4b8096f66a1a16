"""Two models as one in a job (Video Adapter): a composed denoiser in the place of the resident network.

A domain model is the adapter of the resident model; a prior of the request is the prior of the resident model, or of its LoRA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .choosing import Chosen
from .requests import TextToVideoRequest

if TYPE_CHECKING:
    import torch

    from pipelines.composition import ComposedDenoiser
    from pipelines.text_to_video import TextToVideoPipeline

    from .places import Resident
    from .residency import ResidentDomain


@dataclass(frozen=True)
class Prior:
    """A model that is borrowed as the prior of another.

    Args:
        chosen: what is known of it.
        resident: the loaded model; with a LoRA of its own base it is the model itself.
        inputs: what its network is told of a clip in its own way.
    """

    chosen: Chosen
    resident: Resident
    inputs: Mapping[str, Any] = field(default_factory=dict)


def told(prior: Prior, pipe: Any, request: TextToVideoRequest, chosen: Chosen) -> Prior:
    """The prior with what its own pipeline tells its network of the request's clip, its text encoded by its own encoder.

    Args:
        pipe: the resident model's.
        request: whose clip is made.
        chosen: what is known of the resident model, whose size the clip has.

    Raises:
        IncompatibleModels: when the autoencoders of the two differ.
    """
    from pipelines.composition import LatentSpace, check_same_space
    from pipelines.families.composing import own_inputs

    theirs = prior.resident.pipe
    if theirs is pipe and not request.prior_prompt:
        return prior  # it hears what the model with its LoRA hears
    if theirs.vae is not pipe.vae:
        check_same_space(LatentSpace.of(theirs.vae), LatentSpace.of(pipe.vae))
    width, height = chosen.size(request.width, request.height)
    prompt = request.prior_prompt or request.prompt
    return replace(prior, inputs=own_inputs(theirs, prompt, num_frames=request.frames, width=width, height=height, fps=request.fps))


@contextmanager
def composed(
    pipe: Any, request: TextToVideoRequest, progress: Any, beside: ResidentDomain | Prior | None, generator: torch.Generator
) -> Iterator[tuple[Any, Any]]:
    """(what to call, its step callback) until the end of the `with`: the resident model, or the composition in its pipeline.

    Args:
        pipe: the resident model's, with its LoRA on if one is set.
        progress: the step callback.
        beside: the second model; None is the resident model alone.
        generator: of the noise of Langevin steps.
    """
    if beside is None:
        yield pipe, progress
        return
    from pipelines.families.composing import standing
    from pipelines.noise import NoisePrior

    denoiser = _with_prior(pipe, request, beside) if isinstance(beside, Prior) else _with_domain(pipe, request, beside)
    correct: Callable[..., Any] | None = None
    if request.langevin_steps:
        noise_prior = NoisePrior(request.noise_kind, request.noise_alpha)
        correct = denoiser.corrector(
            request.langevin_steps,
            noise=lambda shape, source: noise_prior.sample(shape, source),
            guidance_scale=request.guidance_scale,
            generator=generator,
        )
    with standing(pipe, denoiser) as model:
        yield model, progress if correct is None else lambda *now: (progress(*now) or {}) | (correct(*now) or {})


def _with_domain(pipe: TextToVideoPipeline, request: TextToVideoRequest, domain: ResidentDomain) -> ComposedDenoiser:
    """The resident model as the prior of a domain model that was trained in its latents, on its path."""
    from pipelines.composition import ComposedDenoiser, strength_schedule
    from pipelines.composition import Path as NoisePath

    path = NoisePath.of(pipe.scheduler)
    return ComposedDenoiser(
        pipe.unet,
        domain.unet,
        strength_schedule(request.strength_schedule, request.prior_strength),
        request.composition,
        adapter_path=path,
        prior_path=path,
        prior_inputs=encoded(pipe, request.prior_prompt) if request.prior_prompt else None,
        guided=request.guidance_scale > 1,
    )


def _with_prior(pipe: Any, request: TextToVideoRequest, prior: Prior) -> ComposedDenoiser:
    """The resident model as the adapter of a prior; of itself without its LoRA, where that is the prior."""
    from pipelines.composition import ComposedDenoiser, strength_schedule
    from pipelines.composition import Path as NoisePath
    from pipelines.families.composing import calls_once, network_of
    from pipelines.lora import WithoutLora

    adapter, theirs = network_of(pipe), prior.resident.pipe
    return ComposedDenoiser(
        WithoutLora(adapter) if theirs is pipe else network_of(theirs),
        adapter,
        strength_schedule(request.strength_schedule, request.prior_strength),
        request.composition,
        adapter_path=NoisePath.of(pipe.scheduler),
        prior_path=NoisePath.of(theirs.scheduler),
        prior_inputs=prior.inputs,
        guided=request.guidance_scale > 1 and calls_once(pipe),
    )


def encoded(pipe: TextToVideoPipeline, prompt: str) -> dict[str, torch.Tensor]:
    """A prompt as keyword arguments of the pipeline's network."""
    import torch

    with torch.no_grad(), pipe._precision(pipe._execution_device):
        return pipe._encode([prompt], None, guided=False, device=pipe._execution_device)
