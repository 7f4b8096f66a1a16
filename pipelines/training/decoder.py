"""What a video decoder is asked while it learns: clips without captions, encoded by the frozen encoder, and back."""

from __future__ import annotations

import torch
from torch import nn

from ..decoder import VideoDecoder

CHANGE_SHARE = 1.0  # weight of how frames change from one to the next, beside how they look: flicker is change that should not be
MOST_NOISE = 0.1  # standard deviation, in units of the latents' own: a model's latents are not as clean as an encoder's


class DecoderObjective(nn.Module):
    """Mean absolute error of frames and of their changes: forward(batch, step) -> loss. The batch has `pixels` uint8 (b, f, h, w, 3).

    Half of the clips get a little noise on their latents, another in each frame.

    Args:
        decoder: learns.
        autoencoder: frozen, both ways.
    """

    def __init__(self, decoder: VideoDecoder, autoencoder: nn.Module) -> None:
        super().__init__()
        self.decoder, self.autoencoder = decoder, autoencoder.requires_grad_(False)

    def forward(self, batch: dict[str, torch.Tensor], step: int) -> torch.Tensor:
        images = batch["pixels"].permute(0, 4, 1, 2, 3).float() / 127.5 - 1  # (b, c, f, h, w)
        latents = self._noisy(self._encode(images), torch.Generator(images.device).manual_seed(step))
        made = self.decoder(self.autoencoder, latents).float()
        change = made.diff(dim=2) - images.diff(dim=2)
        return (made - images).abs().mean() + CHANGE_SHARE * change.abs().mean()

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            latents = self.autoencoder.encode(images.transpose(1, 2).flatten(0, 1)).latent_dist.mode()
        return latents.unflatten(0, (len(images), -1)).transpose(1, 2)

    @staticmethod
    def _noisy(latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        levels = torch.rand(len(latents), generator=generator, device=latents.device).mul(2).sub(1).clamp(min=0) * MOST_NOISE
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        return latents + levels.view(-1, 1, 1, 1, 1) * latents.std() * noise
