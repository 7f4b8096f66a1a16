"""Text to video with a `VideoUNet`: classifier-free guidance, any of the samplers, and one noise prior for all noise.

    pipe = TextToVideoPipeline.from_pretrained("assets/pocket")
    frames = pipe("a red ball moving left").frames        # float32 (b, f, h, w, 3) in [0, 1]

The noise prior (PYoCo, arXiv 2305.10474) draws the initial noise and whatever a stochastic sampler injects.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, SchedulerMixin
from diffusers.utils import BaseOutput
from PIL import Image
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from .defaults import GenerationDefaults
from .errors import InvalidInput, UnsupportedFrames
from .inflation import VideoUNet
from .noise import NoisePrior
from .pocket.autoencoder import PatchAutoencoder
from .samplers import build_sampler, check_steps, sampler_info, step

Generators: TypeAlias = torch.Generator | list[torch.Generator] | None
StepCallback = Callable[["TextToVideoPipeline", int, int, dict[str, torch.Tensor]], dict[str, torch.Tensor] | None]


@dataclass
class TextToVideoOutput(BaseOutput):
    """`frames`: float32 (b, f, h, w, 3) in [0, 1]; latents (b, c, f, h, w); or a list of lists of PIL images."""

    frames: np.ndarray | torch.Tensor | list[list[Image.Image]]


class TextToVideoPipeline(DiffusionPipeline):
    """Text to video.

    Args:
        vae: per-frame autoencoder, `AutoencoderKL` or `PatchAutoencoder`.
        text_encoder: its last hidden state is the context, and its pooled output the class embedding where the UNet wants one.
        tokenizer: pads to its model's length.
        unet: the denoiser.
        scheduler: the noise schedule and prediction type; samplers are built from its configuration.
        generation: `GenerationDefaults` as a dictionary.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _callback_tensor_inputs = ("latents", "denoised")

    def __init__(
        self,
        vae: AutoencoderKL | PatchAutoencoder,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        unet: VideoUNet,
        scheduler: SchedulerMixin,
        generation: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler)
        self.register_to_config(generation=generation)
        self._interrupt = False
        self._timesteps: torch.Tensor | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **options: Any) -> TextToVideoPipeline:
        """As in diffusers; weights stored in half precision become float32 unless `dtype` says otherwise."""
        if options.get("dtype") is None and options.get("torch_dtype") is None:
            options["dtype"] = torch.float32
        return super().from_pretrained(pretrained_model_name_or_path, **options)

    @property
    def defaults(self) -> GenerationDefaults:
        """What a call does where it is not told."""
        if self.config.generation:
            return GenerationDefaults.from_dict(dict(self.config.generation))
        side = self.unet.config.sample_size * self.vae_scale_factor
        return GenerationDefaults(width=side, height=side)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels a latent, along each side."""
        if isinstance(self.vae, PatchAutoencoder):
            return self.vae.config.patch_size
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def interrupt(self) -> bool:
        """True once the running call has been asked to stop; set `pipe._interrupt = True` to ask."""
        return self._interrupt

    @property
    def timesteps(self) -> torch.Tensor | None:
        """Of the running call, or of the last one; where a sampler was named, `scheduler` does not know them."""
        return self._timesteps

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        negative_prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        fps: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        sampler: str | None = None,
        noise_prior: NoisePrior | None = None,
        num_videos_per_prompt: int = 1,
        generator: Generators = None,
        latents: torch.Tensor | None = None,
        start: torch.Tensor | None = None,
        start_strength: float = 1.0,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] | list[str] = ("latents",),
    ) -> TextToVideoOutput | tuple[Any]:
        """Makes videos; None means the model's own default.

        Args:
            prompt: one, or one a video.
            negative_prompt: what guidance moves away from.
            height: pixels.
            width: pixels.
            num_frames: frames of each video.
            fps: frames a second that the motion is meant for.
            num_inference_steps: denoising steps.
            guidance_scale: w in e_u + w (e_c - e_u); 1 is none, and then half as expensive.
            sampler: a name in `SAMPLERS`; None keeps `self.scheduler` as it is.
            noise_prior: of the initial and all injected noise.
            num_videos_per_prompt: videos of each prompt.
            generator: one for all, or one a video; with one a video, each is the same alone and in a batch.
            latents: initial noise (b, c, f, h, w) instead of the prior's.
            start: clean latents (b, c, f, h, w) of a rough clip; the noise is put over it, and only the last steps are made (SDEdit).
            start_strength: share of the steps that are made then: the less, the more is left of the rough clip.
            output_type: "np", "pil" or "latent".
            callback_on_step_end: called as (pipe, step, timestep, tensors); may return replacements of `latents`.
            callback_on_step_end_tensor_inputs: among "latents" and "denoised", the present guess of the clean latents.

        Raises:
            InvalidInput, UnsupportedFrames: before anything is computed.
        """
        own = self.defaults
        prompts = [p for p in ([prompt] if isinstance(prompt, str) else list(prompt)) for _ in range(num_videos_per_prompt)]
        height, width = (own.height if height is None else height), (own.width if width is None else width)
        frames = own.num_frames if num_frames is None else num_frames
        steps = own.num_inference_steps if num_inference_steps is None else num_inference_steps
        guidance_scale = own.guidance_scale if guidance_scale is None else guidance_scale
        self._check(prompts, height, width, frames, steps, output_type)
        if unknown := [name for name in callback_on_step_end_tensor_inputs if name not in self._callback_tensor_inputs]:
            raise InvalidInput(f"The callback asks for {unknown[0]!r}.", f"Ask for {', '.join(self._callback_tensor_inputs)}.")
        first = 0 if start is None else steps - _steps_made(steps, start_strength)
        prior = noise_prior or own.noise_prior
        extra = {"fps": own.fps if fps is None else fps} if getattr(self.unet.config, "frame_rate", False) else {}
        if sampler is not None:
            check_steps(sampler, steps)
        scheduler = self.scheduler if sampler is None else build_sampler(sampler, self.scheduler)
        eta = 0.0 if sampler is None else sampler_info(sampler).eta

        self._interrupt = False
        device = self._execution_device
        with self._precision(device):
            text = self._encode(prompts, negative_prompt, guided=guidance_scale > 1, device=device)
            scheduler.set_timesteps(steps, device=device)
            self._timesteps = scheduler.timesteps[first:]
            shape = self._latent_shape(len(prompts), frames, height, width)
            latents = self._initial(shape, latents, prior, generator, device) * scheduler.init_noise_sigma
            if start is not None:
                if hasattr(scheduler, "set_begin_index"):  # of samplers that remember earlier steps
                    scheduler.set_begin_index(first)
                latents = scheduler.add_noise(self._checked(start, shape, device), latents, self._timesteps[:1])
            denoised = latents
            with self.progress_bar(total=len(self._timesteps)) as bar:
                for i, t in enumerate(self._timesteps):
                    if self._interrupt:
                        break
                    predicted = self._predict(scheduler, latents, t, text, guidance_scale, extra)
                    denoised = to_denoised(scheduler, predicted, t, latents)
                    latents = self._step(scheduler, predicted, t, latents, prior, generator, eta)
                    latents = self._tell(callback_on_step_end, callback_on_step_end_tensor_inputs, i, t, latents, denoised)
                    bar.update()
            frames_out = self._finish(denoised if self._interrupt else latents, output_type)
        self.maybe_free_model_hooks()
        return TextToVideoOutput(frames=frames_out) if return_dict else (frames_out,)

    def decode_latents(self, latents: torch.Tensor) -> np.ndarray:
        """Latents (b, c, f, h, w) -> float32 (b, f, H, W, 3) in [0, 1]."""
        with torch.no_grad():
            flat = latents.transpose(1, 2).flatten(0, 1).to(self.vae.dtype) / self.vae.config.scaling_factor
            images = torch.cat([self.vae.decode(part).sample for part in flat.split(16)])
        images = (images.float().clamp(-1, 1) + 1) / 2
        return images.permute(0, 2, 3, 1).unflatten(0, (latents.shape[0], latents.shape[2])).cpu().numpy()

    # -----------------------------------------------------------------------------------------------------------------

    def _check(self, prompts: list[str], height: int, width: int, frames: int, steps: int, output_type: str) -> None:
        own = self.defaults
        if not prompts or not all(isinstance(p, str) for p in prompts):
            raise InvalidInput(f"The prompt is {prompts!r}.", "Give a text, or a list of texts.")
        if isinstance(frames, bool) or not isinstance(frames, int) or not own.min_frames <= frames <= own.max_frames:
            raise UnsupportedFrames(f"{frames!r} frames were asked for.", f"This model makes {own.min_frames} to {own.max_frames} frames.")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise InvalidInput(f"{steps!r} steps were asked for.", "Give a whole number of 1 or more.")
        unit = self.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if height % unit or width % unit or min(height, width) < unit:
            raise InvalidInput(f"The size is {width} x {height} pixels.", f"Width and height must be multiples of {unit}.")
        if output_type not in ("np", "pil", "latent"):
            raise InvalidInput(f"The output type is {output_type!r}.", "Choose np, pil or latent.")

    def _precision(self, device: torch.device) -> AbstractContextManager[Any]:
        """On a CPU with bfloat16 units, float32 weights run in bfloat16: 1.6 times as fast, no visible difference."""
        fast = device.type == "cpu" and self.unet.dtype == torch.float32 and torch.cpu._is_avx512_bf16_supported()
        return torch.autocast("cpu", torch.bfloat16) if fast else nullcontext()

    def _encode(self, prompts: list[str], negative: str | list[str] | None, guided: bool, device: torch.device) -> dict[str, torch.Tensor]:
        """Text as keyword arguments of the UNet; the unconditional half first where there is guidance."""
        away = [negative or ""] * len(prompts) if negative is None or isinstance(negative, str) else list(negative)
        if len(away) != len(prompts):
            raise InvalidInput(f"{len(away)} negative prompts were given for {len(prompts)} videos.", "Give one, or one a video.")
        texts = away + prompts if guided else prompts
        ids = self.tokenizer(
            texts, padding="max_length", max_length=self.tokenizer.model_max_length, truncation=True, return_tensors="pt"
        ).input_ids
        out = self.text_encoder(input_ids=ids.to(device))
        pooled = {"class_labels": out.pooler_output} if getattr(self.unet.config, "class_embed_type", None) == "projection" else {}
        return {"encoder_hidden_states": out.last_hidden_state, **pooled}

    def _latent_shape(self, count: int, frames: int, height: int, width: int) -> tuple[int, ...]:
        return (count, self.unet.config.in_channels, frames, height // self.vae_scale_factor, width // self.vae_scale_factor)

    def _initial(
        self, shape: tuple[int, ...], latents: torch.Tensor | None, prior: NoisePrior, generator: Generators, device: torch.device
    ) -> torch.Tensor:
        return prior.sample(shape, generator, device) if latents is None else self._checked(latents, shape, device)

    @staticmethod
    def _checked(latents: torch.Tensor, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        if tuple(latents.shape) != shape:
            raise InvalidInput(f"The latents have the shape {tuple(latents.shape)}.", f"This request needs {shape}.")
        return latents.to(device=device, dtype=torch.float32)

    def _predict(
        self,
        scheduler: SchedulerMixin,
        latents: torch.Tensor,
        t: torch.Tensor,
        text: dict[str, torch.Tensor],
        scale: float,
        extra: dict[str, Any],
    ) -> torch.Tensor:
        """The guided prediction, in float32: e_u + w (e_c - e_u)."""
        guided = len(text["encoder_hidden_states"]) > len(latents)
        sample = scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, t).to(self.unet.dtype)
        predicted = self.unet(sample, t, **text, **extra, return_dict=False)[0].float()
        if not guided:
            return predicted
        unconditional, conditional = predicted.chunk(2)
        return unconditional + scale * (conditional - unconditional)

    def _step(
        self,
        scheduler: SchedulerMixin,
        predicted: torch.Tensor,
        t: torch.Tensor,
        latents: torch.Tensor,
        prior: NoisePrior,
        generator: Generators,
        eta: float | None,
    ) -> torch.Tensor:
        """One sampler step; whatever noise it injects is drawn here, from the prior."""
        return step(scheduler, predicted, t, latents, eta, lambda: prior.sample(tuple(latents.shape), generator, latents.device))

    def _tell(
        self,
        callback: StepCallback | None,
        names: tuple[str, ...] | list[str],
        i: int,
        t: torch.Tensor,
        latents: torch.Tensor,
        denoised: torch.Tensor,
    ) -> torch.Tensor:
        if callback is None:
            return latents
        tensors = {"latents": latents, "denoised": denoised}
        changed = callback(self, i, int(t), {name: tensors[name] for name in names}) or {}
        return changed.get("latents", latents)

    def _finish(self, latents: torch.Tensor, output_type: str) -> np.ndarray | torch.Tensor | list[list[Image.Image]]:
        if output_type == "latent":
            return latents
        videos = self.decode_latents(latents)
        if output_type == "np":
            return videos
        return [[Image.fromarray((frame * 255).round().astype(np.uint8)) for frame in video] for video in videos]


def _steps_made(steps: int, strength: float) -> int:
    """How many of the steps are made from a rough clip."""
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 < strength <= 1:
        raise InvalidInput(f"The start's strength is {strength!r}.", "Give a number above 0 and up to 1, which makes all steps.")
    return max(1, round(strength * steps))


def to_denoised(scheduler: SchedulerMixin, predicted: torch.Tensor, t: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """The clean latents that a prediction stands for (x0 = (x - s e) / a; x0 = a x - s v)."""
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return predicted
    alpha = scheduler.alphas_cumprod[int(t)].to(latents.device).sqrt()
    sigma = (1 - alpha**2).sqrt()
    if kind == "epsilon":
        return (latents - sigma * predicted) / alpha
    if kind == "v_prediction":
        return alpha * latents - sigma * predicted
    raise InvalidInput(f"The scheduler predicts {kind!r}.", "Use a model that predicts epsilon, sample or v_prediction.")
