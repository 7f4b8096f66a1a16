"""The network of a domain model: a small `VideoUNet` that judges and corrects the best linear guess instead of starting from nothing.

A network of a few dozen channels cannot hand 64 latent channels through; of an almost clean clip it would return a blur. So the
Wiener estimate, which is right where there is little noise and the mean where there is nothing else, bypasses it. The network says
how much of each channel of it is to be believed at each place (in an empty sky all detail is noise), and adds what it knows itself,
in units of what the estimate leaves open. A small second look at each place combines the two with all channels at hand.
The preconditioning is Karras et al., arXiv 2206.00364, section 5; theirs has one variance for everything, this has one a channel.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, SchedulerMixin
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers looks for this name when it loads our class)
from diffusers.models.unets.unet_3d_condition import UNet3DConditionOutput
from torch import nn

from .errors import InvalidInput
from .inflation import VideoUNet


class Wiener(NamedTuple):
    """The best linear guess of x0 from x = alpha x0 + sigma e, for channels that are independent of each other.

    Args:
        unit: x in units of its own standard deviation.
        guess: what it says of x0 less the mean: nothing for sigma -> 1, everything for sigma -> 0.
        open: standard deviation of what it leaves open.
        mean: of x0.
    """

    unit: torch.Tensor
    guess: torch.Tensor
    open: torch.Tensor
    mean: torch.Tensor


def wiener(noisy: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> Wiener:
    """The linear guess.

    Args:
        noisy: (b, c, f, h, w).
        alpha, sigma: of each clip, or of all, (b, 1, 1, 1, 1).
        mean, variance: of the clean latents, (c, 1, 1, 1).
    """
    centred, total = noisy - alpha * mean, alpha**2 * variance + sigma**2
    return Wiener(centred / total.sqrt(), alpha * variance / total * centred, (variance / total).sqrt() * sigma, mean)


class SecondLook(nn.Module):
    """What the network says, gate and addition, once more at each place by itself, beside all channels of the sample.

    Args:
        channels: of the latents.
        hidden: width.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(3 * channels, hidden)
        self.last = nn.Linear(hidden, 2 * channels)

    def forward(self, said: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """said (b, 2 c, f, h, w) and the sample (b, c, f, h, w) in its units -> (b, 2 c, f, h, w)."""
        both = torch.cat([said, unit.to(said.dtype)], dim=1).movedim(1, -1)
        return said + self.last(F.silu(self.first(both))).movedim(-1, 1)


class DomainUNet(VideoUNet):
    """A `VideoUNet` whose output is a gate for the Wiener estimate and an addition to it; everything else is inherited.

    Args:
        latent_mean, latent_variance: of the domain's clean latents, one number a channel.
        noise_schedule: of the base: `beta_schedule`, `beta_start`, `beta_end`, `num_train_timesteps`, `prediction_type`.
        video_config: every argument of `VideoUNet`; `out_channels` is twice the latent channels.
    """

    def __init__(self, latent_mean: list[float], latent_variance: list[float], noise_schedule: dict[str, Any], **video_config: Any) -> None:
        super().__init__(**video_config)
        self.register_to_config(latent_mean=latent_mean, latent_variance=latent_variance, noise_schedule=dict(noise_schedule))
        with torch.device("cpu"):
            # Plain tensors: half precision would round the noisiest timesteps to nothing.
            self.alphas_cumprod = DDIMScheduler(**noise_schedule).alphas_cumprod.float()
            self.statistics = torch.tensor(latent_mean), torch.tensor(latent_variance)
        self.second_look = SecondLook(self.config.in_channels, 2 * self.config.block_out_channels[0])

    @functools.wraps(VideoUNet.forward)  # its names are what callers and `ComposedDenoiser` read
    def forward(  # type: ignore[override]
        self, sample: torch.Tensor, timestep: torch.Tensor | float | int, *args: Any, return_dict: bool = True, **kwargs: Any
    ) -> UNet3DConditionOutput | tuple[torch.Tensor]:
        """The call of `VideoUNet`. Timesteps are whole numbers of the base's schedule."""
        noisy = sample.float()
        cumprod = self.alphas_cumprod.to(noisy.device)[torch.as_tensor(timestep, device=noisy.device).long()].view(-1, 1, 1, 1, 1)
        alpha, sigma = cumprod.sqrt(), (1 - cumprod).sqrt()
        known = wiener(noisy, alpha, sigma, *(s.to(noisy.device).view(-1, 1, 1, 1) for s in self.statistics))
        said = super().forward(known.unit.to(sample.dtype), timestep, *args, **{**kwargs, "return_dict": False})[0]
        gate, addition = self.second_look(said, known.unit).float().chunk(2, dim=1)
        x0 = known.mean + 2 * gate.sigmoid() * known.guess + known.open * addition
        predicted = self._as_base(x0, noisy, alpha, sigma).to(sample.dtype)
        return UNet3DConditionOutput(sample=predicted) if return_dict else (predicted,)

    def _as_base(self, x0: torch.Tensor, noisy: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The clean latents in the base's kind of prediction."""
        match self.config.noise_schedule["prediction_type"]:
            case "epsilon":
                return (noisy - alpha * x0) / sigma
            case "v_prediction":
                return (alpha * noisy - x0) / sigma
        return x0

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        """diffusers' list of configuration keys."""
        inherited = VideoUNet._get_init_keys(VideoUNet) - {"video_config"}
        return inherited | {"self", "latent_mean", "latent_variance", "noise_schedule"}


def small_unet(base: VideoUNet, share: float, scheduler: SchedulerMixin, mean: torch.Tensor, variance: torch.Tensor) -> DomainUNet:
    """A fresh network with the base's inputs and outputs and at most `share` of its parameters, from torch's random state.

    Args:
        base: the prior's network.
        scheduler: the base's.
        mean, variance: of the domain's clean latents, (c,).

    Raises:
        InvalidInput: for a share that is not above 0 and below 1, or too small for any network.
    """
    if not 0 < share < 1:
        raise InvalidInput(f"The share of the prior's parameters is {share!r}.", "Give a number above 0 and below 1, such as 0.1.")
    names = ("beta_schedule", "beta_start", "beta_end", "num_train_timesteps", "prediction_type")
    own: dict[str, Any] = {
        "latent_mean": [float(x) for x in mean],
        "latent_variance": [float(x) for x in variance],
        "noise_schedule": {name: scheduler.config[name] for name in names},
    }
    most = share * sum(p.numel() for p in base.parameters())
    for config in smaller_configs(base):
        with torch.device("meta"):  # to count its parameters, it need not really be built
            count = sum(p.numel() for p in DomainUNet(**own, **config).parameters())
        if count <= most:
            return DomainUNet(**own, **config)
    raise InvalidInput(f"No network is as small as {share:.2%} of the prior.", "Give a larger share.")


def smaller_configs(base: VideoUNet) -> Iterator[dict[str, Any]]:
    """The base's configuration with fewer and fewer channels."""
    config = {name: value for name, value in base.config.items() if not name.startswith("_")}
    widths = config["block_out_channels"]
    for first in range(widths[0] - 2, 2, -2):
        channels = [round(first * width / widths[0] / 2) * 2 for width in widths]
        groups = next(g for g in (32, 16, 8, 4, 2, 1) if all(c % g == 0 for c in channels) and (g == 1 or first // g >= 4))
        heads = [next(h for h in range(max(1, c // 24), 0, -1) if c % h == 0) for c in channels]
        yield {
            **config,
            "out_channels": 2 * config["in_channels"],
            "block_out_channels": channels,
            "norm_num_groups": groups,
            "attention_head_dim": heads,
        }
