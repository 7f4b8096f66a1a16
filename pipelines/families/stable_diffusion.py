"""Stable Diffusion 1.x and 2.x: text-to-image models, inflated as Tune-A-Video does (`image_models`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..defaults import GenerationDefaults
from ..image_models import image_defaults, is_image_model, load_image_model
from .family import NO_LORA, Capabilities, Directory, Family, FrameRule
from .model_scope import unet_unit


class StableDiffusion(Family):
    """SD 1.x and 2.x. Untuned, their frames have little to do with each other."""

    name, title = "stable-diffusion", "Stable Diffusion 1.x and 2.x"
    pipelines = ("StableDiffusionPipeline",)
    places = ("unet",)
    half = "float16"

    def accepts(self, directory: Directory) -> bool:
        """SDXL has the same UNet class, but a second text encoder; inpainting models take more channels."""
        plain = directory.config("unet").get("in_channels", 4) == 4 and not directory.has("text_encoder_2")
        return is_image_model(dict(directory.index)) and plain and directory.pipeline != "AnimateDiffPipeline"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        return image_defaults(directory.path)

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": "It makes pictures, and knows no frame rate.", "lora": NO_LORA}
        return Capabilities(FrameRule(), unet_unit(directory), "none", cannot, noise_warning="")

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        """Inflated on the CPU, in the precision asked for."""
        return load_image_model(directory.path, "cpu", dtype["default"] if isinstance(dtype, dict) else dtype, components)
