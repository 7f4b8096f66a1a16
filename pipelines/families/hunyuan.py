"""HunyuanVideo and HunyuanVideo 1.5 (Tencent).

Kong et al., "HunyuanVideo: A Systematic Framework For Large Video Generative Models", arXiv 2412.03603.
"""

from __future__ import annotations

from typing import Any

from ..defaults import GenerationDefaults
from .family import (
    NEEDS_VIDEO_UNET,
    NO_FRAME_RATE,
    NO_LORA,
    OWN_SAMPLER,
    Capabilities,
    DiffusersFamily,
    Directory,
    FrameRule,
    Order,
    common_inputs,
    recommended,
    sized,
    with_picture,
)

PICTURE = "HunyuanVideoImageToVideoPipeline"
DISTILLED = "Guidance was distilled into it: it is told a strength, and has no other side to move away from."


class HunyuanVideo(DiffusersFamily):
    """HunyuanVideo 1.0, text to video and, with weights of its own, picture to video. Its guidance scale is an input of the network."""

    name, title = "hunyuan-video", "HunyuanVideo"
    pipelines = ("HunyuanVideoPipeline", PICTURE)

    def accepts(self, directory: Directory) -> bool:
        """Not the first weights for pictures, with 33 channels: their pipeline makes four frames less than it is asked for."""
        return super().accepts(directory) and directory.config("transformer").get("image_condition_type") != "latent_concat"

    def defaults(self, directory: Directory) -> GenerationDefaults:
        return recommended(frames=129, fps=24.0, guidance_scale=6.0, size=(1280, 720))

    def capabilities(self, directory: Directory) -> Capabilities:
        vae = directory.config("vae")
        unit = max(int(vae.get("spatial_compression_ratio") or 8) * int(directory.config("transformer").get("patch_size") or 2), 16)
        cannot = {"negative_prompt": DISTILLED, "fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        return Capabilities(
            FrameRule(int(vae.get("temporal_compression_ratio") or 4), 1, 1, 129),
            unit,
            "needed" if directory.pipeline == PICTURE else "none",
            cannot,
        )

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        return common_inputs(order) | with_picture(order)


class HunyuanVideo15(DiffusersFamily):
    """HunyuanVideo 1.5, text to video and, with weights of its own, picture to video. A guider has the guidance scale."""

    name, title = "hunyuan-video-1.5", "HunyuanVideo 1.5"
    pipelines = ("HunyuanVideo15Pipeline", "HunyuanVideo15ImageToVideoPipeline")

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """The size is 16:9 at the side that the transformer's configuration names."""
        side = int(directory.config("transformer").get("target_size") or 640)
        width, height = {640: (848, 480), 960: (1280, 720)}.get(side, (side, side))
        return recommended(frames=121, fps=24.0, guidance_scale=6.0, size=(width, height))

    def capabilities(self, directory: Directory) -> Capabilities:
        vae = directory.config("vae")
        needs = directory.pipeline == "HunyuanVideo15ImageToVideoPipeline"
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET, "lora": NO_LORA}
        if needs:
            cannot["size"] = "It takes the shape of the picture, at the size that it was trained for."
        unit = int(vae.get("spatial_compression_ratio") or 16) * int(directory.config("transformer").get("patch_size") or 1)
        step = int(vae.get("temporal_compression_ratio") or 4)
        return Capabilities(FrameRule(step, 1, 1, 121), unit, "needed" if needs else "none", cannot)

    def fitted(self, pipe: Any, order: Order) -> Order:
        if order.picture is None:
            return order
        height, width = pipe.video_processor.calculate_default_height_width(order.picture.height, order.picture.width, pipe.target_size)
        return sized(order, int(width), int(height))

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        pipe.guider = pipe.guider.new(guidance_scale=order.guidance_scale)
        inputs = common_inputs(order)
        del inputs["guidance_scale"]
        if order.picture is None:
            return inputs
        del inputs["width"], inputs["height"]
        return inputs | {"image": order.picture.convert("RGB")}
