"""SkyReels V2 (Skywork): text to video and picture to video, on Wan 2.1's autoencoder and text encoder.

Chen et al., "SkyReels-V2: Infinite-length Film Generative Model", arXiv 2504.13074. Its diffusion forcing, for any length, is not here.
"""

from __future__ import annotations

from typing import Any

from ..defaults import GenerationDefaults
from .family import NEEDS_VIDEO_UNET, NO_FRAME_RATE, OWN_SAMPLER, Capabilities, Directory, FrameRule, Order, recommended, with_picture
from .wan import Wan, encoded, sizes

PICTURE = "SkyReelsV2ImageToVideoPipeline"


class SkyReels(Wan):
    """SkyReels V2. Its network is Wan's but for an input that says the frame rate, which these pipelines leave alone."""

    name, title = "skyreels-v2", "SkyReels V2"
    pipelines = ("SkyReelsV2Pipeline", PICTURE)
    places = ("transformer",)

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Those of its pipelines in diffusers, for the 540P models."""
        guidance = 5.0 if directory.pipeline == PICTURE else 6.0
        return recommended(frames=97, fps=24.0, guidance_scale=guidance, size=(960, 544))

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        step, unit = sizes(directory)
        return Capabilities(FrameRule(step, 1, 1, 161), unit, "needed" if directory.pipeline == PICTURE else "none", cannot)

    def pipeline_for(self, pipe: Any, order: Order) -> Any:
        return pipe

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        """Its pipelines, too, clean their prompt with a package that is not installed."""
        return encoded(pipe, order) | with_picture(order)
