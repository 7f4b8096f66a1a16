"""The samplers on offer: which diffusers scheduler each is, and what it is good for. No torch until one is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import InvalidInput

if TYPE_CHECKING:
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
    """

    label: str
    help: str
    scheduler: str
    settings: dict[str, Any] = field(default_factory=dict)
    eta: float | None = None
    stochastic: bool = False


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
}


def sampler_info(name: str) -> SamplerInfo:
    """The sampler of that name.

    Raises:
        InvalidInput: when there is none.
    """
    if name not in SAMPLERS:
        raise InvalidInput(f"There is no sampler {name!r}.", f"Choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[name]


def build_sampler(name: str, like: SchedulerMixin) -> SchedulerMixin:
    """The sampler on the noise schedule and prediction type of the model's own scheduler."""
    import diffusers

    info = sampler_info(name)
    return getattr(diffusers, info.scheduler).from_config(like.config, **info.settings)
