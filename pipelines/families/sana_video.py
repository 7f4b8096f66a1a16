"""SANA-Video (NVIDIA): text to video, and picture to video with the same weights. Linear attention: long clips cost little.

Chen et al., "SANA-Video: Efficient Video Generation with Block Linear Diffusion Transformer", arXiv 2509.24695.
"""

from __future__ import annotations

from typing import Any

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
    on_same_parts,
    recommended,
)

LARGE = 22  # `sample_size` of the transformer for 720p; 30 is for 480p


class SanaVideo(DiffusersFamily):
    """SANA-Video. Its authors end each prompt with " motion score: 30."; here prompts go in as they are written."""

    name, title = "sana-video", "SANA-Video"
    pipelines = ("SanaVideoPipeline", "SanaImageToVideoPipeline")
    precise = ("vae",)

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Of the examples in diffusers."""
        size = (1280, 704) if directory.config("transformer").get("sample_size") == LARGE else (832, 480)
        return recommended(frames=81, fps=16.0, guidance_scale=6.0, size=size)

    def capabilities(self, directory: Directory) -> Capabilities:
        vae = directory.config("vae")
        step = int(vae.get("scale_factor_temporal") or vae.get("temporal_compression_ratio") or 4)
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        return Capabilities(FrameRule(step, 1, 1, 161), max(self.token(directory), 32), "optional", cannot)  # its pipelines insist on 32

    def token(self, directory: Directory) -> int:
        return _spatial(directory) * max(directory.config("transformer").get("patch_size") or (1, 2, 2))

    def pipeline_for(self, pipe: Any, order: Order) -> Any:
        import diffusers

        return on_same_parts(getattr(diffusers, self.pipelines[order.picture is not None]), pipe)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        """In the size that was asked for: its pipeline would make the nearest of its own and stretch it."""
        inputs = common_inputs(order) | {"negative_prompt": order.negatives or "", "use_resolution_binning": False}
        inputs["frames"] = inputs.pop("num_frames")
        return inputs if order.picture is None else inputs | {"image": order.picture}


def _spatial(directory: Directory) -> int:
    """Pixels a latent: of Wan's autoencoder, or for 720p of another."""
    vae = directory.config("vae")
    return int(vae.get("scale_factor_spatial") or vae.get("spatial_compression_ratio") or 8)
