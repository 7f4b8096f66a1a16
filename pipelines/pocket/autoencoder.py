"""The pocket model's autoencoder: principal components of image patches.

An orthonormal basis of 8x8 patches needs seconds to fit, keeps white noise white, makes errors in latents equal errors in pixels,
and loses little (the model card says how much). It has the interface of diffusers' `AutoencoderKL`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import nn


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Pixels (n, 3, h, w) in [-1, 1] <-> latents (n, latent_channels, h / patch_size, w / patch_size).

    Args:
        patch_size: side of a patch in pixels; height and width must be multiples of it.
        latent_channels: number of components kept.
        scaling_factor: latents are multiplied by it by whoever trains on them, as with `AutoencoderKL`.
    """

    @register_to_config
    def __init__(self, patch_size: int = 8, latent_channels: int = 64, scaling_factor: float = 1.0) -> None:
        super().__init__()
        pixels = 3 * patch_size**2
        self.mean = nn.Parameter(torch.zeros(pixels), requires_grad=False)
        self.basis = nn.Parameter(torch.eye(pixels)[:, :latent_channels].clone(), requires_grad=False)

    @apply_forward_hook  # so that it can wait on the CPU, and comes when it is called
    def encode(self, x: torch.Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """The posterior is a point: sampling it and taking its mode are the same."""
        p = self.config.patch_size
        patches = F.pixel_unshuffle(x, p) - self.mean.view(1, -1, 1, 1)
        latents = torch.einsum("nphw,pc->nchw", patches, self.basis)
        posterior = DiagonalGaussianDistribution(torch.cat([latents, torch.zeros_like(latents)], dim=1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    @apply_forward_hook
    def decode(
        self, z: torch.Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple[torch.Tensor]:
        patches = torch.einsum("nchw,pc->nphw", z, self.basis) + self.mean.view(1, -1, 1, 1)
        sample = F.pixel_shuffle(patches, self.config.patch_size)
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    @torch.no_grad()
    def fit(self, images: torch.Tensor) -> PatchAutoencoder:
        """Takes mean and leading components from images (n, 3, h, w) in [-1, 1]."""
        patches = F.pixel_unshuffle(images, self.config.patch_size).permute(0, 2, 3, 1).flatten(0, 2).double()
        mean = patches.mean(0)
        centred = patches - mean
        _, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        leading = vectors.flip(1)[:, : self.config.latent_channels]
        self.mean.copy_(mean.float())
        self.basis.copy_(leading.float())
        return self
