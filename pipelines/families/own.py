"""The studio's own models, the pocket model for one: directories that `TextToVideoPipeline` saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..defaults import GenerationDefaults
from .family import NO_LORA, Capabilities, Directory, Family, FrameRule


class Own(Family):
    """A `TextToVideoPipeline`; its own configuration says what it does."""

    name, title = "studio", "Prior Studio's own"
    pipelines = ("TextToVideoPipeline",)
    places = ("unet",)
    half = "float16"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        return GenerationDefaults.from_dict(directory.index.get("generation") or {})

    def capabilities(self, directory: Directory) -> Capabilities:
        own = self.defaults(directory)
        vae, levels = directory.config("vae"), directory.config("unet").get("block_out_channels") or (0,)
        pixels = int(vae.get("patch_size") or 2 ** (len(vae.get("block_out_channels") or (0,)) - 1))
        warning = "" if own.noise_kind != "independent" else Capabilities.noise_warning
        return Capabilities(
            FrameRule(least=own.min_frames, most=own.max_frames),
            pixels * 2 ** (len(levels) - 1),
            "none",
            {"lora": NO_LORA},
            warning,
        )

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        from ..text_to_video import TextToVideoPipeline

        return TextToVideoPipeline.from_pretrained(str(directory.path), dtype=dtype, use_safetensors=True, **components)
