"""What an upscaler is asked while it learns: the detail of single large frames, given the small ones and noise on both."""

from __future__ import annotations

import torch
from torch import nn

from ..upscaling import LOUDER, MOST_AUGMENTATION, Upscaler, build_scheduler


class UpscalingObjective(nn.Module):
    """Squared error of the clean detail: forward(batch, step) -> loss.

    The batch has `large` uint8 (b, H, W, 3), and `enlarged` uint8 of the same shape, the small frame after cubic upsampling.

    Args:
        upscaler: learns.
    """

    def __init__(self, upscaler: Upscaler) -> None:
        super().__init__()
        self.upscaler = upscaler
        self.register_buffer("alphas_cumprod", build_scheduler().alphas_cumprod.float(), persistent=False)

    def forward(self, batch: dict[str, torch.Tensor], step: int) -> torch.Tensor:
        large, known = (batch[name].permute(0, 3, 1, 2).float() / 127.5 - 1 for name in ("large", "enlarged"))
        clean = LOUDER * (large - known)
        generator = torch.Generator(clean.device).manual_seed(step)
        t = torch.randint(0, len(self.alphas_cumprod), (len(clean),), generator=generator, device=clean.device)
        alpha, sigma = (value.sqrt().view(-1, 1, 1, 1) for value in (self.alphas_cumprod[t], 1 - self.alphas_cumprod[t]))
        level = MOST_AUGMENTATION * torch.rand(len(clean), generator=generator, device=clean.device)
        noise, blur = torch.randn((2, *clean.shape), generator=generator, device=clean.device)
        noised = known + level.view(-1, 1, 1, 1) * blur
        predicted = self.upscaler(alpha * clean + sigma * noise, t, noised, level)
        return (predicted.float() - clean).square().mean()
