"""How a model's noisy samples and its predictions relate, so that models trained in different conventions can be added.

A noisy sample is x = a x0 + s e. On a variance-preserving (VP) path a^2 + s^2 = 1, on a flow path a = 1 - t and s = t. Both are one
path at different scales: every level is an angle, tan(angle) = s / a, and two samples of the same angle differ by a factor only. A
prediction, whatever its kind, stands for a pair (x0, e), which does not depend on the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from diffusers import SchedulerMixin

from .errors import IncompatibleModels, InvalidInput

Prediction = Literal["epsilon", "v_prediction", "sample", "flow"]
Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # (x0, e)
SMALLEST = 1e-6  # divisors are at least this, for the levels that are nothing but noise


@dataclass(frozen=True)
class Path:
    """The path of a model's noisy samples, and what it predicts on it.

    Args:
        prediction: "epsilon" e, "v_prediction" a e - s x0, "sample" x0, or "flow" e - x0.
        alphas_cumprod: a^2 of each timestep of a VP path; None is a flow path, on which a timestep is t times `timesteps`.
        timesteps: of the whole path.
        inverted: a flow path told backwards, as Mochi's: t is 1 - timestep / timesteps, and the prediction x0 - e.
    """

    prediction: Prediction
    alphas_cumprod: tuple[float, ...] | None = None
    timesteps: int = 1000
    inverted: bool = False

    @classmethod
    def of(cls, scheduler: SchedulerMixin) -> Path:
        """The path of a scheduler from diffusers, which is that of the model it belongs to.

        Raises:
            IncompatibleModels: for schedulers that precondition their model in another way (EDM, consistency models).
        """
        config = scheduler.config
        kind, total = config.get("prediction_type", "flow_prediction"), int(config.get("num_train_timesteps", 1000))
        if kind == "flow_prediction" or config.get("use_flow_sigmas"):
            return cls("flow", None, total, bool(config.get("invert_sigmas", False)))
        if kind not in ("epsilon", "v_prediction", "sample") or not hasattr(scheduler, "alphas_cumprod"):
            raise IncompatibleModels(
                f"{type(scheduler).__name__} prepares its model's inputs in a way of its own (prediction type {kind!r}).",
                "Compose models that predict epsilon, v, x0 or a flow on a variance-preserving or a flow path.",
            )
        return cls(kind, tuple(scheduler.alphas_cumprod.double().tolist()), total)

    def same_levels(self, other: Path) -> bool:
        """Whether equal timesteps are equal levels of noise and equal scales of the sample; predictions may differ in kind."""
        return (self.alphas_cumprod, self.timesteps, self.inverted) == (other.alphas_cumprod, other.timesteps, other.inverted)

    def angle(self, timestep: torch.Tensor | float) -> torch.Tensor:
        """The level of each timestep as an angle, tan(angle) = s / a; float64 on the CPU, in the timestep's shape.

        Between two timesteps of a VP path the angle is interpolated.
        """
        t = torch.as_tensor(timestep).detach().to("cpu", torch.float64)
        if self.alphas_cumprod is None:
            share = (t / self.timesteps).clamp(0, 1)
            share = 1 - share if self.inverted else share
            return torch.atan2(share, 1 - share)
        t = t.clamp(0, len(self._angles) - 1)
        below = t.floor().long()
        return torch.lerp(self._angles[below], self._angles[t.ceil().long()], t - below)

    def timestep(self, angle: torch.Tensor) -> torch.Tensor:
        """The timestep of a level, which need not be whole; the nearest there is where the path does not reach the level."""
        if self.alphas_cumprod is None:
            share = angle.sin() / (angle.sin() + angle.cos())
            return (1 - share if self.inverted else share) * self.timesteps
        above = torch.searchsorted(self._angles, angle.contiguous()).clamp(1, len(self._angles) - 1)
        low, high = self._angles[above - 1], self._angles[above]
        return (above - 1 + (angle - low) / (high - low)).clamp(0, len(self._angles) - 1)

    def coefficients(self, angle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(a, s) at a level."""
        scale = self.scale(angle)
        return scale * angle.cos(), scale * angle.sin()

    def scale(self, angle: torch.Tensor) -> torch.Tensor:
        """sqrt(a^2 + s^2) at a level: samples of two paths at one level are in this proportion."""
        return torch.ones_like(angle) if self.alphas_cumprod is not None else 1 / (angle.cos() + angle.sin())

    def decode(self, predicted: torch.Tensor, sample: torch.Tensor, angle: torch.Tensor) -> Pair:
        """The pair (x0, e) that a prediction stands for; a x0 + s e is the sample.

        Args:
            predicted: of this path's kind.
            sample: the noisy sample, in the same shape.
            angle: of its level; one, or one for each of the leading axes of the sample.
        """
        a, s = (along(level, sample) for level in self.coefficients(angle))
        match self.prediction:
            case "epsilon":
                return (sample - s * predicted) / a.clamp(min=SMALLEST), predicted
            case "sample":
                return predicted, (sample - a * predicted) / s.clamp(min=SMALLEST)
            case "v_prediction":
                return a * sample - s * predicted, s * sample + a * predicted
        flow = -predicted if self.inverted else predicted
        return sample - s * flow, sample + a * flow

    def encode(self, clean: torch.Tensor, noise: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
        """The prediction of this path's kind that stands for a pair (x0, e); `decode` backwards."""
        match self.prediction:
            case "epsilon":
                return noise
            case "sample":
                return clean
            case "v_prediction":
                a, s = (along(level, clean) for level in self.coefficients(angle))
                return a * noise - s * clean
        return clean - noise if self.inverted else noise - clean

    @cached_property
    def _angles(self) -> torch.Tensor:
        assert self.alphas_cumprod is not None
        alphas = torch.tensor(self.alphas_cumprod, dtype=torch.float64)
        return torch.atan2((1 - alphas).sqrt(), alphas.sqrt())


def along(level: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """A number for each of the leading axes of a sample, so shaped that they can be multiplied, on its device, in float32.

    Raises:
        InvalidInput: when the timesteps belong to other axes than the leading ones.
    """
    if level.ndim > sample.ndim or any(n not in (1, m) for n, m in zip(level.shape, sample.shape, strict=False)):
        raise InvalidInput(
            f"Timesteps of the shape {tuple(level.shape)} do not say what the level of a sample {tuple(sample.shape)} is.",
            "Compose such models in the normalised mode, with equal paths.",
        )
    return level.reshape(level.shape + (1,) * (sample.ndim - level.ndim)).to(sample.device, torch.float32)


def consistent(clean: torch.Tensor, noise: torch.Tensor, sample: torch.Tensor, a: torch.Tensor, s: torch.Tensor) -> Pair:
    """The pair (x0, e) made to satisfy a x0 + s e = sample, by changing the one that weighs more in the sample.

    A model that was asked at the nearest level it knows answers for that level. Where noise prevails x0 is kept, else e.
    """
    noisy = s > a
    new_noise = torch.where(noisy, (sample - a * clean) / s.clamp(min=SMALLEST), noise)
    new_clean = torch.where(noisy, clean, (sample - s * noise) / a.clamp(min=SMALLEST))
    return new_clean, new_noise
