"""The family of I2VGen-XL; its pipeline is in `i2vgen_xl.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..defaults import GenerationDefaults
from .family import NEEDS_VIDEO_UNET, NO_LORA, Capabilities, Directory, Family, FrameRule, recommended
from .model_scope import limited, load_parts, unet_unit

PARTS = ("vae", "text_encoder", "tokenizer", "image_encoder", "feature_extractor", "unet", "scheduler")


class I2VGenXL(Family):
    """I2VGen-XL."""

    name, title = "i2vgen-xl", "I2VGen-XL"
    pipelines = ("I2VGenXLPipeline",)
    places = ("unet",)
    half = "float16"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        return recommended(frames=16, fps=16.0, guidance_scale=9.0, size=(1280, 704), sampler="ddim")

    def capabilities(self, directory: Directory) -> Capabilities:
        return Capabilities(FrameRule(least=2), unet_unit(directory), "needed", {"one_shot": NEEDS_VIDEO_UNET, "lora": NO_LORA})

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        from .i2vgen_xl import I2VGenXLPipeline

        return I2VGenXLPipeline(**load_parts(directory, PARTS, dtype, components), generation=limited(self, directory).to_dict())
