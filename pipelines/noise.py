"""Correlated noise for video diffusion.

Ge et al., "Preserve Your Own Correlation: A Noise Prior for Video Diffusion Models" (PYoCo), arXiv 2305.10474, section 4.

Frames of one clip, inverted by an image model, have noise maps that resemble each other. A video model that starts from
independent noise has to unlearn that; one that starts from correlated noise does not. Under every prior each single frame is
exactly N(0, I), so an image model sees nothing unusual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from .errors import InvalidInput

NoiseKind = Literal["independent", "mixed", "progressive"]
KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
DEFAULT_ALPHA: dict[NoiseKind, float] = {"independent": 0.0, "mixed": 1.0, "progressive": 2.0}


def mixed_noise(z_shared: torch.Tensor, z: torch.Tensor, alpha: float) -> torch.Tensor:
    """One shared map and one private map a frame: corr(i, j) = alpha^2 / (1 + alpha^2) for i != j.

    Args:
        z_shared: white noise (b, c, 1, h, w).
        z: white noise (b, c, f, h, w).
        alpha: weight of the shared map; 0 is independent noise, infinity one map for all frames.
    """
    shared, private = _weights(alpha)
    return shared * z_shared + private * z


def progressive_noise(z: torch.Tensor, alpha: float) -> torch.Tensor:
    """An autoregressive chain over frames: corr(i, j) = rho^|i - j|, rho = alpha / sqrt(1 + alpha^2).

    Args:
        z: white noise (b, c, f, h, w). Frame 0 is kept as it is.
        alpha: strength of the chain; 0 is independent noise.
    """
    carried, fresh = _weights(alpha)
    frames = [z[:, :, 0]]
    for i in range(1, z.shape[2]):
        frames.append(carried * frames[-1] + fresh * z[:, :, i])
    return torch.stack(frames, dim=2)


def _weights(alpha: float) -> tuple[float, float]:
    """(alpha, 1) / sqrt(1 + alpha^2), also for alpha = infinity: their squares sum to one."""
    if math.isinf(alpha):
        return 1.0, 0.0
    norm = math.sqrt(1.0 + alpha**2)
    return alpha / norm, 1.0 / norm


@dataclass(frozen=True)
class NoisePrior:
    """The distribution of a clip's noise: N(0, I) in every frame, correlated between frames.

    Args:
        kind: "independent", "mixed" (PYoCo eq. 3) or "progressive" (PYoCo eq. 5).
        alpha: correlation strength >= 0; None takes the paper's best value (mixed 1, progressive 2).

    Raises:
        InvalidInput: for another kind, or an alpha that is negative or not a number.
    """

    kind: NoiseKind = "progressive"
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput(f"There is no noise prior {self.kind!r}.", f"Choose one of {', '.join(KINDS)}.")
        alpha = DEFAULT_ALPHA[self.kind] if self.alpha is None else self.alpha
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or math.isnan(alpha) or alpha < 0:
            raise InvalidInput(f"The noise prior's alpha is {self.alpha!r}.", "Give a number of 0 or more.")
        object.__setattr__(self, "alpha", float(alpha))

    def sample(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | list[torch.Generator] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> torch.Tensor:
        """Noise of the given shape (b, c, f, h, w).

        A list of generators gives each video of the batch its own, so that a video is the same alone and in a batch.
        """
        if len(shape) != 5:
            raise InvalidInput(f"Noise was asked for in the shape {tuple(shape)}.", "Give (batch, channels, frames, height, width).")
        if isinstance(generator, list):
            if len(generator) != shape[0]:
                raise InvalidInput(f"{len(generator)} generators were given for {shape[0]} videos.", "Give one for each video.")
            singles = [self.sample((1, *shape[1:]), g, device, dtype) for g in generator]
            return torch.cat(singles)
        z = _randn(shape, generator, device, dtype)
        if self.kind == "mixed":
            return mixed_noise(_randn((*shape[:2], 1, *shape[3:]), generator, device, dtype), z, self._alpha)
        if self.kind == "progressive":
            return progressive_noise(z, self._alpha)
        return z

    def correlation(self, frames: int) -> torch.Tensor:
        """The (f, f) matrix of correlations between frames, float64."""
        i = torch.arange(frames, dtype=torch.float64)
        shared, _ = _weights(self._alpha)
        if self.kind == "mixed":
            off_diagonal = torch.full((frames, frames), shared**2, dtype=torch.float64)
            return off_diagonal.fill_diagonal_(1.0)
        if self.kind == "progressive":
            return torch.as_tensor(shared, dtype=torch.float64) ** (i[:, None] - i[None, :]).abs()
        return torch.eye(frames, dtype=torch.float64)

    @property
    def _alpha(self) -> float:
        assert self.alpha is not None  # filled in by __post_init__
        return self.alpha


def _randn(
    shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device | str | None, dtype: torch.dtype
) -> torch.Tensor:
    """White noise drawn on the generator's own device and moved, so that one seed means one noise on every device."""
    source = generator.device if generator is not None else device
    return torch.randn(shape, generator=generator, device=source, dtype=torch.float32).to(device=device, dtype=dtype)
