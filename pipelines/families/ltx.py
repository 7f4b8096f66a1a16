"""LTX-Video 0.9 to 0.9.8 (Lightricks): text to video, and picture to video with the same weights.

HaCohen et al., "LTX-Video: Realtime Video Latent Diffusion", arXiv 2501.00103.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from .family import (
    NEEDS_VIDEO_UNET,
    OWN_SAMPLER,
    Capabilities,
    DiffusersFamily,
    Directory,
    FrameRule,
    Order,
    common_inputs,
    on_same_parts,
    own_scale,
    recommended,
    with_picture,
)

if TYPE_CHECKING:
    import torch


class Ltx(DiffusersFamily):
    """LTX-Video. Its latents travel through the pipeline as a row of patches; one pipeline is for text, the other for a picture."""

    name, title = "ltx", "LTX-Video"
    pipelines = ("LTXPipeline", "LTXImageToVideoPipeline")
    own_noise = "With a picture its pipeline draws the noise itself: choose independent noise."

    def defaults(self, directory: Directory) -> GenerationDefaults:
        return recommended(frames=161, fps=25.0, guidance_scale=3.0, size=(704, 512))

    def capabilities(self, directory: Directory) -> Capabilities:
        vae = directory.config("vae")
        unit = int(vae.get("spatial_compression_ratio") or _compression(vae, "patch_size", 4))
        step = int(vae.get("temporal_compression_ratio") or _compression(vae, "patch_size_t", 1))
        cannot = {"sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        return Capabilities(FrameRule(step, 1, 1, 257), max(unit, 32), "optional", cannot)  # its pipelines insist on 32

    def pipeline_for(self, pipe: Any, order: Order) -> Any:
        import diffusers

        return on_same_parts(getattr(diffusers, self.pipelines[order.picture is not None]), pipe)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        inputs = common_inputs(order) | with_picture(order) | {"frame_rate": order.fps}
        return inputs | {"generator": on_device(pipe, order)} if order.picture else inputs

    def to_pipeline(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return pipe._pack_latents(latents, pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size)

    def to_latents(self, pipe: Any, sample: torch.Tensor, order: Order) -> torch.Tensor:
        """With a picture its pipeline steps latents without the given first frame, and not as a row."""
        if sample.ndim == 5:
            return sample
        frames, height, width = self.latent_shape(pipe, order)[2:]
        return pipe._unpack_latents(
            sample, frames, height, width, pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
        )

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        vae = pipe.vae
        latents = own_scale(vae, latents)
        timestep = latents.new_zeros(len(latents)) if vae.config.timestep_conditioning else None
        return vae.decode(latents.to(vae.dtype), timestep if timestep is None else timestep.to(vae.dtype), return_dict=False)[0]


def _compression(vae: dict[str, Any], patch: str, otherwise: int) -> int:
    """Pixels (or frames) a latent: those of a patch, doubled at each level that halves."""
    halvings = sum(map(bool, vae.get("spatio_temporal_scaling") or (True, True, True, False)))
    return int(vae.get(patch) or otherwise) * 2**halvings


def on_device(pipe: Any, order: Order) -> Any:
    """A generator on the pipeline's device: with a picture, the noise of the decoder is drawn there, and a CPU's would not do."""
    import torch

    given, device = order.generator, pipe._execution_device
    if device.type == "cpu" or not isinstance(given, torch.Generator) or given.device.type == device.type:
        return given
    seed = int(torch.randint(2**62, (1,), generator=given))
    return torch.Generator(device).manual_seed(seed)
