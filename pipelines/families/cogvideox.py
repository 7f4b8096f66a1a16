"""CogVideoX 2b, 5b and 1.5 (THUDM, now zai-org): text to video, and picture to video with weights of its own.

Yang et al., "CogVideoX: Text-to-Video Diffusion Models with An Expert Transformer", arXiv 2408.06072.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from .family import (
    NEEDS_VIDEO_UNET,
    NO_FRAME_RATE,
    OWN_SAMPLER,
    Capabilities,
    DiffusersFamily,
    Directory,
    FrameRule,
    Order,
    common_inputs,
    recommended,
    with_picture,
)

if TYPE_CHECKING:
    import torch


class CogVideoX(DiffusersFamily):
    """CogVideoX. Its pipelines hold frames before channels."""

    name, title = "cogvideox", "CogVideoX"
    pipelines = ("CogVideoXPipeline", "CogVideoXImageToVideoPipeline")

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """The size and length are those that the transformer's configuration names."""
        config = directory.config("transformer")
        spatial, _ = _compression(directory)
        size = (int(config.get("sample_width") or 90) * spatial, int(config.get("sample_height") or 60) * spatial)
        fps = 16.0 if config.get("patch_size_t") else 8.0
        return recommended(frames=int(config.get("sample_frames") or 49), fps=fps, guidance_scale=6.0, size=size)

    def capabilities(self, directory: Directory) -> Capabilities:
        config = directory.config("transformer")
        spatial, temporal = _compression(directory)
        most = int(config.get("sample_frames") or 49)
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        needs = directory.pipeline == "CogVideoXImageToVideoPipeline"
        if needs and not config.get("use_rotary_positional_embeddings", True):
            cannot["size"] = "Its positions were learned for one size."
        unit = spatial * int(config.get("patch_size") or 2)
        # Its decoder takes latents two by two after an odd first group; an even number of latents gives more frames than asked for.
        return Capabilities(FrameRule(2 * temporal, 1, 1, most), unit, "needed" if needs else "none", cannot)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        return common_inputs(order) | with_picture(order)

    def latent_shape(self, pipe: Any, order: Order) -> tuple[int, ...]:
        """Version 1.5 takes frames two by two, and its pipeline one more where they are odd."""
        clips, channels, frames, *size = super().latent_shape(pipe, order)
        return (clips, channels, frames + frames % (pipe.transformer.config.patch_size_t or 1), *size)

    def to_pipeline(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return latents.transpose(1, 2).to(pipe.text_encoder.dtype)

    def to_latents(self, pipe: Any, sample: torch.Tensor, order: Order) -> torch.Tensor:
        """Without the frame that was put in front (`latent_shape`)."""
        frames = super().latent_shape(pipe, order)[2]
        return sample[:, -frames:].transpose(1, 2)

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return pipe.decode_latents(latents.transpose(1, 2).to(pipe.vae.dtype))


def _compression(directory: Directory) -> tuple[int, int]:
    """(pixels a latent, frames a latent)."""
    vae = directory.config("vae")
    levels = len(vae.get("block_out_channels") or (0,) * 4)
    return 2 ** (levels - 1), int(vae.get("temporal_compression_ratio") or 4)
