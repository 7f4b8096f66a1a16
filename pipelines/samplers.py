"""The samplers on offer: which diffusers scheduler each is, and what it is good for. No torch until one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from diffusers import SchedulerMixin


@dataclass(frozen=True)
class SamplerInfo:
    """A sampler.

    Args:
        label: its name for people.
        help: one sentence.
        scheduler: diffusers' class.
        settings: what to change in the model's scheduler configuration.
        eta: noise injected by DDIM's formula (1 is DDPM); it comes from the noise prior, like every injected noise.
        stochastic: whether noise is injected at each step.
        renoises: whether diffusers' class draws that noise itself, and takes none: independent for each frame, unless our own pipeline
            draws it again from the prior.
        most_steps: that it makes; 0 is any number.
    """

    label: str
    help: str
    scheduler: str
    settings: dict[str, Any] = field(default_factory=dict)
    eta: float | None = None
    stochastic: bool = False
    renoises: bool = False
    most_steps: int = 0


SAMPLERS: dict[str, SamplerInfo] = {
    "ddim": SamplerInfo("DDIM", "Deterministic and even-tempered; the same noise always gives the same video.", "DDIMScheduler", eta=0.0),
    "dpm++": SamplerInfo(
        "DPM++ 2M",
        "Deterministic, second order; good with few steps.",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"},
    ),
    "unipc": SamplerInfo(
        "UniPC",
        "Deterministic predictor-corrector; good with few steps.",
        "UniPCMultistepScheduler",
        {"solver_order": 2, "predict_x0": True, "final_sigmas_type": "zero"},
    ),
    "ddpm": SamplerInfo(
        "DDPM",
        "Injects fresh noise, drawn from the noise prior, at every step; corrects its own errors.",
        "DDIMScheduler",
        eta=1.0,
        stochastic=True,
    ),
    "dpm++ sde": SamplerInfo(
        "DPM++ 2M SDE",
        "DPM++ with noise from the noise prior at every step.",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"},
        stochastic=True,
    ),
    "lcm": SamplerInfo(
        "LCM",
        "For models and LoRAs that were distilled to a few steps (latent consistency); others fall apart with it.",
        "LCMScheduler",
        stochastic=True,
        renoises=True,
        most_steps=50,
    ),
    "ddim trailing": SamplerInfo(
        "DDIM trailing",
        "DDIM for LoRAs that were distilled to a few steps, such as Hyper-SD: its first step is at the noisiest level.",
        "DDIMScheduler",
        {"timestep_spacing": "trailing"},
        eta=0.0,
    ),
}


def sampler_info(name: str) -> SamplerInfo:
    """The sampler of that name.

    Raises:
        InvalidInput: when there is none.
    """
    if name not in SAMPLERS:
        raise InvalidInput(f"There is no sampler {name!r}.", f"Choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[name]


def check_steps(name: str, steps: int) -> None:
    """Raises InvalidInput for more steps than the sampler of that name makes."""
    most = sampler_info(name).most_steps
    if most and steps > most:
        raise InvalidInput(f"{steps} steps were asked for with the sampler {name!r}.", f"It makes {most} at most.")


def step(
    scheduler: Any, predicted: torch.Tensor, t: torch.Tensor, latents: torch.Tensor, eta: float | None, draw: Callable[[], torch.Tensor]
) -> torch.Tensor:
    """One sampler step; whatever noise it injects is drawn here.

    Args:
        scheduler: with its timesteps set.
        predicted: by the network.
        t: its timestep.
        latents: at that timestep.
        eta: of DDIM's formula; None for other samplers.
        draw: noise of the latents' shape.
    """
    if hasattr(scheduler.config, "original_inference_steps"):  # latent consistency: the clean guess, and noise of the next level on it
        import torch

        unused = torch.Generator(latents.device).manual_seed(0)  # for the noise that it draws itself
        guess, noise = scheduler.step(predicted, t, latents, generator=unused).denoised, draw()
        following = scheduler.timesteps[scheduler.step_index : scheduler.step_index + 1]
        return scheduler.add_noise(guess, noise, following) if len(following) else guess
    options: dict[str, Any] = {"eta": eta} if eta else {}
    if eta or getattr(scheduler.config, "algorithm_type", "").startswith("sde"):
        options["variance_noise"] = draw()
    return scheduler.step(predicted, t, latents, **options, return_dict=False)[0]


def build_sampler(name: str, like: SchedulerMixin) -> SchedulerMixin:
    """The sampler on the noise schedule and prediction type of the model's own scheduler."""
    import diffusers

    info = sampler_info(name)
    return getattr(diffusers, info.scheduler).from_config(like.config, **info.settings)
