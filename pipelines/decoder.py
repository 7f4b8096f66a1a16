"""The image decoder becomes a video decoder: its frames look at each other, and at first it decodes as before.

Li et al., "VideoGen", arXiv 2309.00398: a decoder of videos, trained on clips without captions while the encoder stays frozen. What is
new are convolutions over time whose last layer is zero. They go into a decoder that is a network (`AutoencoderKL`), or beside one that
is not (`PatchAutoencoder`), whose frames they correct.

    decoder = build_decoder(pipe.vae)
    frames = decode_clip(decoder, pipe, latents)        # (b, c, f, h, w) -> float32 (b, f, H, W, 3) in [0, 1]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from .errors import IncompatibleModels
from .text_to_video import TextToVideoPipeline


class TemporalResidual(nn.Module):
    """x + a convolution over time of x, (b, c, f, h, w); at first x. Neighbours further than a frame are seen through several of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        self.out = nn.Conv3d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.out(F.silu(self.mix(x)))


class InflatedDecoder(ModelMixin, ConfigMixin):
    """For `AutoencoderKL`: a `TemporalResidual` after each resnet of the decoder, which itself stays as it is.

    Args:
        channels: of the decoder's resnets, in order.
    """

    @register_to_config
    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.temporal = nn.ModuleList(TemporalResidual(count) for count in channels)

    def forward(self, vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
        """Unscaled latents (b, c, f, h, w) -> images (b, 3, f, H, W) in [-1, 1]."""
        with self._inside(vae, latents.shape[2]):
            images = vae.decode(latents.transpose(1, 2).flatten(0, 1)).sample
        return images.unflatten(0, (-1, latents.shape[2])).transpose(1, 2)

    @contextmanager
    def _inside(self, vae: AutoencoderKL, frames: int) -> Iterator[None]:
        """The layers as hooks of the decoder, for the time of a call."""

        def after(layer: nn.Module) -> Any:
            def hook(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
                return layer(output.unflatten(0, (-1, frames)).transpose(1, 2)).transpose(1, 2).flatten(0, 1)

            return hook

        hooks = [resnet.register_forward_hook(after(layer)) for resnet, layer in zip(_resnets(vae), self.temporal, strict=True)]
        try:
            yield
        finally:
            for handle in hooks:
                handle.remove()


class CorrectingDecoder(ModelMixin, ConfigMixin):
    """For `PatchAutoencoder`, whose decoder is one matrix: an addition to each frame, from its latents and its neighbours'.

    Args:
        latent_channels: of the autoencoder.
        patch_size: of the autoencoder.
        width: channels, at the latents' resolution.
        blocks: each sees one latent and one frame further.
    """

    @register_to_config
    def __init__(self, latent_channels: int = 64, patch_size: int = 8, width: int = 192, blocks: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv3d(latent_channels, width, (1, 3, 3), padding=(0, 1, 1))
        self.spatial = nn.ModuleList(nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1)) for _ in range(blocks))
        self.temporal = nn.ModuleList(TemporalResidual(width) for _ in range(blocks))
        self.last = nn.Conv3d(width, 3 * patch_size**2, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, vae: nn.Module, latents: torch.Tensor) -> torch.Tensor:
        """Unscaled latents (b, c, f, h, w) -> images (b, 3, f, H, W) in [-1, 1]."""
        x = self.first(latents)
        for spatial, temporal in zip(self.spatial, self.temporal, strict=True):
            x = temporal(x + spatial(F.silu(x)))
        folded = latents.transpose(1, 2).flatten(0, 1)
        addition = F.pixel_shuffle(self.last(F.silu(x)).transpose(1, 2).flatten(0, 1), self.config.patch_size)
        images = vae.decode(folded).sample + addition  # type: ignore[operator]
        return images.unflatten(0, (-1, latents.shape[2])).transpose(1, 2)


VideoDecoder = InflatedDecoder | CorrectingDecoder


def build_decoder(vae: nn.Module) -> VideoDecoder:
    """A video decoder for an autoencoder of frames, untrained: it decodes what the autoencoder decodes."""
    if isinstance(vae, AutoencoderKL):
        return InflatedDecoder([resnet.out_channels for resnet in _resnets(vae)])
    return CorrectingDecoder(vae.config.latent_channels, vae.config.patch_size)


@torch.no_grad()
def decode_clip(decoder: VideoDecoder, pipe: TextToVideoPipeline, latents: torch.Tensor) -> np.ndarray:
    """The pipeline's latents (b, c, f, h, w) -> float32 (b, f, H, W, 3) in [0, 1], as its own `decode_latents`; clip by clip.

    Raises:
        IncompatibleModels: a decoder for another autoencoder.
    """
    check_decoder(decoder, pipe.vae)
    plain = latents.to(pipe.vae.dtype) / pipe.vae.config.scaling_factor
    images = torch.cat([decoder(pipe.vae, clip[None]) for clip in plain])
    return ((images.float().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 4, 1).cpu().numpy()


def check_decoder(decoder: VideoDecoder, vae: nn.Module) -> None:
    """Raises IncompatibleModels unless the decoder was built for such an autoencoder."""
    own, wanted = dict(decoder.config), dict(build_decoder(vae).config)
    sizes = ("channels", "latent_channels", "patch_size")
    if any(own.get(name) != wanted.get(name) for name in sizes):
        happened = f"The video decoder is a {type(decoder).__name__} for another autoencoder than this {type(vae).__name__}."
        raise IncompatibleModels(happened, "Use the decoder that was trained with this model.")


def _resnets(vae: AutoencoderKL) -> list[ResnetBlock2D]:
    return [module for module in vae.decoder.modules() if isinstance(module, ResnetBlock2D)]
