"""Twice the size without flicker: a small diffusion network draws the detail of each frame, and all frames start from one noise map.

Singer et al., "Make-A-Video", arXiv 2209.14792, section 3.2.3: the spatial super-resolution stays two-dimensional, and what it makes up
is steady over time because the noise is. A stochastic sampler's injected noise has to be shared too. The low-resolution frame comes
beside the noise, itself noised a little, and the network is told how much (Ho et al., "Cascaded Diffusion Models", arXiv 2106.15282).

    upscaler = Upscaler.from_pretrained(...)
    large = upscale(upscaler, clip)             # uint8 (f, h, w, 3) -> (f, 2 h, 2 w, 3)

What is diffused is the difference from cubic upsampling. At first the network finds none.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin

from .errors import InvalidInput
from .flow import MOST_FRAMES, check_clip
from .noise import NoisePrior
from .samplers import build_sampler, check_steps, sampler_info, step

FACTOR = 2
SHARED = NoisePrior("mixed", float("inf"))  # one noise map for all frames
MOST_AUGMENTATION = 0.3  # standard deviation of the noise on the low-resolution frame while training, pixels being in [-1, 1]
LOUDER = 8.0  # detail is multiplied by it, so that it is about as strong as the noise
FRAMES_AT_ONCE = 8
MOST_PIXELS = 1024  # along a side of what comes out


class Upscaler(ModelMixin, ConfigMixin):
    """Predicts the detail of single frames. Works on squares of `patch` x `patch` pixels, unfolded into channels.

    Args:
        patch: side of a square; the large frame's sides must be multiples of twice that.
        width: channels at the upper of two levels.
    """

    @register_to_config
    def __init__(self, patch: int = 4, width: int = 64) -> None:
        super().__init__()
        channels = 3 * patch**2
        self.unet = UNet2DModel(
            in_channels=2 * channels,
            out_channels=channels,
            block_out_channels=(width, 2 * width),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            add_attention=False,
            norm_num_groups=8,
            class_embed_type="timestep",
        )
        torch.nn.init.zeros_(self.unet.conv_out.weight)
        torch.nn.init.zeros_(self.unet.conv_out.bias)

    def forward(self, noisy: torch.Tensor, timestep: torch.Tensor, known: torch.Tensor, augmentation: torch.Tensor) -> torch.Tensor:
        """Noisy detail (n, 3, H, W) and the upsampled frames (n, 3, H, W) -> the clean detail.

        Args:
            timestep: one, or one a frame.
            known: upsampled low-resolution frames in [-1, 1], already noised.
            augmentation: standard deviation of their noise, (n,).
        """
        both = torch.cat([F.pixel_unshuffle(noisy, self.config.patch), F.pixel_unshuffle(known, self.config.patch)], dim=1)
        detail = self.unet(both, timestep, class_labels=1000 * augmentation).sample
        return F.pixel_shuffle(detail, self.config.patch)


def build_scheduler() -> DDIMScheduler:
    """The schedule an upscaler is trained on; it ends in pure noise and predicts the clean detail."""
    return DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False, timestep_spacing="trailing")


def enlarged(frames: np.ndarray) -> np.ndarray:
    """Cubic upsampling of uint8 (f, h, w, 3) by two: what detail is added to, and the reference without a model."""
    check_clip(frames)
    return np.stack([cv2.resize(frame, None, fx=FACTOR, fy=FACTOR, interpolation=cv2.INTER_CUBIC) for frame in frames])


@torch.no_grad()
def upscale(
    upscaler: Upscaler,
    frames: np.ndarray,
    steps: int = 4,
    sampler: str = "ddim",
    augmentation: float = 0.05,
    noise_prior: NoisePrior = SHARED,
    generator: torch.Generator | None = None,
    on_step: Callable[[int, int], bool] = lambda done, total: True,
) -> np.ndarray:
    """Twice the size: uint8 (f, h, w, 3) -> (f, 2 h, 2 w, 3).

    Args:
        steps: of the sampler.
        sampler: a name in `SAMPLERS`.
        augmentation: standard deviation of the noise on the low-resolution frames: more lets the network make up
            more, 0 trusts every pixel.
        noise_prior: of all noise over the frames; one map for all of them unless told otherwise.
        generator: of all noise.
        on_step: told the steps done and their total, before each; False stops, and what has been found so far is returned.

    Raises:
        InvalidInput: before anything is computed.
    """
    _check(upscaler, frames, steps, augmentation)
    check_steps(sampler, steps)
    scheduler, info = build_sampler(sampler, build_scheduler()), sampler_info(sampler)
    scheduler.set_timesteps(steps)
    known = torch.from_numpy(enlarged(frames)).permute(0, 3, 1, 2).float().to(upscaler.device) / 127.5 - 1
    shape = (1, 3, len(frames), *known.shape[2:])

    def draw() -> torch.Tensor:
        return noise_prior.sample(shape, generator, upscaler.device)

    noised = known + augmentation * draw()[0].transpose(0, 1)
    detail = draw() * scheduler.init_noise_sigma
    denoised = torch.zeros_like(detail)
    for i, t in enumerate(scheduler.timesteps):
        if not on_step(i, len(scheduler.timesteps)):
            detail = denoised
            break
        denoised = _predict(upscaler, scheduler.scale_model_input(detail, t), t, noised, augmentation)
        detail = step(scheduler, denoised, t, detail, info.eta, draw)
    large = (known + detail[0].transpose(0, 1) / LOUDER).clamp(-1, 1)
    return ((large + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _predict(upscaler: Upscaler, detail: torch.Tensor, t: torch.Tensor, noised: torch.Tensor, augmentation: float) -> torch.Tensor:
    """The clean detail (1, 3, f, H, W), a few frames at a time: no frame sees another."""
    level = torch.full((1,), augmentation, device=noised.device)
    parts = [
        upscaler(noisy, t, low, level.expand(len(low)))
        for noisy, low in zip(detail[0].transpose(0, 1).split(FRAMES_AT_ONCE), noised.split(FRAMES_AT_ONCE), strict=True)
    ]
    return torch.cat(parts).transpose(0, 1)[None].float()


def _check(upscaler: Upscaler, frames: np.ndarray, steps: int, augmentation: float) -> None:
    check_clip(frames)
    h, w = frames.shape[1:3]
    if len(frames) > MOST_FRAMES:
        raise InvalidInput(f"The clip has {len(frames):,} frames.", f"At most {MOST_FRAMES:,} are enlarged; cut the clip.")
    if FACTOR * max(h, w) > MOST_PIXELS:
        raise InvalidInput(f"The frames have {w} x {h} pixels.", f"At most {MOST_PIXELS // FACTOR} a side are enlarged.")
    unit = 2 * upscaler.config.patch // FACTOR
    if h % unit or w % unit:
        raise InvalidInput(f"The frames have {w} x {h} pixels.", f"Crop them to multiples of {unit}.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InvalidInput(f"{steps!r} steps were asked for.", "Give a whole number of 1 or more.")
    if not 0 <= augmentation <= MOST_AUGMENTATION:
        raise InvalidInput(f"The noise on the small frames is {augmentation!r}.", f"Give a number from 0 to {MOST_AUGMENTATION}.")
