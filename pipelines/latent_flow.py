"""Twice the frame rate by a small network that reads latents: motion, what covers what, and what is left to correct.

The temporal super-resolution of Li et al., "VideoGen", arXiv 2309.00398: flow between neighbouring latents, warping, blending by
visibility, refinement. The network starts from the optical flow of the pixels, which is right where motion is simple. It reads the
latents of two neighbouring frames, in which a few convolutions see the whole picture, and answers with corrections of both flows and a
blend for each pixel; a second, finer look corrects all three and adds what no warping can bring.

    network = LatentFlow.from_pretrained(...)
    smooth = double(network, pipe, clip)        # uint8 (f, h, w, 3) -> (2 f - 1, h, w, 3); twice for four times

What is warped are pixels where a latent is a patch of them (`PatchAutoencoder`: neighbouring latents are not shifts of each other), and
the latents themselves where they are a small picture (`AutoencoderKL`). At first the network is interpolation along the optical flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from .errors import IncompatibleModels, InvalidInput
from .flow import count_between, optical_flow
from .interpolation import check_frames
from .inversion import encode_clip
from .text_to_video import TextToVideoPipeline

PAIRS_AT_ONCE = 32
AROUND = 9  # side of the neighbourhood in which frames may differ
DIFFERENT = 16  # 1 / the difference from which on they do, pixels being in [-1, 1]
GUIDES = 5  # channels that say where a pixel comes from: two flows (x, y) and a blend


@dataclass
class Between:
    """The frame between two. `warped` is before the second look, `made` after it; (n, c, H, W) each."""

    warped: torch.Tensor
    made: torch.Tensor


class LatentFlow(ModelMixin, ConfigMixin):
    """Two neighbouring frames -> the one between.

    Args:
        latent_channels: of the autoencoder.
        planes: channels of what is warped: 3 for pixels, `latent_channels` for latents.
        scale: side of a latent in what is warped: the patch size for pixels, 1 for latents.
        width: channels of the first look, at the latents' resolution.
        blocks: residual blocks of it; each sees two latents further.
        fine_width: channels of the second look.
    """

    @register_to_config
    def __init__(
        self, latent_channels: int = 64, planes: int = 3, scale: int = 8, width: int = 192, blocks: int = 4, fine_width: int = 48
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2 * latent_channels, width, 3, padding=1), *(Residual(width) for _ in range(blocks)))
        self.guide = nn.Conv2d(width, GUIDES * scale**2, 1)
        self.second = nn.Sequential(
            nn.Conv2d(4 * planes + GUIDES, fine_width, 4, stride=2, padding=1),
            *(Residual(fine_width) for _ in range(2)),
            nn.Conv2d(fine_width, 4 * (GUIDES + planes), 3, padding=1),
            nn.PixelShuffle(2),
        )
        for last in (self.guide, self.second[-2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, z0: torch.Tensor, z1: torch.Tensor, p0: torch.Tensor, p1: torch.Tensor, start: torch.Tensor) -> Between:
        """Latents z (n, c, h, w) and what is warped p (n, planes, H, W), of the frame before and the frame after.

        H and W are `scale` times h and w, and even. `start` (n, 4, H', W') is what `flows_to_neighbours` finds, of any size.
        """
        start = _resized(start, p0.shape[-2:])
        guide = F.pixel_shuffle(self.guide(self.first(torch.cat([z0, z1], dim=1))), self.config.scale).float()
        guide = guide + F.pad(start, (0, 0, 0, 0, 0, 1))
        before, after = _pulled(p0, p1, guide)
        warped = _blended(before, after, guide)
        finer = self.second(torch.cat([p0, p1, before, after, guide], dim=1))
        correction, addition = finer.float().split([GUIDES, self.config.planes], dim=1)
        guide = guide + correction
        return Between(warped, _blended(*_pulled(p0, p1, guide), guide) + _changing(p0, p1) * addition)


class Residual(nn.Module):
    """x + f(x), f two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def _changing(p0: torch.Tensor, p1: torch.Tensor) -> torch.Tensor:
    """1 near places where the two frames differ, 0 where they are the same all around: there, nothing is to be added. (n, 1, H, W)."""
    return F.max_pool2d((p0 - p1).abs().amax(dim=1, keepdim=True).float(), AROUND, 1, AROUND // 2).mul(DIFFERENT).clamp(max=1)


def pull(planes: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Backward warping of (n, c, h, w): the result at p is planes at p + flow(p); beyond the edge, the edge. Flow (n, 2, h, w), x and y.

    In float32 whatever the precision around it: half the digits of a coordinate are half the picture.
    """
    with torch.autocast(planes.device.type, enabled=False):
        planes, flow = planes.float(), flow.float()
        h, w = planes.shape[-2:]
        y, x = torch.meshgrid(torch.arange(h, device=flow.device), torch.arange(w, device=flow.device), indexing="ij")
        at = torch.stack([x, y]) + flow
        span = torch.tensor([w - 1, h - 1], device=flow.device).view(2, 1, 1).clamp(min=1)
        return F.grid_sample(planes, (2 * at / span - 1).movedim(1, -1), padding_mode="border", align_corners=True)


def flows_to_neighbours(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """From the frame between a and b to either: float32 (4, h, w), x and y to a, then to b, in pixels. Frames uint8 (h, w, 3).

    Half of each flow, as if it began where the pixel is now: exact where neighbouring pixels move alike.
    """
    return np.concatenate([-0.5 * optical_flow(a, b), -0.5 * optical_flow(b, a)], axis=-1).transpose(2, 0, 1)


def _resized(flows: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Flows (n, 4, h, w) for a picture of another size, in pixels of that one."""
    if flows.shape[-2:] == size:
        return flows.float()
    shrink = torch.tensor([size[1] / flows.shape[-1], size[0] / flows.shape[-2]] * 2, device=flows.device).view(4, 1, 1)
    return F.interpolate(flows.float(), size, mode="area") * shrink


def _pulled(p0: torch.Tensor, p1: torch.Tensor, guide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return pull(p0, guide[:, :2]), pull(p1, guide[:, 2:4])


def _blended(before: torch.Tensor, after: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
    return torch.lerp(before, after, guide[:, 4:5].sigmoid())


@torch.no_grad()
def double(network: LatentFlow, pipe: TextToVideoPipeline, frames: np.ndarray) -> np.ndarray:
    """Twice the frames a second: uint8 (f, h, w, 3) -> (2 f - 1, h, w, 3). The given frames stay as they are.

    Args:
        network: trained on this autoencoder's latents.
        pipe: its autoencoder reads the frames.
        frames: of a size that the model makes.

    Raises:
        InvalidInput: fewer than two frames, or too many.
        IncompatibleModels: a network for other latents.
    """
    check_frames(pipe, frames)
    filled = np.empty((count_between(len(frames), 2), *frames.shape[1:]), np.uint8)
    filled[::2] = frames
    if (channels := pipe.vae.config.latent_channels) != network.config.latent_channels:
        happened = f"The network reads latents of {network.config.latent_channels} channels, this model's have {channels}."
        raise IncompatibleModels(happened, "Use the one that was trained with this model.")
    latents = encode_clip(pipe, frames)[0].transpose(0, 1).to(network.device)
    in_pixels = network.config.scale > 1
    planes = (torch.from_numpy(frames).to(latents.device).permute(0, 3, 1, 2).float() / 127.5 - 1) if in_pixels else latents
    for i in range(0, len(frames) - 1, PAIRS_AT_ONCE):
        z, p = latents[i : i + PAIRS_AT_ONCE + 1], planes[i : i + PAIRS_AT_ONCE + 1]
        start = np.stack([flows_to_neighbours(a, b) for a, b in pairwise(frames[i : i + len(z)])])
        made = network(z[:-1], z[1:], p[:-1], p[1:], torch.from_numpy(start).to(network.device)).made
        if in_pixels:
            pixels = made.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        else:
            pixels = np.round(pipe.decode_latents(made.transpose(0, 1)[None])[0] * 255).astype(np.uint8)
        filled[2 * i + 1 : 2 * (i + len(made)) : 2] = pixels
    return filled


def doubled(network: LatentFlow, pipe: TextToVideoPipeline, frames: np.ndarray, factor: int) -> np.ndarray:
    """`factor` times the frames a second, by doubling: 2, 4, 8 and so on.

    Raises:
        InvalidInput: for any other factor, too few or too many frames.
    """
    count_between(len(frames), factor)
    if factor & (factor - 1):
        raise InvalidInput(f"The factor is {factor}.", "This network doubles: give 2, 4, 8 or a higher power of two.")
    for _ in range(factor.bit_length() - 1):
        frames = double(network, pipe, frames)
    return frames
