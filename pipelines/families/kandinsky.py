"""Kandinsky 5 (Kandinsky Lab): text to video, and picture to video with weights of its own, on HunyuanVideo's autoencoder.

Arkhipkin et al., "Kandinsky 5.0: A Family of Foundation Models for Image and Video Generation", arXiv 2511.14993.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
    recommended,
    with_picture,
)

if TYPE_CHECKING:
    import torch

PICTURE = "Kandinsky5I2VPipeline"
TWO_CALLS = "Its pipeline asks its network twice a step without saying for which text."
DRAWN = "Its pipeline draws the noise itself, around the given picture."
WINDOWS = 8  # its sparse attention looks at squares of so many patches


class Kandinsky5(DiffusersFamily):
    """Kandinsky 5. Its pipelines hold channels last."""

    name, title = "kandinsky-5", "Kandinsky 5"
    pipelines = ("Kandinsky5T2VPipeline", PICTURE)

    def defaults(self, directory: Directory) -> GenerationDefaults:
        """Those of its pipelines in diffusers."""
        return recommended(frames=121, fps=24.0, guidance_scale=5.0, size=(768, 512))

    def capabilities(self, directory: Directory) -> Capabilities:
        """A picture needs five latent frames: its pipeline evens out the colours of four by those of the next."""
        step = int(directory.config("vae").get("temporal_compression_ratio") or 4)
        sparse = directory.config("transformer").get("attention_type") == "nabla"
        unit = max(self.token(directory), 16) * (WINDOWS if sparse else 1)  # its pipelines insist on 16
        cannot = {"fps": NO_FRAME_RATE, "sampler": OWN_SAMPLER, "one_shot": NEEDS_VIDEO_UNET, "composition": TWO_CALLS}
        if directory.pipeline == PICTURE:
            return Capabilities(FrameRule(step, 1, 4 * step + 1, 241), unit, "needed", cannot | {"noise_prior": DRAWN}, "")
        return Capabilities(FrameRule(step, 1, 1, 241), unit, "none", cannot)

    def token(self, directory: Directory) -> int:
        patch = max(directory.config("transformer").get("patch_size") or (1, 2, 2))
        return int(directory.config("vae").get("spatial_compression_ratio") or 8) * patch

    def load(self, directory: Directory, dtype: Any, components: Mapping[str, Any]) -> Any:
        """With the tokenizer alone of what comes as a processor of text, pictures and videos: that would need torchvision."""
        from transformers import AutoTokenizer

        given = dict(components)
        if "tokenizer" not in given:
            given["tokenizer"] = AutoTokenizer.from_pretrained(directory.path / "tokenizer", local_files_only=True)
        return super().load(directory, dtype, given)

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        return common_inputs(order) | with_picture(order)

    def initial(self, pipe: Any, noise: torch.Tensor) -> torch.Tensor:
        """With room for a given picture, empty, where the network has it; its pipeline adds that to its own noise alone."""
        import torch

        latents = self.to_pipeline(pipe, noise)
        if not pipe.transformer.visual_cond:
            return latents
        return torch.cat([latents, torch.zeros_like(latents), torch.zeros_like(latents[..., :1])], dim=-1)

    def to_pipeline(self, pipe: Any, latents: torch.Tensor) -> torch.Tensor:
        return latents.movedim(1, -1)

    def to_latents(self, pipe: Any, sample: torch.Tensor, order: Order) -> torch.Tensor:
        return sample.movedim(-1, 1)
