"""Wan 2.1 and 2.2 (Wan-AI): text to video, picture to video, the pair of experts (A14B), and the one that does both (TI2V-5B).

Wan Team, "Wan: Open and Advanced Large-Scale Video Generative Models", arXiv 2503.20314.
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
    with_picture,
)

TEXT_LENGTH = 512  # tokens: what its pipelines encode; their `encode_prompt` alone would stop at 226
TWO_EXPERTS = "Two networks share its steps, one for much noise and one for little; a composition stands in the place of one."


class Wan(DiffusersFamily):
    """Wan. The autoencoder stays in float32: half precision shows."""

    name, title = "wan", "Wan"
    pipelines: tuple[str, ...] = ("WanPipeline", "WanImageToVideoPipeline")
    places: tuple[str, ...] = ("transformer", "transformer_2")
    precise = ("vae", "image_encoder")

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Of the documentation; TI2V-5B is made for 1280 x 704 at 24 frames a second."""
        if directory.index.get("expand_timesteps"):
            return recommended(frames=121, fps=24.0, guidance_scale=5.0, size=(1280, 704))
        return recommended(frames=81, fps=16.0, guidance_scale=5.0, size=(832, 480))

    def capabilities(self, directory: Directory) -> Capabilities:
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET}
        if directory.has("transformer_2"):
            cannot["composition"] = TWO_EXPERTS
        step, unit = sizes(directory)
        if directory.index.get("expand_timesteps"):
            return Capabilities(FrameRule(step, 1, 1, 257), unit, "optional", cannot)
        needs = directory.pipeline == "WanImageToVideoPipeline"
        return Capabilities(FrameRule(step, 1, 1, 161), unit, "needed" if needs else "none", cannot)

    def pipeline_for(self, pipe: Any, order: Order) -> Any:
        from diffusers import WanImageToVideoPipeline

        return (
            pipe if order.picture is None else on_same_parts(WanImageToVideoPipeline, pipe, expand_timesteps=pipe.config.expand_timesteps)
        )

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        """diffusers' picture pipeline cleans its prompt with a package (ftfy) that is not installed; its twin for text does without."""
        return common_inputs(order) if order.picture is None else encoded(pipe, order) | with_picture(order)


def encoded(pipe: Any, order: Order) -> dict[str, Any]:
    """The order as arguments, its texts as Wan's text pipeline encodes them: with the same length as there."""
    from diffusers import WanPipeline

    inputs = common_inputs(order)
    texts = {name: part for name, part in pipe.components.items() if name not in ("image_encoder", "image_processor")}
    encode, guided = WanPipeline(**texts).encode_prompt, order.guidance_scale > 1
    prompts, negatives = inputs.pop("prompt"), inputs.pop("negative_prompt")
    given, away = encode(prompts, negatives, guided, max_sequence_length=TEXT_LENGTH, device=pipe._execution_device)
    return inputs | {"prompt_embeds": given, "negative_prompt_embeds": away}


def sizes(directory: Directory) -> tuple[int, int]:
    """(pixel frames a latent frame, pixels that width and height are multiples of)."""
    vae, transformer = directory.config("vae"), directory.config("transformer")
    patch = max(transformer.get("patch_size") or (1, 2, 2))
    return int(vae.get("scale_factor_temporal", 4)), int(vae.get("scale_factor_spatial", 8)) * patch
