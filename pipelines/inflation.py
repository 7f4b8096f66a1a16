"""Pseudo-3D layers: an image UNet becomes a video UNet that, at first, computes the same for every frame.

Singer et al., "Make-A-Video", arXiv 2209.14792, section 3.2: a 1D convolution over time after each 2D convolution, starting as the
identity; attention over time after spatial attention, starting as zero. The place of the temporal attention, after the feed-forward
of each transformer block, is Tune-A-Video's (arXiv 2212.11565, section 3.2). Masked frames as extra input channels: Make-A-Video,
section 3.3.

`VideoUNet` *is* a `UNet2DConditionModel`: the image weights keep their names, so LoRA, IP-Adapter and memory helpers keep working.
Everything new has "temporal" in its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.utils.checkpoint
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (diffusers looks for this name when it loads our class)
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_3d_condition import UNet3DConditionOutput
from torch import nn

from .errors import InvalidInput
from .sparse_causal import SparseCausalAttnProcessor
from .temporal_layers import REFERENCE_FPS, ClipGroupNorm, FrameContext, TemporalAttention, TemporalConv, TemporalEmbedding, cosine_waves


class VideoUNet(UNet2DConditionModel):
    """A video UNet around an image UNet. Build it with `from_image_unet`; it saves and loads like any diffusers model.

    Args:
        temporal_conv: a `TemporalConv` after each spatial convolution of a resnet.
        temporal_attention: a `TemporalAttention` at the end of each transformer block.
        frame_position: frames know their place, in the temporal attention and the timestep embedding.
        sparse_causal: spatial self-attention looks at the first and previous frame (Tune-A-Video).
        condition_frames: given frames enter as latent channels and one mask channel, 1 = given (Make-A-Video masks the others).
        frame_rate: frames a second are a condition, and positions are times.
        clip_norm: the resnets' and the last normalisation are taken over all frames at once; None is where sparse-causal attention stands
            without temporal convolutions and positions, for that is Tune-A-Video's network.
        image_config: every argument of `UNet2DConditionModel`.
    """

    def __init__(
        self,
        temporal_conv: bool = True,
        temporal_attention: bool = True,
        frame_position: bool = True,
        sparse_causal: bool = False,
        condition_frames: bool = False,
        frame_rate: bool = False,
        clip_norm: bool | None = None,
        **image_config: Any,
    ) -> None:
        super().__init__(**image_config)
        if clip_norm is None:
            clip_norm = sparse_causal and not (temporal_conv or frame_position)
        self.register_to_config(
            temporal_conv=temporal_conv,
            temporal_attention=temporal_attention,
            frame_position=frame_position,
            sparse_causal=sparse_causal,
            condition_frames=condition_frames,
            frame_rate=frame_rate,
            clip_norm=clip_norm,
        )
        self.frame_context = FrameContext()
        if clip_norm:
            self._normalise_over_frames()
        if temporal_conv:
            self._add_convolutions()
        self._add_attention()
        if frame_position or frame_rate:
            channels = self.time_embedding.linear_2.out_features
            text_channels = next(m.attn2.to_k.in_features for m in self.modules() if isinstance(m, BasicTransformerBlock))
            self.temporal_embedding = TemporalEmbedding(channels, self.conv_in.out_channels, text_channels, frame_position, frame_rate)
        if condition_frames:
            self._add_condition()
        self.conv_in.register_forward_hook(self._then_place)

    @classmethod
    def from_image_unet(
        cls,
        unet: UNet2DConditionModel,
        temporal_conv: bool = True,
        temporal_attention: bool = True,
        frame_position: bool = True,
        sparse_causal: bool = False,
        condition_frames: bool = False,
        frame_rate: bool = False,
        clip_norm: bool | None = None,
    ) -> VideoUNet:
        """A video UNet with a copy of the image UNet's weights.

        For any clip it computes what that computes for each frame; with sparse-causal attention or `clip_norm`, for equal frames only.
        """
        image_config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
        options = (temporal_conv, temporal_attention, frame_position, sparse_causal, condition_frames, frame_rate, clip_norm)
        video = cls(*options, **image_config)
        video.load_state_dict({**video.state_dict(), **unet.state_dict()})
        video = video.to(device=unet.device)
        return video if unet.dtype == video.dtype else video.to(dtype=unet.dtype)

    def temporal_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that the image model does not have, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if "temporal" in name}

    def forward(  # type: ignore[override]
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float | int,
        encoder_hidden_states: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        timestep_cond: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        down_block_additional_residuals: tuple[torch.Tensor, ...] | None = None,
        mid_block_additional_residual: torch.Tensor | None = None,
        return_dict: bool = True,
        *,
        fps: torch.Tensor | float | None = None,
        given_frames: torch.Tensor | None = None,
        given_mask: torch.Tensor | None = None,
        added_cond_kwargs: dict[str, torch.Tensor] | None = None,
    ) -> UNet3DConditionOutput | tuple[torch.Tensor]:
        """Predicts for noisy latents; the call of diffusers' `UNet3DConditionModel`, with three additions.

        Args:
            sample: noisy latents (b, c, f, h, w). With f = 1 this is the image model.
            timestep: one, or one a clip (b,).
            encoder_hidden_states: text (b, n, d), the same for all frames of a clip.
            class_labels: (b,) or (b, d).
            fps: frames a second, one or one a clip (b,); used where the model was built with `frame_rate`.
            given_frames: clean latents (b, c, f, h, w), read only where the mask is 1.
            given_mask: (b, f), 1 where a frame is given.

        Raises:
            InvalidInput: if the sample is not a clip, or frames are given to a model that cannot take them.
        """
        if sample.ndim != 5:
            raise InvalidInput(
                f"A video UNet was given a tensor of shape {tuple(sample.shape)}.", "Give (batch, channels, frames, height, width)."
            )
        b, _, f = sample.shape[:3]

        def per_frame(x: torch.Tensor | None) -> torch.Tensor | None:
            return x if x is None or x.ndim == 0 else x.expand(b, *x.shape[1:]).repeat_interleave(f, dim=0)

        fps_each = None if fps is None else torch.as_tensor(fps, dtype=torch.float32, device=sample.device).reshape(-1).expand(b)
        context = {
            "frames": f,
            "positions": self._positions(f, fps_each, sample.device),
            "fps": None if fps_each is None else fps_each.repeat_interleave(f),
            "condition": self._condition(sample, given_frames, given_mask),
            "layout": None,
        }
        with self.frame_context.holding(**context):
            folded = super().forward(
                sample.transpose(1, 2).flatten(0, 1),
                per_frame(timestep) if isinstance(timestep, torch.Tensor) else timestep,
                per_frame(encoder_hidden_states),
                class_labels=per_frame(class_labels),
                timestep_cond=per_frame(timestep_cond),
                attention_mask=per_frame(attention_mask),
                cross_attention_kwargs=cross_attention_kwargs,
                added_cond_kwargs=added_cond_kwargs,
                down_block_additional_residuals=down_block_additional_residuals,
                mid_block_additional_residual=mid_block_additional_residual,
                return_dict=False,
            )[0]
        predicted = folded.unflatten(0, (b, f)).transpose(1, 2)
        return UNet3DConditionOutput(sample=predicted) if return_dict else (predicted,)

    def get_aug_embed(
        self, emb: torch.Tensor, encoder_hidden_states: torch.Tensor, added_cond_kwargs: dict[str, Any]
    ) -> torch.Tensor | None:
        """What diffusers adds to the timestep embedding, and the moment each frame shows."""
        added = super().get_aug_embed(emb, encoder_hidden_states, added_cond_kwargs)
        if self.frame_context.frames == 1 or not hasattr(self, "temporal_embedding"):
            return added
        moment, self.frame_context.layout = self.temporal_embedding(emb, encoder_hidden_states, self.frame_context)
        return moment if added is None else added + moment

    def enable_gradient_checkpointing(self, gradient_checkpointing_func: Callable[..., Any] | None = None) -> None:
        """As in diffusers; the default also brings the frame context back for the recomputation."""
        super().enable_gradient_checkpointing(gradient_checkpointing_func or self._checkpoint)

    def _checkpoint(self, module: Callable[..., Any], *args: Any) -> Any:
        captured = dict(vars(self.frame_context))

        def run(*inputs: Any) -> Any:
            with self.frame_context.holding(**captured):
                return module(*inputs)

        return torch.utils.checkpoint.checkpoint(run, *args, use_reentrant=False)

    def _positions(self, frames: int, fps: torch.Tensor | None, device: torch.device) -> torch.Tensor:
        """(f,). Clips of one batch share a frame rate where positions are times."""
        index = torch.arange(frames, dtype=torch.float32, device=device)
        if not self.config.frame_rate or fps is None:
            return index
        return index * (REFERENCE_FPS / fps[0])

    def _condition(self, sample: torch.Tensor, given: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor | None:
        if given is None or mask is None:
            return None
        if not self.config.condition_frames:
            raise InvalidInput(
                "Frames were given to a model that was built without frame conditioning.", "Leave them out or use another model."
            )
        mask = mask.to(sample.dtype)[:, None, :, None, None]
        both = torch.cat([given.to(sample.dtype) * mask, mask.expand(-1, 1, -1, *sample.shape[-2:])], dim=1)
        return both.transpose(1, 2).flatten(0, 1)

    def _normalise_over_frames(self) -> None:
        resnets = [m for m in self.modules() if isinstance(m, ResnetBlock2D)]
        for owner, name in [(self, "conv_norm_out"), *((resnet, f"norm{i}") for resnet in resnets for i in (1, 2))]:
            if isinstance(norm := getattr(owner, name), nn.GroupNorm):  # there is no last one in a network without groups
                setattr(owner, name, ClipGroupNorm(norm, self.frame_context))

    def _add_convolutions(self) -> None:
        for resnet in [m for m in self.modules() if isinstance(m, ResnetBlock2D)]:
            for conv in (resnet.conv1, resnet.conv2):
                conv.temporal = TemporalConv(conv.out_channels, self.frame_context)
                conv.register_forward_hook(_then_convolve)

    def _add_attention(self) -> None:
        for block in [m for m in self.modules() if isinstance(m, BasicTransformerBlock)]:
            heads, inner = block.attn1.heads, block.attn1.to_q.out_features
            if self.config.sparse_causal:
                block.attn1.set_processor(SparseCausalAttnProcessor(self.frame_context))
            if self.config.temporal_attention:
                channels, position = block.norm1.normalized_shape[0], self.config.frame_position
                block.temporal_attention = TemporalAttention(channels, heads, inner // heads, position, self.frame_context)
                block.register_forward_hook(_then_attend)

    def _add_condition(self) -> None:
        """Separate from `conv_in`, so that its weights stay those of the image model; zero at first, and no bias."""
        old = self.conv_in
        self.temporal_condition = nn.Conv2d(old.in_channels + 1, old.out_channels, old.kernel_size, padding=old.padding, bias=False)
        nn.init.zeros_(self.temporal_condition.weight)

    def _then_place(self, _: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        """After `conv_in`: adds the given frames and the layout."""
        condition, layout = self.frame_context.condition, self.frame_context.layout
        if condition is not None:
            output = output + self.temporal_condition(condition)
        if layout is not None:
            h, w = output.shape[-2:]
            output = output + torch.einsum("nck,khw->nchw", layout, cosine_waves(h, w, like=layout))
        return output

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        """diffusers' list of configuration keys, for a class whose __init__ passes the image UNet's on."""
        own = UNet2DConditionModel._get_init_keys(input_class)
        return (own | UNet2DConditionModel._get_init_keys(UNet2DConditionModel)) - {"image_config"} if input_class is VideoUNet else own


def _then_convolve(conv: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
    return conv.temporal(output)


def _then_attend(block: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
    return block.temporal_attention(output)
