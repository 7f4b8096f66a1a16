"""From a clip to the noise that makes it: DDIM inversion on the tuned network.

Wu et al., "Tune-A-Video", arXiv 2212.11565, section 3.3; the inversion is that of Song et al., "Denoising Diffusion Implicit Models",
arXiv 2010.02502, with the empty prompt and without guidance.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDIMInverseScheduler

from .errors import InvalidInput
from .noise import NoisePrior
from .text_to_video import TextToVideoPipeline
from .tuned_network import Tuned, TunedUNet


@torch.no_grad()
def encode_clip(pipe: TextToVideoPipeline, frames: np.ndarray) -> torch.Tensor:
    """uint8 (f, h, w, 3) -> latents (1, c, f, h', w'), scaled; the mode of the autoencoder's distribution."""
    device = pipe._execution_device
    images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
    latents = torch.cat([pipe.vae.encode(part.to(pipe.vae.dtype)).latent_dist.mode() for part in images.split(16)])
    return (latents.float() * pipe.vae.config.scaling_factor).transpose(0, 1)[None]


def default_steps(pipe: TextToVideoPipeline) -> int:
    """Steps of an inversion and of its edit: the paper's 50, or those of a small model that predicts x0."""
    return 50 if pipe.scheduler.config.prediction_type != "sample" else pipe.defaults.num_inference_steps


def default_refinements(pipe: TextToVideoPipeline) -> int:
    """Refinements of each step of an inversion: none, as in the paper, or 2 where the network predicts x0."""
    return 2 if pipe.scheduler.config.prediction_type == "sample" else 0


@torch.no_grad()
def invert(
    pipe: TextToVideoPipeline,
    tuned: Tuned,
    latents: torch.Tensor,
    steps: int | None = None,
    fps: float | None = None,
    start: NoisePrior | None = None,
    refinements: int | None = None,
) -> torch.Tensor:
    """The noise from which DDIM makes this clip: its inversion on the tuned network, with the empty prompt and without guidance.

    Depends on the clip, the tuned tensors and the arguments alone, so callers keep it.

    Args:
        latents: of the clip (1, c, f, h, w).
        steps: of the inversion, and of the edit; None is `default_steps`.
        fps: frames a second, for models that are told.
        start: a prior whose noise (seed 0) brings the clip to the first level, instead of treating it as a sample of that level; None is
            the model's own where it predicts x0, and none otherwise. A network that predicts x0 divides its error by that level's
            tiny noise, and the error would end as loud as the noise itself.
        refinements: of each step. DDIM's inversion asks the network about the quieter latents where the sampler will ask about the
            noisier; asking again about what came out is a fixed-point iteration towards the exact inverse. It goes halfway each time: at
            low levels it would swing around the inverse, and hardly come nearer. None is `default_refinements`.

    Raises:
        InvalidInput: for refinements below 0.
    """
    refinements = default_refinements(pipe) if refinements is None else refinements
    if refinements < 0:
        raise InvalidInput(f"refinements is {refinements}.", "Give 0 or more.")
    scheduler = DDIMInverseScheduler.from_config(pipe.scheduler.config, set_alpha_to_one=False)
    scheduler.set_timesteps(default_steps(pipe) if steps is None else steps, device=latents.device)
    timesteps = scheduler.timesteps
    if start is None and pipe.scheduler.config.prediction_type == "sample":
        start = pipe.defaults.noise_prior
    if start is not None:
        noise = start.sample(tuple(latents.shape), torch.Generator().manual_seed(0), latents.device)
        latents, timesteps = pipe.scheduler.add_noise(latents, noise, timesteps[:1]), timesteps[1:]
    text = pipe._encode([""], None, guided=False, device=latents.device)
    extra = {"fps": pipe.defaults.fps if fps is None else fps} if getattr(pipe.unet.config, "frame_rate", False) else {}
    unet = TunedUNet(pipe.unet, tuned)
    with pipe._precision(latents.device):
        for t in timesteps:
            noisier = latents
            for refinement in range(1 + refinements):
                predicted = unet(noisier.to(pipe.unet.dtype), t, **text, **extra, return_dict=False)[0].float()
                stepped = scheduler.step(predicted, int(t), latents).prev_sample
                noisier = (noisier + stepped) / 2 if refinement else stepped
            latents = noisier
    return latents


def blended_noise(inverted: torch.Tensor, structure: float, prior: NoisePrior, generator: torch.Generator | None = None) -> torch.Tensor:
    """Inverted noise with a share of fresh noise: structure 1 keeps the clip's layout and motion, 0 keeps nothing. Unit variance stays.

    Raises:
        InvalidInput: for a structure outside of [0, 1].
    """
    if not 0 <= structure <= 1:
        raise InvalidInput(f"The structure to keep is {structure}.", "Give a number from 0 to 1.")
    fresh = prior.sample(tuple(inverted.shape), generator, inverted.device)
    return structure * inverted + (1 - structure**2) ** 0.5 * fresh
