"""The denoising loss that every stage shares: clips, captions and a noise prior in, one number out."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from ..noise import NoisePrior


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is asked of the network.

    Args:
        noise_prior: of the noise over a clip's frames; training and sampling must use the same one (PYoCo, section 4).
        focus: a part of the schedule, 0 the cleanest and 1 the noisiest timestep, in which `focus_share` of the timesteps are drawn.
        focus_share: the others are drawn from all of the schedule.
        sigma_floor: the x0 error is divided by max(sigma, floor)^2, so that nearly clean inputs do not rule the loss.
    """

    noise_prior: NoisePrior = field(default_factory=NoisePrior)
    focus: tuple[float, float] = (0.0, 1.0)
    focus_share: float = 1.0
    sigma_floor: float = 0.2


class DenoisingObjective(nn.Module):
    """x0-prediction on latents of clips: forward(batch, step) -> loss.

    The batch has `pixels` uint8 (b, f, h, w, 3), `input_ids` (b, n), and for video `fps` (b,) and `given` (b, f), 1 where a frame
    is given to the network clean.

    Args:
        unet: a `UNet2DConditionModel` (clips of one frame) or a `VideoUNet`.
        text_encoder: its last hidden state is the context, its pooled output the class embedding.
        autoencoder: frozen.
        alphas_cumprod: of the noise schedule, (T,).
        config: what is asked.
    """

    def __init__(
        self, unet: nn.Module, text_encoder: nn.Module, autoencoder: nn.Module, alphas_cumprod: torch.Tensor, config: ObjectiveConfig
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.autoencoder = unet, text_encoder, autoencoder.requires_grad_(False)
        self.register_buffer("alphas_cumprod", alphas_cumprod.float(), persistent=False)
        self.config = config

    def forward(self, batch: dict[str, torch.Tensor], step: int) -> torch.Tensor:
        clean = self._encode(batch["pixels"])
        generator = torch.Generator(clean.device).manual_seed(step)
        t = self._timesteps(len(clean), generator, clean.device)
        alpha = self.alphas_cumprod[t].sqrt().view(-1, 1, 1, 1, 1)
        sigma = (1 - self.alphas_cumprod[t]).sqrt().view(-1, 1, 1, 1, 1)
        noise = self.config.noise_prior.sample(tuple(clean.shape), generator, clean.device)
        predicted = self._predict(alpha * clean + sigma * noise, t, clean, batch)
        error = (predicted.float() - clean).square().mean(dim=(1, 2, 3, 4))
        return (error / sigma.view(-1).clamp(min=self.config.sigma_floor).square()).mean()

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (b, f, h, w, 3) -> latents (b, c, f, h, w)."""
        b, f = pixels.shape[:2]
        images = pixels.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast(pixels.device.type, enabled=False):
            latents = self.autoencoder.encode(images).latent_dist.mode() * self.autoencoder.config.scaling_factor
        return latents.unflatten(0, (b, f)).transpose(1, 2)

    def _timesteps(self, count: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
        (low, high), total = self.config.focus, len(self.alphas_cumprod)
        u, chosen = torch.rand(2, count, generator=generator, device=device)
        u = torch.where(chosen < self.config.focus_share, low + (high - low) * u, u)
        return (u * total).long().clamp(max=total - 1)

    def _predict(self, noisy: torch.Tensor, t: torch.Tensor, clean: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        text = self.text_encoder(input_ids=batch["input_ids"])
        context, pooled = text.last_hidden_state, text.pooler_output
        if isinstance(self.unet, UNet2DConditionModel) and not hasattr(self.unet, "temporal_parameters"):
            return self.unet(noisy.squeeze(2), t, context, class_labels=pooled).sample.unsqueeze(2)
        return self.unet(noisy, t, context, class_labels=pooled, fps=batch["fps"], given_frames=clean, given_mask=batch["given"]).sample
