"""I2VGen-XL: a picture and a text to a video, with diffusers' `I2VGenXLUNet` in a pipeline of our own.

Zhang et al., "I2VGen-XL: High-Quality Image-to-Video Synthesis via Cascaded Diffusion Models", arXiv 2311.04145. diffusers keeps this
model's pipeline among those it no longer supports; what it feeds the network is repeated here, tensor for tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, I2VGenXLUNet, SchedulerMixin
from PIL import Image, ImageOps
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedTokenizerBase

from ..errors import InvalidInput
from ..text_to_video import TextToVideoPipeline


class I2VGenXLPipeline(TextToVideoPipeline):
    """Picture and text to video; the samplers, the noise priors and the call are those of `TextToVideoPipeline`.

    Args:
        image_encoder: CLIP; its embedding of the picture joins the text.
        feature_extractor: prepares the picture for it.
        the others: as of `TextToVideoPipeline`.
    """

    model_cpu_offload_seq = "text_encoder->image_encoder->unet->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        image_encoder: CLIPVisionModelWithProjection,
        feature_extractor: Any,
        unet: I2VGenXLUNet,
        scheduler: SchedulerMixin,
        generation: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(vae, text_encoder, tokenizer, unet, scheduler, generation)
        self.register_modules(image_encoder=image_encoder, feature_extractor=feature_extractor)
        self._given: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def __call__(self, prompt: str | list[str], *args: Any, image: Image.Image | None = None, **options: Any) -> Any:  # type: ignore[override]
        """As of `TextToVideoPipeline`, with the picture to start from.

        Raises:
            InvalidInput: also when there is no picture.
        """
        if not isinstance(image, Image.Image):
            raise InvalidInput("This model starts from a picture, and none was given.", "Give a picture.")
        own = self.defaults
        count = (1 if isinstance(prompt, str) else len(prompt)) * options.get("num_videos_per_prompt", 1)
        width, height, frames = (
            own_value if options.get(name) is None else options[name]
            for name, own_value in (("width", own.width), ("height", own.height), ("num_frames", own.num_frames))
        )
        self._check([""], height, width, frames, 1, "np")
        fps = own.fps if options.get("fps") is None else options["fps"]
        self._given = self._encode_picture(image.convert("RGB"), (width, height), frames, fps, count)
        try:
            return super().__call__(prompt, *args, **options)
        finally:
            self._given = {}

    def _encode_picture(self, image: Image.Image, size: tuple[int, int], frames: int, fps: float, count: int) -> dict[str, torch.Tensor]:
        """What the network is told of the picture, for `count` videos."""
        device = self._execution_device
        side = self.feature_extractor.crop_size
        square = ImageOps.fit(image, (size[0], size[0]), Image.Resampling.BOX).resize(
            (side["width"], side["height"]), Image.Resampling.BILINEAR
        )
        seen = self.feature_extractor(images=square, do_resize=False, do_center_crop=False, return_tensors="pt").pixel_values
        embedding = self.image_encoder(seen.to(device, self.image_encoder.dtype)).image_embeds[:, None]
        fitted = ImageOps.fit(image, size, Image.Resampling.BOX)
        pixels = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8).view(1, size[1], size[0], 3).permute(0, 3, 1, 2)
        latents = self.vae.encode((pixels.to(device) / 127.5 - 1).to(self.vae.dtype)).latent_dist.mode()[:, :, None]
        # After the picture's own frame come frames that say how far along the clip they are.
        along = torch.arange(1, frames, device=device, dtype=latents.dtype) / max(frames - 1, 1)
        rest = along[None, None, :, None, None].expand(1, latents.shape[1], -1, *latents.shape[3:])
        given = torch.cat([latents * self.vae.config.scaling_factor, rest], dim=2)
        return {
            "image_latents": given.expand(count, *given.shape[1:]),
            "image_embeddings": embedding.expand(count, *embedding.shape[1:]),
            "fps": torch.full((count,), round(fps), device=device),
        }

    def _encode(self, prompts: list[str], negative: str | list[str] | None, guided: bool, device: torch.device) -> dict[str, torch.Tensor]:
        """Text and picture as the network takes them; the unconditional half has the picture's latents, but not its embedding."""
        away = [negative or ""] * len(prompts) if negative is None or isinstance(negative, str) else list(negative)
        if len(away) != len(prompts):
            raise InvalidInput(f"{len(away)} negative prompts were given for {len(prompts)} videos.", "Give one, or one a video.")
        given = dict(self._given)
        if guided:
            embeddings = given["image_embeddings"]
            given |= {name: torch.cat([given[name]] * 2) for name in ("image_latents", "fps")}
            given["image_embeddings"] = torch.cat([torch.zeros_like(embeddings), embeddings])
        return {"encoder_hidden_states": self.encode_text(away + prompts if guided else prompts, device), **given}

    def encode_text(self, texts: list[str], device: torch.device) -> torch.Tensor:
        """The text encoder's last layer but one, normalised, (b, tokens, width)."""
        ids = self.tokenizer(
            texts, padding="max_length", max_length=self.tokenizer.model_max_length, truncation=True, return_tensors="pt"
        ).input_ids
        hidden = self.text_encoder(input_ids=ids.to(device), output_hidden_states=True).hidden_states[-2]
        return self.text_encoder.final_layer_norm(hidden)
