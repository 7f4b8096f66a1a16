"""Langevin corrections at the level of noise that a sampler has reached.

Adding scores at a level of noise is not the score of the noisy product (Du et al., "Reduce, Reuse, Recycle", arXiv 2302.11552): a
composition drifts from what it should sample, and plain sums become too narrow. A few Langevin steps a level bring it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils.torch_utils import randn_tensor

from .batches import common_part
from .errors import IncompatibleModels, InvalidInput

if TYPE_CHECKING:
    from .composition import ComposedDenoiser

ALONE = ("uncond", "pred_uncond")  # what pipelines and guiders of diffusers call the branch without text


def langevin_step(x: torch.Tensor, epsilon: torch.Tensor, s: torch.Tensor, z: torch.Tensor, step_size: float) -> torch.Tensor:
    """x + h score + sqrt(2 h) z with score = -epsilon / s and h = step_size s^2.

    With white z this is plain Langevin, whose stationary density is the one of the score, widened by about step_size / 2 of the noise's
    variance. With correlated z ~ N(0, Sigma) and a model trained on such noise it is Langevin preconditioned by Sigma: the score is then
    -Sigma^-1 epsilon / s, the preconditioned one -epsilon / s, and the density is the same.

    Args:
        x, epsilon, z: in one shape; epsilon is the predicted noise.
        s: the standard deviation of the noise in x.
        step_size: delta, in units of the noise's variance.
    """
    return x - step_size * s * epsilon + (2 * step_size) ** 0.5 * s * z


class Corrector:
    """A `callback_on_step_end` for a pipeline whose denoiser is composed: Langevin steps at each level that the sampler reaches.

    Each step costs as much as a step of the sampler. It samples what the pipeline samples, guidance included. Best beside a one-step
    sampler (DDIM, DDPM, Euler on a flow); multistep samplers remember latents from before the correction.

    Args:
        denoiser: the composition; it needs its `adapter_path`, and remembers the pipeline's text.
        steps: a level.
        step_size: delta of `langevin_step`.
        guidance_scale: the pipeline's own; read only where there is an unconditional branch.
        noise: (shape, generator) -> noise like the latents, for one `NoisePrior.sample`; None is white. Use what the models were
            trained on.
        generator: one, or one a clip.

    Raises:
        InvalidInput: for steps or a step size that make no sense, or a composition without a path.
    """

    def __init__(
        self,
        denoiser: ComposedDenoiser,
        steps: int,
        step_size: float,
        guidance_scale: float,
        noise: Callable[..., torch.Tensor] | None,
        generator: Any,
    ) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise InvalidInput(f"{steps!r} Langevin steps were asked for.", "Give a whole number of 0 or more.")
        if not 0 < step_size < 1:
            raise InvalidInput(f"The step size of the Langevin steps is {step_size!r}.", "Give a number between 0 and 1.")
        if denoiser.adapter_path is None:
            raise InvalidInput("Langevin steps need to know the level of noise.", "Pass adapter_path=Path.of(pipe.scheduler).")
        self.denoiser, self.path = denoiser, denoiser.adapter_path
        self.steps, self.step_size, self.guidance_scale = steps, step_size, guidance_scale
        self.noise, self.generator = noise, generator

    @torch.no_grad()
    def __call__(self, pipe: Any, index: int, timestep: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The corrected latents; after the last step they are clean, and stay."""
        timesteps = pipe.scheduler.timesteps if getattr(pipe, "timesteps", None) is None else pipe.timesteps
        if not self.steps or index + 1 >= len(timesteps):
            return {}
        if float(pipe.scheduler.init_noise_sigma) != 1:
            raise IncompatibleModels(
                f"{type(pipe.scheduler).__name__} keeps its latents at another scale than the model.", "Use DDIM, or a flow's own sampler."
            )
        reached = timesteps[index + 1]
        latents = tensors["latents"].float()
        s = self.path.coefficients(self.path.angle(reached))[1].to(latents.device, torch.float32)
        for _ in range(self.steps):
            z = self._draw(latents)
            latents = langevin_step(latents, self.epsilon(latents, reached), s, z, self.step_size)
        return {"latents": latents.to(tensors["latents"].dtype)}

    def epsilon(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The noise that the composition, guided as in the pipeline, sees in these latents; float32."""
        answers = {branch: self.denoiser.ask_again(branch, latents, timestep) for branch in tuple(self.denoiser.calls)}
        towards = next(answer for branch, answer in answers.items() if branch not in ALONE)
        if len(towards) == 2 * len(latents):
            away, towards = towards.chunk(2)
        else:
            away = next((answer for branch, answer in answers.items() if branch in ALONE), towards)
        predicted = common_part(away + self.guidance_scale * (towards - away), latents)
        return self.path.decode(predicted, latents, self.path.angle(timestep))[1]

    def _draw(self, like: torch.Tensor) -> torch.Tensor:
        if self.noise is None:
            return randn_tensor(like.shape, self.generator, like.device, like.dtype)
        return self.noise(tuple(like.shape), self.generator).to(like)
