"""Denoisers that are exact: of normal distributions, on any path."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pipelines.paths import Path, along


class Gaussian(nn.Module):
    """The ideal denoiser of N(mean, variance) in each element: x0 = mean + variance a (x - a mean) / (a^2 variance + s^2).

    It counts its evaluations in clips, and keeps the timesteps and texts that it was asked with.
    """

    def __init__(self, mean: float, variance: float, path: Path) -> None:
        super().__init__()
        self.mean, self.variance, self.path = mean, variance, path
        self.evaluations = 0
        self.heard: list[dict[str, Any]] = []

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor | None = None, return_dict: bool = False
    ) -> tuple[torch.Tensor]:
        self.evaluations += len(sample)
        self.heard.append({"sample": sample, "timestep": timestep, "text": encoder_hidden_states})
        angle = self.path.angle(timestep)
        a, s = (along(level, sample) for level in self.path.coefficients(angle))
        spread = a**2 * self.variance + s**2
        clean = self.mean + self.variance * a * (sample - a * self.mean) / spread
        noise = s * (sample - a * self.mean) / spread
        return (self.path.encode(clean, noise, angle),)
