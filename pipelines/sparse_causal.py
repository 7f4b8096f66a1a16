"""Sparse-causal attention: a frame looks at the first and the previous frame.

Wu et al., "Tune-A-Video", arXiv 2212.11565, section 3.2. Keys and values of frame i come from frames 1 and i - 1, the current frame
is not among them; frames 1 and 2 see frame 1 twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention

if TYPE_CHECKING:
    from .temporal_layers import FrameContext


def first_and_previous(tokens: torch.Tensor, frames: int) -> torch.Tensor:
    """Tokens (b f, n, c) of each frame -> those of its first and previous frame, (b f, 2 n, c)."""
    clips = tokens.unflatten(0, (-1, frames))
    previous = torch.arange(frames, device=tokens.device).sub(1).clamp(min=0)
    return torch.cat([clips[:, :1].expand_as(clips), clips[:, previous]], dim=2).flatten(0, 1)


class SparseCausalAttnProcessor:
    """Stands where diffusers' `AttnProcessor2_0` stood on self-attention (`attn1`); projections and heads stay the layer's own."""

    def __init__(self, context: FrameContext) -> None:
        self.context = context

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        if self.context.frames > 1:
            key, value = (first_and_previous(x, self.context.frames) for x in (key, value))
        query, key, value = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value))
        hidden_states = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        hidden_states = hidden_states.transpose(1, 2).flatten(2).to(query.dtype)
        return attn.to_out[1](attn.to_out[0](hidden_states))
