"""LTX-2 (Lightricks): text to video, and picture to video with the same weights. It makes sound as well, which the studio leaves out.

HaCohen et al., "LTX-2: Efficient Joint Audio-Visual Foundation Model", arXiv 2601.03233.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from .family import NEEDS_VIDEO_UNET, OWN_SAMPLER, Capabilities, Directory, FrameRule, Order, common_inputs, recommended, with_picture
from .ltx import Ltx, on_device

if TYPE_CHECKING:
    import torch

TWO_SENSES = "Its network makes picture and sound in one; a composition knows pictures alone."
PERTURBED = 28  # the block that its spatio-temporal guidance leaves out


class Ltx2(Ltx):
    """LTX-2 and 2.3. As LTX-Video, its latents travel as a row of patches."""

    name, title = "ltx-2", "LTX-2"
    pipelines = ("LTX2Pipeline", "LTX2ImageToVideoPipeline")

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Those of its pipeline in diffusers."""
        return recommended(frames=121, fps=24.0, guidance_scale=3.0, size=(768, 512), steps=30)

    def capabilities(self, directory: Directory) -> Capabilities:
        vae = directory.config("vae")
        unit, step = int(vae.get("spatial_compression_ratio") or 32), int(vae.get("temporal_compression_ratio") or 8)
        cannot = {"sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET, "composition": TWO_SENSES}
        return Capabilities(FrameRule(step, 1, 1, 257), max(unit, 32), "optional", cannot)  # its pipelines insist on 32

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        config = pipe.transformer.config
        # LTX-2.3 modulates its cross-attention, also by the other sense's noise level; LTX-2.0 does neither.
        inputs = common_inputs(order) | {"frame_rate": order.fps, "use_cross_timestep": bool(config.cross_attn_mod)}
        if config.num_layers <= PERTURBED:
            inputs |= {"stg_scale": 0.0, "audio_stg_scale": 0.0}
        if order.picture is None:
            return inputs
        # Its authors put the picture through a video codec first, which needs a package that may not be here.
        codec = {} if importlib.util.find_spec("av") else {"image_crf": 0}
        return inputs | with_picture(order) | codec | {"generator": on_device(pipe, order)}

    def to_latents(self, pipe: Any, sample: torch.Tensor, order: Order) -> torch.Tensor:
        """What its pipeline ends with is in the autoencoder's own scale, and of all frames; steps are neither."""
        if sample.ndim == 5 and sample.shape[2] == self.latent_shape(pipe, order)[2]:
            vae = pipe.vae
            return pipe._normalize_latents(sample, vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
        return super().to_latents(pipe, sample, order)
