"""AnimateDiff: a motion module in a Stable Diffusion 1.x model, from a pipeline directory or from a module and its base.

Guo et al., "AnimateDiff: Animate Your Personalized Text-to-Image Diffusion Models without Specific Tuning", arXiv 2307.04725.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..defaults import GenerationDefaults
from ..errors import WeightsMissing
from .family import NEEDS_VIDEO_UNET, NO_FRAME_RATE, Capabilities, DiffusersFamily, Directory, FrameRule, Order, common_inputs, recommended

if TYPE_CHECKING:
    import torch


class AnimateDiff(DiffusersFamily):
    """AnimateDiff. Positions in time are learned, so that clips are at most as long as the module's configuration says."""

    name, title = "animatediff", "AnimateDiff"
    pipelines = ("AnimateDiffPipeline", "MotionAdapter")
    places = ("unet",)
    half = "float16"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        most = _longest(directory)
        side = int(directory.config("unet").get("sample_size") or 64) * _pixels(directory)
        return recommended(frames=min(16, most), fps=8.0, guidance_scale=7.5, size=(side, side), sampler="ddim")

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": NO_FRAME_RATE, "one_shot": NEEDS_VIDEO_UNET}
        return Capabilities(FrameRule(most=_longest(directory)), max(_pixels(directory), 8), "none", cannot)  # its pipeline insists on 8

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        """A module alone needs the parts of its base among the components: `unet`, `vae`, `text_encoder`, `tokenizer`, `scheduler`."""
        if directory.pipeline == "AnimateDiffPipeline":
            return super().load(directory, dtype, components)
        from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter

        names = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
        if missing := [name for name in names if name not in components]:
            raise WeightsMissing(
                f"{str(directory.path)!r} is a motion module alone (without {missing[0]}).",
                "Choose a Stable Diffusion 1.x model as its base.",
            )
        parts = {name: components[name] for name in names}
        module = MotionAdapter.from_pretrained(directory.path, dtype=dtype.get("default") if isinstance(dtype, dict) else dtype)
        # The module was trained on another schedule than its base.
        trained = {"beta_schedule": "linear", "clip_sample": False, "timestep_spacing": "linspace", "steps_offset": 1}
        scheduler = DDIMScheduler.from_config(parts.pop("scheduler").config, **trained)
        return AnimateDiffPipeline(**parts, motion_adapter=module, scheduler=scheduler)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        return common_inputs(order)

    def decode(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return pipe.decode_latents(latents.to(pipe.vae.dtype))

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        return spread(latents)


def spread(latents: torch.Tensor, count: int = 4) -> torch.Tensor:
    """At most `count` latent frames (b, c, f, h, w), evenly spread: their decoder takes frames one by one."""
    return latents[:, :, :: max(1, -(-latents.shape[2] // count))]


def _longest(directory: Directory) -> int:
    """Frames that the module has positions for."""
    module = directory.index if directory.pipeline == "MotionAdapter" else directory.config("motion_adapter") or directory.config("unet")
    return int(module.get("motion_max_seq_length") or 32)


def _pixels(directory: Directory) -> int:
    return 2 ** (len(directory.config("vae").get("block_out_channels") or (0,) * 4) - 1)
