"""Tune-A-Video's network written out a second time, in five dimensions, as the paper and the authors' public code describe it.

Nothing is folded here and nothing is hooked: features are (b, c, f, h, w), frames are looped over, and normalisations of resnets see
the whole clip. It reads its weights from a `VideoUNet`, to be compared with it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from pipelines.inflation import VideoUNet


def tune_a_video(unet: VideoUNet, sample: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Noisy latents (b, c, f, h, w), timesteps (b,) and text (b, n, d) -> the prediction (b, c, f, h, w)."""
    emb = unet.time_embedding(unet.time_proj(timestep))
    x = convolution(unet.conv_in, sample)
    skips = [x]
    for block in unet.down_blocks:
        for i, resnet in enumerate(block.resnets):
            x = layer(block, i, residual(resnet, x, emb), text)
            skips.append(x)
        for down in block.downsamplers or ():
            x = convolution(down.conv, x)
            skips.append(x)
    middle = unet.mid_block
    x = residual(middle.resnets[0], x, emb)
    x = residual(middle.resnets[1], transformer(middle.attentions[0], x, text), emb)
    for block in unet.up_blocks:
        for i, resnet in enumerate(block.resnets):
            x = layer(block, i, residual(resnet, torch.cat([x, skips.pop()], dim=1), emb), text)
        for up in block.upsamplers or ():
            x = convolution(up.conv, x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4))
    return convolution(unet.conv_out, F.silu(normalised(unet.conv_norm_out, x)))


def convolution(conv: Any, x: torch.Tensor) -> torch.Tensor:
    """A spatial convolution of each frame."""
    frames = [F.conv2d(x[:, :, i], conv.weight, conv.bias, conv.stride, conv.padding) for i in range(x.shape[2])]
    return torch.stack(frames, dim=2)


def normalised(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """Mean and variance of a group of channels are taken over frames, rows and columns."""
    groups = x.unflatten(1, (norm.num_groups, -1))
    axes = (2, 3, 4, 5)
    groups = (groups - groups.mean(axes, keepdim=True)) / (groups.var(axes, keepdim=True, unbiased=False) + norm.eps).sqrt()
    return groups.flatten(1, 2) * norm.weight.view(-1, 1, 1, 1) + norm.bias.view(-1, 1, 1, 1)


def residual(resnet: Any, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
    h = convolution(resnet.conv1, F.silu(normalised(resnet.norm1, x)))
    h = h + resnet.time_emb_proj(F.silu(emb))[:, :, None, None, None]
    h = convolution(resnet.conv2, F.silu(normalised(resnet.norm2, h)))
    return h + (x if resnet.conv_shortcut is None else convolution(resnet.conv_shortcut, x))


def layer(block: Any, i: int, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """What follows a block's resnet: a transformer, or nothing."""
    return transformer(block.attentions[i], x, text) if hasattr(block, "attentions") else x


def transformer(module: Any, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Unlike in resnets, each frame is normalised by itself."""
    frames, (h, w) = x.shape[2], x.shape[3:]
    tokens = []
    for i in range(frames):
        y = normalised(module.norm, x[:, :, i : i + 1])
        y = y if module.use_linear_projection else convolution(module.proj_in, y)
        y = y[:, :, 0].flatten(2).transpose(1, 2)
        tokens.append(module.proj_in(y) if module.use_linear_projection else y)
    for block in module.transformer_blocks:
        tokens = attentions(block, tokens, text)
    out = []
    for y in tokens:
        y = (module.proj_out(y) if module.use_linear_projection else y).transpose(1, 2).unflatten(2, (h, w))[:, :, None]
        out.append(y if module.use_linear_projection else convolution(module.proj_out, y))
    return torch.cat(out, dim=2) + x


def attentions(block: Any, frames: list[torch.Tensor], text: torch.Tensor) -> list[torch.Tensor]:
    """Sparse-causal, cross, feed-forward, temporal; frames are tokens (b, n, c) each."""
    normed = [block.norm1(y) for y in frames]
    seen = [torch.cat([normed[0], normed[max(i - 1, 0)]], dim=1) for i in range(len(frames))]
    frames = [y + attention(block.attn1, normed[i], seen[i]) for i, y in enumerate(frames)]
    frames = [y + attention(block.attn2, block.norm2(y), text) for y in frames]
    frames = [y + block.ff(block.norm3(y)) for y in frames]
    clip = torch.stack(frames, dim=2)  # (b, n, f, c)
    temporal = block.temporal_attention
    places = [attention(temporal.attention, each, each) for each in temporal.norm(clip).unbind(1)]  # one token's place at a time
    return list((clip + torch.stack(places, dim=1)).unbind(2))


def attention(attn: Any, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """softmax(q k / sqrt(d)) v, head by head, and the output projection with its bias."""
    parts = (attn.to_q(x), attn.to_k(context), attn.to_v(context))
    heads = zip(*(part.chunk(attn.heads, dim=-1) for part in parts), strict=True)
    read = [(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v for q, k, v in heads]
    return attn.to_out[0](torch.cat(read, dim=-1))
