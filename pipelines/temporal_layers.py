"""The layers over time that an image UNet is given (`inflation.py`), each the identity or zero at first, and what they share.

Singer et al., "Make-A-Video", arXiv 2209.14792, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_timestep_embedding
from torch import nn

POSITION_CHANNELS = 32
LAYOUT_WAVES = 5  # cosine waves along each side of a frame's layout
REFERENCE_FPS = 8.0  # with a frame rate, a frame's position is its time, counted in frames of this rate


@dataclass
class FrameContext:
    """What the temporal layers must know of the clip that is passing through, shared by all of them.

    Args:
        frames: f of the folded batch (b f). 1 switches every temporal layer off.
        positions: (f,) of each frame, in frames.
        fps: (b f, 1) frames a second, or None.
        condition: (b f, c + 1, h, w) given frames and their mask, or None.
        layout: (b f, c, k k) what `TemporalEmbedding` plans for each frame, or None.
    """

    frames: int = 1
    positions: torch.Tensor | None = None
    fps: torch.Tensor | None = None
    condition: torch.Tensor | None = None
    layout: torch.Tensor | None = None

    @contextmanager
    def holding(self, **values: Any) -> Iterator[None]:
        """These values inside the `with`, the former ones after it."""
        before = {name: getattr(self, name) for name in values}
        self.__dict__.update(values)
        try:
            yield
        finally:
            self.__dict__.update(before)


def sinusoid(values: torch.Tensor) -> torch.Tensor:
    """Values (n,) as (n, POSITION_CHANNELS) sines and cosines of wavelengths from 6 to 600."""
    return get_timestep_embedding(values, POSITION_CHANNELS, flip_sin_to_cos=True, downscale_freq_shift=0, max_period=100)


def cosine_waves(h: int, w: int, like: torch.Tensor) -> torch.Tensor:
    """The lowest LAYOUT_WAVES^2 waves of the two-dimensional cosine transform, (k k, h, w)."""
    along = [torch.cos(torch.arange(LAYOUT_WAVES)[:, None] * torch.pi * (torch.arange(n) + 0.5) / n) for n in (h, w)]
    return torch.einsum("kh,lw->klhw", *along).flatten(0, 1).to(like)


class TemporalConv(nn.Conv1d):
    """A convolution over time after a spatial one; at first the identity (Dirac kernel, zero bias). Make-A-Video, eq. 2."""

    def __init__(self, channels: int, context: FrameContext) -> None:
        super().__init__(channels, channels, kernel_size=3, padding=1)
        nn.init.dirac_(self.weight)
        nn.init.zeros_(self.bias)
        self.context = context

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b f, c, h, w) -> the same shape. As a (3, 1) 2D convolution over (f, h w), several times faster on a CPU."""
        if self.context.frames == 1:
            return x
        h, w = x.shape[-2:]
        y = x.unflatten(0, (-1, self.context.frames)).transpose(1, 2).flatten(3)
        y = F.conv2d(y, self.weight.unsqueeze(-1), self.bias, padding=(1, 0))
        return y.transpose(1, 2).flatten(0, 1).unflatten(2, (h, w))


class ClipGroupNorm(nn.GroupNorm):
    """Normalises over all frames of a clip at once, as Tune-A-Video's public code does, whose features are (b, c, f, h, w) there."""

    def __init__(self, norm: nn.GroupNorm, context: FrameContext) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps, norm.affine)
        self.weight, self.bias, self.context = norm.weight, norm.bias, context

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b f, c, h, w) -> the same shape."""
        clips = x.unflatten(0, (-1, self.context.frames)).transpose(1, 2)
        return super().forward(clips).transpose(1, 2).flatten(0, 1)


class TemporalAttention(nn.Module):
    """Attention over time at each position, added to its input; at first zero (output weight and bias). Make-A-Video, eq. 3."""

    def __init__(self, channels: int, heads: int, dim_head: int, position: bool, context: FrameContext) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads=heads, dim_head=dim_head)
        nn.init.zeros_(self.attention.to_out[0].weight)
        nn.init.zeros_(self.attention.to_out[0].bias)
        self.position = nn.Linear(POSITION_CHANNELS, channels) if position else None
        self.context = context

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b f, n, c) -> the same shape."""
        frames, n = self.context.frames, x.shape[1]
        if frames == 1:
            return x
        y = self.norm(x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1))  # (b n, f, c)
        if self.position is not None and self.context.positions is not None:
            y = y + self.position(sinusoid(self.context.positions).to(y.dtype))
        y = self.attention(y)
        return x + y.unflatten(0, (-1, n)).transpose(1, 2).flatten(0, 1)


class TemporalEmbedding(nn.Module):
    """Tells the network which moment a frame shows, and where things are then; at first nothing.

    Where something is depends on the motion and on the moment, and on neither alone: "left" and "right" are the same on average over
    a clip. Sums of the two learn that slowly, so words and moment are multiplied. The words are read one by one, and each channel
    hears the loudest; trained on pictures, the pooled text has no ear for words of motion.

    It answers with an addition to the timestep embedding, which is the same everywhere in a frame, and with a layout: an addition
    to the first features that varies smoothly over the frame, as a sum of a few cosine waves. A UNet has no other sense of absolute
    place than its padding.
    """

    def __init__(self, channels: int, first_channels: int, text_channels: int, frame_position: bool, frame_rate: bool) -> None:
        super().__init__()
        self.frame_position, self.frame_rate = frame_position, frame_rate
        when = POSITION_CHANNELS * (frame_position + frame_rate)
        self.linear_1 = nn.Linear(channels + when, channels)
        self.when = nn.Linear(when, channels)
        self.words = nn.Linear(text_channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.linear_2 = nn.Linear(channels, channels)
        self.layout = nn.Linear(channels, first_channels * LAYOUT_WAVES**2)
        for last in (self.linear_2, self.layout):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, emb: torch.Tensor, text: torch.Tensor, context: FrameContext) -> tuple[torch.Tensor, torch.Tensor]:
        """emb (b f, d) and text (b f, n, e) -> an addition to emb (b f, d), and the layout's coefficients (b f, c, k k)."""
        when = self._when(emb, context)
        heard = self.norm(self.words(text).amax(dim=1))
        moment = F.silu(self.linear_1(torch.cat([F.silu(emb), when], dim=-1))) + self.when(when) * heard
        return self.linear_2(moment), self.layout(moment).unflatten(1, (-1, LAYOUT_WAVES**2))

    def _when(self, emb: torch.Tensor, context: FrameContext) -> torch.Tensor:
        """Sines and cosines of each frame's position and of the frame rate, (b f, m)."""
        parts = []
        if self.frame_position and context.positions is not None:
            parts.append(sinusoid(context.positions).repeat(len(emb) // context.frames, 1))
        if self.frame_rate:
            parts.append(sinusoid(torch.full((len(emb),), REFERENCE_FPS, device=emb.device) if context.fps is None else context.fps))
        return torch.cat(parts, dim=-1).to(emb.dtype)
